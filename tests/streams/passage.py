"""Owns one answer on its whole way, from an upstream's socket to a client's, both of them doubles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, cast

import httptools

from tests.streams.parts import ManualClock
from tidegate.core.event import End, Record
from tidegate.core.request import Header
from tidegate.core.usage import Usage
from tidegate.dialects import load_dialect, renderer
from tidegate.net import Connection, Pool
from tidegate.net.address import Address
from tidegate.server.exchange import Exchange
from tidegate.server.respond import Pace, StreamSink
from tidegate.sources import upstream
from tidegate.sources.server import Upstream
from tidegate.sources.upstream import _Call
from tidegate.streams import relay
from tidegate.streams.archive import MemoryArchive
from tidegate.streams.disk import DiskLog
from tidegate.streams.log import StreamLog
from tidegate.streams.memory import MemoryLog
from tidegate.streams.registry import Streams
from tidegate.streams.segments import Segments, Slot

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
STREAM = "3a" * 16


class Socket(asyncio.Transport):
    """The transport of a connection. ``on_write`` is called after each write, as a full buffer would."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None
        self.written = bytearray()
        self.writes = 0
        self.reading = True
        self.closed = False
        self.on_write: Callable[[], None] = lambda: None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return cast(asyncio.BaseProtocol, self.protocol)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        self.writes += 1
        self.on_write()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    close = abort


class _Body:
    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.complete = False

    def on_body(self, data: bytes) -> None:
        self.parts.append(data)

    def on_message_complete(self) -> None:
        self.complete = True


def body_of(response: bytes) -> tuple[bytes, bool]:
    """The body of a response, and whether it has ended."""
    body = _Body()
    httptools.HttpResponseParser(body).feed_data(response)
    return b"".join(body.parts), body.complete


class Outcome(NamedTuple):
    """All that can be observed of a passage."""

    body: bytes
    complete: bool
    records: list[Record]
    files: bytes
    size: int
    deltas: int
    characters: int
    last_delta_at: float
    usage: Usage | None
    writes: int
    ended: object
    error: str | None
    kept: list[Any]
    others: list[bytes]
    seen: list[Any]


class Passage:
    """One stream under way. ``relays`` counts the reads that a relay passed on by itself."""

    def __init__(
        self,
        spoken: str = "openai-chat",
        shown: str | None = None,
        *,
        folder: Path | None = None,
        segment_bytes: int = 1 << 24,
        most: int = 64 * 2**20,
        on_disconnect: Any = "cancel",
        in_steps: Callable[[Iterator[None]], object] = list,
    ) -> None:
        self.clock = ManualClock()
        self.folder = folder
        self.slot = Slot(folder) if folder is not None else None

        def make(committed: Any) -> tuple[StreamLog, MemoryArchive]:
            log: MemoryLog | DiskLog
            if self.slot is None:
                log = MemoryLog(self.clock, committed, most=most)
            else:
                segments = Segments(self.slot, segment_bytes)
                log = DiskLog(self.clock, committed, segments, most=most, in_steps=in_steps)
            return log, MemoryArchive(cast(MemoryLog, log), self.clock)

        self.streams = Streams(self.clock, make, 3600)
        shown = shown or spoken
        self.dialect = load_dialect(shown)
        self.header = Header(
            id=STREAM, caller="c", dialect=shown, model="m", created=1, on_disconnect=on_disconnect
        )
        self.stream = self.streams.create(self.header)
        self.producer = self.stream.producer
        self.kept: list[Any] = []
        """The responses as they are kept for later requests."""
        self.others: list[tuple[Socket, StreamSink]] = []
        self.seen: list[Any] = []
        """What the course has looked at."""
        self.client, self.upstream = Socket(), Socket()
        self.exchange, self.sink = self.join(self.client)
        self.connection = Connection("the upstream")
        self.connection.connection_made(self.upstream)
        self.upstream.protocol = self.connection
        dialect = load_dialect(spoken)
        address, pool = Address("x", 80, False), cast(Pool, None)
        server = Upstream("up", address, dialect, frozenset(), "", {}, {}, 1 << 20, pool, self.clock)
        self.call = _Call(server, dialect, self.connection, self.producer)
        self.call._enough = 2  # the streams are short
        self.producer.control(self.connection)
        self.connection.send(b"", self.call)
        self.relays = 0

    def join(self, client: Socket) -> tuple[Exchange, StreamSink]:
        """One more client, from the stream's first event on."""
        exchange = Exchange(
            self.dialect.name,
            [],
            client,
            http_1_0=False,
            keep_alive=True,
            max_body=1,
            serve=lambda _: None,
            on_complete=lambda: None,
        )
        rendering = renderer(self.dialect, self.header)
        pace = Pace(3600, 3600)
        sink = StreamSink(exchange, self.stream, self.dialect, rendering, b"", pace, self._keep)
        exchange.client = sink
        sink.attach(self.streams)
        return exchange, sink

    def _keep(self, header: Header, response: Any, last: End) -> None:
        self.kept.append((response, last))

    @property
    def steady(self) -> bool:
        """Whether a relay stands in the connection's place."""
        return self.upstream.protocol is not self.connection

    def read(self, *reads: bytes) -> None:
        """Have the upstream's bytes come, a read at a time, each a little later."""
        for data in reads:
            self.clock.seconds += 0.125
            protocol, steady = self.upstream.protocol, self.steady
            protocol.data_received(data)
            self.relays += steady and self.upstream.protocol is protocol

    @property
    def body(self) -> bytes:
        """What the client has of the answer."""
        return body_of(bytes(self.client.written))[0]

    @property
    def files(self) -> bytes:
        """What is in the log's files."""
        if self.folder is None:
            return b""
        return b"".join(path.read_bytes() for path in sorted(self.folder.glob("*.log")))

    def outcome(self) -> Outcome:
        """Where everything stands."""
        log, producer = self.streams.log, self.producer
        body, complete = body_of(bytes(self.client.written))
        done = self.call._done
        error = repr(done.exception()) if done.done() else None
        return Outcome(
            body=body,
            complete=complete,
            records=log.records(STREAM, 0, 1 << 40),
            files=self.files,
            size=log.size(STREAM),
            deltas=producer.deltas,
            characters=producer.characters,
            last_delta_at=producer.last_delta_at,
            usage=producer.usage,
            writes=self.exchange.writes,
            ended=producer.end_event,
            error=error,
            kept=self.kept,
            others=[bytes(socket.written) for socket, _ in self.others],
            seen=self.seen,
        )

    def close(self) -> None:
        self.streams.log.close()
        if self.slot is not None:
            self.slot.close()


Course = Callable[[Passage], None]


def both_ways(course: Course, *, on_disk: bool, **settings: Any) -> tuple[Outcome, Outcome, int]:
    """What becomes of the same course with relays and without, and how many reads the relays passed on.

    Relays are begun as often as can be.
    """

    async def went(compiled: bool) -> tuple[Outcome, int]:
        with TemporaryDirectory(prefix="tidegate-passage-") as folder:
            passage = Passage(folder=Path(folder) if on_disk else None, **settings)
            before, relay.COMPILED = relay.COMPILED, compiled
            often, upstream._MOST_ALIKE = upstream._MOST_ALIKE, 1
            try:
                course(passage)
                return passage.outcome(), passage.relays
            finally:
                relay.COMPILED, upstream._MOST_ALIKE = before, often
                passage.close()

    with_relays, passed = asyncio.run(went(True))
    without, none = asyncio.run(went(False))
    assert none == 0
    return with_relays, without, passed


def chunked(data: bytes) -> bytes:
    """A piece of a body in a chunk of its own."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def reading(reads: Iterable[bytes]) -> Course:
    """The course of an answer that comes in these reads, to its end."""
    return lambda passage: passage.read(HEAD, *reads)
