"""Holds what is written for users against the running server."""
