"""Tidegate: a streaming gateway for language models that never loses a token."""

__version__ = "0.1.0"
