"""Relays steady streams."""
