"""What is on the wire, byte for byte, for good requests and bad ones."""
