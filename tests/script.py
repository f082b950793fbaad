"""Owns the steps that a scripted upstream plays for one request, and the gate that lets a test hold it up.

A step says what goes onto the wire and when; which request gets which steps is the upstream's business."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Framing = Literal["chunked", "length", "close"]


class Gate:
    """A door between two threads: a script waits at it on the upstream's loop until the test opens it."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def open(self) -> None:
        with self._lock:
            self._opened.set()
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            loop.call_soon_threadsafe(event.set)

    @property
    def is_open(self) -> bool:
        return self._opened.is_set()

    def wait(self, timeout: float = 10.0) -> None:
        """Blocks the test until the gate is open; fails the test after `timeout` seconds."""
        if not self._opened.wait(timeout):
            raise AssertionError(f"the gate was still shut after {timeout:g} s")

    async def passed(self) -> None:
        event = asyncio.Event()
        with self._lock:
            if self._opened.is_set():
                return
            self._waiting.append((asyncio.get_running_loop(), event))
        await event.wait()


class Closable(Protocol):
    """The record of a connection, told when a script closes it, so that the peer is not blamed."""

    closed_by_script: bool


@dataclass(slots=True)
class Exchange:
    """One answer under way: where its bytes go and how its body is framed."""

    writer: asyncio.StreamWriter
    connection: Closable
    framing: Framing = "chunked"
    compressor: zlib._Compress | None = None
    reusable: bool = False
    closed: bool = False
    body_bytes: int = 0

    async def write(self, data: bytes) -> None:
        if self.closed:
            return
        self.reusable = False  # whatever follows the end of an answer ends the connection with it
        self.writer.write(data)
        await self.writer.drain()

    async def write_body(self, data: bytes) -> None:
        self.body_bytes += len(data)
        if self.compressor is not None:
            data = self.compressor.compress(data) + self.compressor.flush(zlib.Z_SYNC_FLUSH)
        await self.write(as_chunk(data) if self.framing == "chunked" else data)

    async def end_body(self) -> None:
        if self.compressor is not None:
            tail = self.compressor.flush(zlib.Z_FINISH)
            await self.write(as_chunk(tail) if self.framing == "chunked" else tail)
        if self.framing == "chunked":
            await self.write(b"0\r\n\r\n")
        if self.framing == "close":
            self.close()
        self.reusable = not self.closed

    def close(self) -> None:
        self.closed = self.connection.closed_by_script = True
        self.reusable = False
        self.writer.close()

    def reset(self) -> None:
        """Ends the connection with RST: no lingering, so the kernel drops what it still holds."""
        self.closed = self.connection.closed_by_script = True
        self.reusable = False
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Step(Protocol):
    async def play(self, exchange: Exchange) -> None: ...


Script = Sequence[Step]


def as_chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; empty for no data, because an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def cut(data: bytes, each: int | None = None, at: Sequence[int] = ()) -> Iterator[bytes]:
    """The same bytes in several pieces: of `each` bytes, or parted at the offsets `at`, or whole."""
    if each is not None:
        at = range(each, len(data), each)
    start = 0
    for offset in at:
        if start < offset < len(data):
            yield data[start:offset]
            start = offset
    yield data[start:]


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers; the framing chosen here holds for the body steps that follow."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    framing: Framing = "chunked"
    length: int | None = None
    gzip: bool = False

    async def play(self, exchange: Exchange) -> None:
        exchange.framing = self.framing
        lines = {"Content-Type": "text/event-stream", **self.headers}
        if self.framing == "chunked":
            lines["Transfer-Encoding"] = "chunked"
        elif self.framing == "length":
            lines["Content-Length"] = str(self.length or 0)
        else:
            lines["Connection"] = "close"
        if self.gzip:
            lines["Content-Encoding"] = "gzip"
            exchange.compressor = zlib.compressobj(wbits=31)
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        await exchange.write(f"HTTP/1.1 {self.status} Scripted\r\n{head}\r\n".encode("latin-1"))


@dataclass(frozen=True, slots=True)
class Send:
    """Body bytes; every piece leaves in a write, and in chunked framing in a chunk, of its own."""

    data: bytes
    each: int | None = None
    at: Sequence[int] = ()

    async def play(self, exchange: Exchange) -> None:
        for piece in cut(self.data, self.each, self.at):
            await exchange.write_body(piece)
            # Gives the other side a chance to read this piece before the next one joins it in its buffer.
            await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes outside of any framing: a broken chunk head, a second answer, noise after the body."""

    data: bytes
    each: int | None = None
    at: Sequence[int] = ()

    async def play(self, exchange: Exchange) -> None:
        for piece in cut(self.data, self.each, self.at):
            await exchange.write(piece)
            await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Flood:
    """The same body bytes many times, as fast as they are read; `sent` gets the size of every write."""

    data: bytes
    times: int
    sent: list[int] = field(default_factory=list)

    async def play(self, exchange: Exchange) -> None:
        for _ in range(self.times):
            await exchange.write_body(self.data)
            self.sent.append(len(self.data))


@dataclass(frozen=True, slots=True)
class WaitFor:
    gate: Gate

    async def play(self, exchange: Exchange) -> None:
        await self.gate.passed()


@dataclass(frozen=True, slots=True)
class Reach:
    """Opens a gate that the test waits at: all that stands before it in the script is on the wire."""

    gate: Gate

    async def play(self, exchange: Exchange) -> None:
        self.gate.open()


@dataclass(frozen=True, slots=True)
class Pause:
    """A silence of the upstream, in seconds: something to measure, never a way to wait for the gateway."""

    seconds: float

    async def play(self, exchange: Exchange) -> None:
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True, slots=True)
class Stall:
    """Says nothing more and keeps the connection open until the other side closes it."""

    async def play(self, exchange: Exchange) -> None:
        await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class End:
    """Ends the body in the way that its framing asks for; the connection stays open where it can."""

    async def play(self, exchange: Exchange) -> None:
        await exchange.end_body()


@dataclass(frozen=True, slots=True)
class Close:
    """A clean FIN, wherever the body is."""

    async def play(self, exchange: Exchange) -> None:
        exchange.close()


@dataclass(frozen=True, slots=True)
class Reset:
    """A RST, wherever the body is."""

    async def play(self, exchange: Exchange) -> None:
        exchange.reset()


@dataclass(frozen=True, slots=True)
class CutChunk:
    """A chunk that announces more bytes than it brings, and then a FIN."""

    data: bytes = b"data: {"
    announced: int = 500

    async def play(self, exchange: Exchange) -> None:
        await exchange.write(b"%x\r\n%b" % (self.announced, self.data))
        exchange.close()
