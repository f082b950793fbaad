"""Python clients as people write them, against the real process."""
