"""Documents, and the passages that they are cut into."""
