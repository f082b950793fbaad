"""Connections to upstreams: pool, deadlines, cancellation, back-pressure. Bytes only, no dialects."""

from tidegate.net.address import Address
from tidegate.net.connection import Connection, Receiver, ResponseHead
from tidegate.net.pool import Pool

__all__ = ["Address", "Connection", "Pool", "Receiver", "ResponseHead"]
