"""Tests of the Python client: losing connections changes nothing of what is read."""
