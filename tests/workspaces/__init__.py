"""Tests of workspaces, their documents and AnythingLLM's API."""
