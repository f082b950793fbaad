"""Builds the application from a Config: the only place that wires everything together."""

from tidegate.app.application import Application
from tidegate.app.wiring import check_routes

__all__ = ["Application", "check_routes"]
