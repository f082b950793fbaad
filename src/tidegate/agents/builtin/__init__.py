"""Agents that come with the gateway; each file is an example of how to write one."""
