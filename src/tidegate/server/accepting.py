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
_LEFT_SECONDS: Final = 0.001
"""How long a connection is left to another process, before it is taken anyway."""


class Accepting:
    """Calls ``serve`` with each connection of ``listener``, in a task.

    uvloop's own server takes one connection a turn, so that a burst of clients behind many open streams would
    wait for seconds, and overflow the listener's backlog.
    """

    def __init__(
        self,
        listener: socket.socket,
        serve: Callable[[socket.socket], Coroutine[None, None, None]],
        leave: Callable[[int], bool] | None = None,
    ) -> None:
        """``leave``: whether the next one is left to another process that accepts from the same listener.

        It is told how many were accepted and have not begun to be served. What is still there a millisecond
        later is taken all the same.
        """
        self._listener = listener
        self._serve = serve
        self._leave = leave
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

    def _accept(self, at_least: int = 0) -> None:
        for number in range(_MOST_ACCEPTED):
            if number >= at_least and self._leave is not None and self._leave(len(self._tasks)):
                self._pause(_LEFT_SECONDS)
                return
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # out of descriptors: those that wait are served when one is free
                logger.error("cannot accept connections: %s", error.strerror or error)
                self._pause(_ACCEPT_PAUSE)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener.fileno(), self._accept)
            self._accept(at_least=1)
