"""The Python client of a gateway: asks, streams and resumes. Knows nothing of the server's own code.

Importing this imports no HTTP library: the transports for the official SDKs use the one that the SDK brings.
"""

from __future__ import annotations

from tidegate.client.awaiting import AsyncClient, AsyncStream
from tidegate.client.blocking import Client, Stream
from tidegate.client.buffer import StreamBuffer
from tidegate.client.errors import (
    ClientError,
    GatewayUnreachable,
    RequestRefused,
    StreamFailed,
    StreamInterrupted,
    StreamUnavailable,
)
from tidegate.client.patience import Patience
from tidegate.client.progress import StreamProgress
from tidegate.client.reading import Answer, ToolCall
from tidegate.client.transport import (
    AsyncResilientTransport,
    ResilientTransport,
    resilient,
    resilient_async,
)
from tidegate.core.event import End, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.usage import Usage

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncResilientTransport",
    "AsyncStream",
    "Client",
    "ClientError",
    "End",
    "Finish",
    "GatewayUnreachable",
    "Item",
    "Patience",
    "RequestRefused",
    "ResilientTransport",
    "Start",
    "Stream",
    "StreamBuffer",
    "StreamFailed",
    "StreamInterrupted",
    "StreamProgress",
    "StreamUnavailable",
    "Text",
    "Thinking",
    "Tool",
    "ToolCall",
    "Usage",
    "resilient",
    "resilient_async",
]
