"""Other people's programs as agents."""
