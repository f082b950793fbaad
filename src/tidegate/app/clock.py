"""The clock and the ids of a running gateway; tests bring their own."""

from __future__ import annotations

import asyncio
import os
import time


def random_id() -> str:
    """See :class:`tidegate.core.clock.Ids`."""
    return os.urandom(16).hex()


class SystemClock:
    """The clocks of this machine; monotonic time is the event loop's, which costs nothing to ask."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.monotonic = loop.time

    def now_ms(self) -> int:
        """See :class:`tidegate.core.clock.Clock`."""
        return time.time_ns() // 1_000_000
