"""One response, read by whoever pulls: for answers that are awaited rather than pumped by callbacks."""

from __future__ import annotations

import asyncio

from tidegate.errors import TidegateError
from tidegate.net.connection import Connection, ResponseHead

_MOST_AHEAD = 256 * 1024
"""Bytes that may wait for the reader before the upstream has to."""


class Pull:
    """Collects a response until it is asked for. Implements :class:`tidegate.net.Receiver`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._head: asyncio.Future[ResponseHead] = self._loop.create_future()
        self._parts: list[bytes] = []
        self._waiting = 0
        self._paused = False
        self._error: TidegateError | None = None
        self._more: asyncio.Future[None] | None = None
        self.ended = False
        """The body has come to its end."""

    async def response(self) -> ResponseHead:
        """The head of the response, waited for. Raises SourceError."""
        return await self._head

    async def read(self) -> bytes:
        """What has come of the body, at least a byte; empty at its end. Raises SourceError."""
        while not self._parts and not self.ended and self._error is None:
            self._more = self._loop.create_future()
            await self._more
        if self._parts:
            data = b"".join(self._parts)
            self._parts, self._waiting = [], 0
            if self._paused:
                self._paused = False
                self._connection.resume_reading()
            return data
        if self._error is not None:
            raise self._error
        return b""

    async def read_whole(self, most: int) -> bytes | None:
        """The rest of the body; None when it is longer than ``most`` bytes."""
        parts = []
        size = 0
        while data := await self.read():
            size += len(data)
            if size > most:
                return None
            parts.append(data)
        return b"".join(parts)

    def head(self, head: ResponseHead) -> None:
        if not self._head.done():
            self._head.set_result(head)

    def data(self, data: bytes) -> None:
        self._parts.append(data)
        self._waiting += len(data)
        if self._waiting > _MOST_AHEAD and not self._paused:
            self._paused = True
            self._connection.pause_reading()
        self._wake()

    def complete(self) -> None:
        self.ended = True
        self._wake()

    def failed(self, error: TidegateError) -> None:
        self._error = error
        if not self._head.done():
            self._head.set_exception(error)
        self._wake()

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)
