"""Owns the two clients behind one face, so that every test of theirs is written once and run on both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.client.sdks import QUICK
from tidegate.client import Answer, AsyncClient, Client, Patience
from tidegate.core.event import AnyEvent

ASKED: dict[str, Any] = {"model": "m", "messages": "x"}


@dataclass
class Read:
    """What was read of a stream until ``error`` or the end."""

    events: list[AnyEvent]
    stream_id: str | None
    cursor: str | None
    answer: Answer
    error: Exception | None = None


class Blocking:
    """The client that blocks."""

    def __init__(self, url: str, patience: Patience = QUICK, key: str | None = None) -> None:
        self.client = Client(url, key, patience=patience)

    def read(self, open_stream: Callable[[Any], Any], most: int | None = None, leave: str = "") -> Read:
        """Read ``most`` events of a stream, or all; ``leave`` names what is called before it is left."""
        events: list[AnyEvent] = []
        error: Exception | None = None
        stream = open_stream(self.client)
        try:
            with stream:
                if most != 0:
                    for event in stream:
                        events.append(event)
                        if len(events) == most:
                            break
                if leave:
                    getattr(stream, leave)()
        except Exception as raised:  # the test looks at it
            error = raised
        return Read(events, stream.stream_id, stream.cursor, stream.answer(), error)

    def text(self, open_stream: Callable[[Any], Any]) -> list[str]:
        with open_stream(self.client) as stream:
            return list(stream.text())

    def call(self, what: Callable[[Any], Any]) -> Any:
        return what(self.client)


class Awaiting:
    """The client that awaits."""

    def __init__(self, url: str, patience: Patience = QUICK, key: str | None = None) -> None:
        self.client = AsyncClient(url, key, patience=patience)

    def read(self, open_stream: Callable[[Any], Any], most: int | None = None, leave: str = "") -> Read:
        return asyncio.run(self._read(open_stream, most, leave))

    async def _read(self, open_stream: Callable[[Any], Any], most: int | None, leave: str) -> Read:
        events: list[AnyEvent] = []
        error: Exception | None = None
        stream = open_stream(self.client)
        try:
            async with stream:
                if most != 0:
                    async for event in stream:
                        events.append(event)
                        if len(events) == most:
                            break
                if leave:
                    left = getattr(stream, leave)()
                    if left is not None:
                        await left
        except Exception as raised:  # the test looks at it
            error = raised
        return Read(events, stream.stream_id, stream.cursor, stream.answer(), error)

    def text(self, open_stream: Callable[[Any], Any]) -> list[str]:
        async def read() -> list[str]:
            async with open_stream(self.client) as stream:
                return [text async for text in stream.text()]

        return asyncio.run(read())

    def call(self, what: Callable[[Any], Any]) -> Any:
        async def called() -> Any:
            return await what(self.client)

        return asyncio.run(called())
