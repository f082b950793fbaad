"""Workspaces: their documents, what is found in them, and the routes of AnythingLLM."""
