"""Questions and answers between the owner and one worker: a line of JSON each, both ways, on one socket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

logger = logging.getLogger("tidegate")

_LONGEST_LINE: Final = 256 << 20
"""Settings hold what providers listed, which may be thousands of models with all that is told of them."""

Answers = Mapping[str, Callable[[Any], Awaitable[Any]]]
"""Question to what answers it, from one JSON value to another."""


class ChannelClosed(ConnectionError):
    """The other process has gone."""


class _Message(msgspec.Struct, omit_defaults=True):
    """A question has a ``name``, an answer has none."""

    number: int
    name: str = ""
    value: Any = None
    failed: bool = False


class Channel:
    """One end. :meth:`listen` has to run for questions and answers to come in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: Answers) -> None:
        self._reader = reader
        self._writer = writer
        self._answers = answers
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._gone = False

    @classmethod
    async def over(cls, end: socket.socket, answers: Answers) -> Channel:
        """A channel on a connected Unix socket, which it owns from now on."""
        reader, writer = await asyncio.open_unix_connection(sock=end, limit=_LONGEST_LINE)
        return cls(reader, writer, answers)

    async def ask(self, name: str, value: Any = None) -> Any:
        """What the other side answers. Raises ChannelClosed when it has gone before it did."""
        if self._gone:
            raise ChannelClosed(name)
        self._count += 1
        number = self._count
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(_Message(number, name, value))
            return await answer
        finally:
            del self._asked[number]

    def close(self) -> None:
        """Go; the other side notices."""
        self._writer.transport.abort()

    async def listen(self) -> None:
        """Answer questions until the other side has gone."""
        try:
            with contextlib.suppress(OSError, msgspec.DecodeError):
                while line := await self._reader.readline():
                    self._received(msgspec.json.decode(line, type=_Message))
        finally:
            self._gone = True
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(ChannelClosed("the other process has gone"))
                    answer.exception()  # perhaps nobody waits for it any more
            for task in self._tasks:
                task.cancel()
            self.close()

    def _received(self, message: _Message) -> None:
        if message.name:
            task = asyncio.get_running_loop().create_task(self._answer(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        answer = self._asked.get(message.number)
        if answer is None or answer.done():
            return
        if message.failed:
            answer.set_exception(ChannelClosed("the other process failed; its log says why"))
        else:
            answer.set_result(message.value)

    async def _answer(self, message: _Message) -> None:
        try:
            answer = _Message(message.number, value=await self._answers[message.name](message.value))
        except Exception:  # a defect in one answer must not end the channel, and is told to whoever asked
            logger.exception("a defect ended the question %r of another process", message.name)
            answer = _Message(message.number, failed=True)
        self._send(answer)

    def _send(self, message: _Message) -> None:
        if not self._gone:
            self._writer.write(msgspec.json.encode(message) + b"\n")
