"""Responses that are kept: what comes before a request, what is kept of an answer, and asking for it."""

from tidegate.server.responses.endpoints import ResponseEndpoints
from tidegate.server.responses.keeping import Keeping

__all__ = ["Keeping", "ResponseEndpoints"]
