"""The Python client of a gateway: asks, streams and resumes. Knows nothing of the server's own code.

Importing this imports no HTTP library: the transports for the official SDKs use the one that the SDK brings.
"""

from __future__ import annotations

from tidegate.client.patience import Patience
from tidegate.client.transport import (
    AsyncResilientTransport,
    ResilientTransport,
    resilient,
    resilient_async,
)

__all__ = [
    "AsyncResilientTransport",
    "Patience",
    "ResilientTransport",
    "resilient",
    "resilient_async",
]
