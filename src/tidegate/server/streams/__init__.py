"""Streams that were begun before: reading on, looking at them, stopping them."""

from tidegate.server.streams.endpoints import StreamEndpoints
from tidegate.server.streams.resuming import Resuming

__all__ = ["Resuming", "StreamEndpoints"]
