"""Bytes to frames and back; tests/wire is what clients see."""
