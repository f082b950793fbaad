"""What is remembered beyond a request."""
