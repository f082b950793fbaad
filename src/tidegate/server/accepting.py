"""Accepts connections: all that wait, at each turn of the event loop."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Final

logger = logging.getLogger("tidegate")

_MOST_ACCEPTED: Final = 256
"""Connections taken at one turn of the event loop: more would keep streams waiting."""

_ACCEPT_PAUSE: Final = 0.1


class Accepting:
    """Calls ``serve`` with each connection of ``listener``, in a task.

    uvloop's own server takes one connection a turn, so that a burst of clients behind many open streams would
    wait for seconds, and overflow the listener's backlog.
    """

    def __init__(
        self, listener: socket.socket, serve: Callable[[socket.socket], Coroutine[None, None, None]]
    ) -> None:
        self._listener = listener
        self._serve = serve
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop.add_reader(listener.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more and give the address back."""
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()

    def cancel(self) -> None:
        """End the tasks as well."""
        for task in self._tasks:
            task.cancel()

    def _accept(self) -> None:
        for _ in range(_MOST_ACCEPTED):
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # out of descriptors: those that wait are served when one is free
                logger.error("cannot accept connections: %s", error.strerror or error)
                self._loop.remove_reader(self._listener.fileno())
                self._loop.call_later(_ACCEPT_PAUSE, self._resume)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _resume(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener.fileno(), self._accept)
