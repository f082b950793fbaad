"""The thread that makes what was written survive a power cut: one sync for all that came during the last."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence

from tidegate.core.event import AnyEvent

Appended = tuple[str, Sequence[AnyEvent]]
"""A stream's id, and events of it that are written and not yet safe."""


class GroupSync:
    """Calls ``sync`` in a thread, and ``synced`` on the event loop with what that has made safe, in order."""

    def __init__(
        self, sync: Callable[[], None], synced: Callable[[Sequence[Appended], OSError | None], None]
    ) -> None:
        self._sync = sync
        self._synced = synced
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Appended] = deque()
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="tidegate-sync", daemon=True)
        self._thread.start()

    def add(self, stream: str, events: Sequence[AnyEvent]) -> None:
        """These events are written."""
        self._waiting.append((stream, events))
        self._wake.set()

    def close(self) -> None:
        """Sync what waits, and stop."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while count := len(self._waiting):  # what is added from here on may miss this sync
                error = None
                try:
                    self._sync()
                except OSError as raised:
                    error = raised
                batch = [self._waiting.popleft() for _ in range(count)]
                if not self._loop.is_closed():
                    self._loop.call_soon_threadsafe(self._synced, batch, error)
            if self._closed:
                return
