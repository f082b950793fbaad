"""Routing: which deployments can answer for a model, in which order, and what to do when one fails."""
