"""Stops a stream and waits until it has ended, wherever it is produced."""

from __future__ import annotations

import asyncio
from typing import Final

from tidegate.streams.registry import Readable

_CANCEL_SECONDS: Final = 5.0
"""A source that is cancelled lets go within this time."""

_POLL_SECONDS: Final = 0.005


async def stop(stream: Readable) -> None:
    """Cancel a stream, and wait for its end, unless that takes too long."""
    stream.cancel()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _CANCEL_SECONDS
    while stream.end is None and loop.time() < deadline:  # noqa: ASYNC110 - only its readers are told of an end
        await asyncio.sleep(_POLL_SECONDS)
