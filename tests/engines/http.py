"""Owns a bare HTTP/1.1 client for an engine's Unix socket, which keeps the chunks of an answer apart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any

Json = dict[str, Any]


class Client:
    """One connection; requests follow each other on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.status = 0
        self.fields: dict[str, str] = {}

    @classmethod
    async def connect(cls, socket: str) -> Client:
        return cls(*await asyncio.open_unix_connection(socket, limit=1 << 26))

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Go away at once, as a cancelled request does."""
        self.writer.transport.abort()

    async def get(self, path: str) -> Json:
        await self.send("GET", path, b"")
        return await self.body()

    async def post(self, body: Json, path: str = "/v1/chat/completions") -> Json:
        """A whole answer, or an error."""
        await self.send("POST", path, json.dumps(body).encode())
        return await self.body()

    async def open_stream(self, body: Json, path: str = "/v1/chat/completions") -> None:
        """Send a streaming request and return when the head of its answer is there."""
        await self.send("POST", path, json.dumps(body | {"stream": True}).encode())
        await self.head()

    async def stream(self, body: Json, path: str = "/v1/chat/completions") -> list[Json]:
        """All chunks of an answer that ends in success."""
        await self.open_stream(body, path)
        assert self.status == 200, await self.rest()
        events = [event async for event in self.events()]
        assert events[-1] == "[DONE]", events[-1]
        return [json.loads(event) for event in events[:-1]]

    async def events(self) -> AsyncIterator[str]:
        """The data of each event; every HTTP chunk must hold exactly one."""
        async for chunk in self.chunks():
            text = chunk.decode()
            assert text.startswith("data: "), text
            assert text.endswith("\n\n"), text
            assert text.count("\n") == 2, text
            yield text[6:-2]

    async def chunks(self) -> AsyncIterator[bytes]:
        """Chunks of a chunked body; IncompleteReadError where it breaks off."""
        while True:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            data = await self.reader.readexactly(size + 2)
            if size == 0:
                return
            yield data[:-2]

    async def send(self, method: str, path: str, body: bytes) -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: engine\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()

    async def head(self) -> None:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.fields = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }

    async def body(self) -> Json:
        await self.head()
        return await self.rest()

    async def rest(self) -> Json:
        content: Json = json.loads(await self.reader.readexactly(int(self.fields["content-length"])))
        return content


def user(text: str) -> Json:
    """A request with one message."""
    return {"messages": [{"role": "user", "content": text}]}


def joined(chunks: list[Json], field: str = "content", choice: int = 0) -> str:
    """What the deltas of one choice add up to."""
    deltas = (item for chunk in chunks for item in chunk["choices"] if item["index"] == choice)
    return "".join(item["delta"].get(field) or "" for item in deltas)


def finish(chunks: list[Json], choice: int = 0) -> str:
    """The one reason for which a choice ended."""
    items = (item for chunk in chunks for item in chunk["choices"] if item["index"] == choice)
    (reason,) = [item["finish_reason"] for item in items if item["finish_reason"]]
    assert isinstance(reason, str)
    return reason
