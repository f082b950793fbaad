"""Workspaces: documents become passages, and questions find them."""
