"""Agents: models that are programs."""
