"""Tests of workspaces: documents, passages and what is found in them."""
