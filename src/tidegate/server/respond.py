"""The response to a generation: a reader's sink on a client's exchange.

Headers are held back until there is something to show, so that an early failure keeps its true status;
after ``header_hold`` seconds they are committed, and from then on no silence is longer than ``keep_alive``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.core.event import End, Failure
from tidegate.core.request import Header
from tidegate.dialects import Renderer, Shown, renderer, status_of
from tidegate.dialects.cursor import Numbered
from tidegate.errors import InvalidRequest
from tidegate.server.exchange import Exchange
from tidegate.server.responses.keeping import Keep, cancelled
from tidegate.streams.reader import Reader, Way
from tidegate.streams.registry import Readable, Streams

_STREAM_HEADERS = (
    b"cache-control: no-cache, no-transform\r\n"
    b"x-accel-buffering: no\r\n"  # nginx would collect the stream otherwise
    b"connection: keep-alive\r\n"
)


EVENT_IDS = b"tidegate-event-ids"
_REQUEST_ID = b"x-request-id: "
_LONGEST_DROPPED = 1000
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
"""Callers choose the names of their fields, so they may hold anything."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds until headers are committed, and the longest silence after that."""

    header_hold: float
    keep_alive: float


def respond(
    exchange: Exchange,
    stream: Readable,
    streams: Streams,
    dialect: Shown,
    pace: Pace,
    headers: bytes,
    keep: Keep | None = None,
    header: Header | None = None,
) -> None:
    """Answer ``exchange`` with what ``stream`` says. ``headers`` go with every form of the answer.

    ``keep`` gets the response object of a dialect that has one, before the client sees its end. ``header`` is
    what to render from where that is not the stream's own.
    """
    header = header or stream.header
    rendering = renderer(dialect, header)
    if exchange.header(EVENT_IDS) is not None:
        rendering = numbered(rendering, exchange)
    headers += of_stream(exchange, stream)
    sink: WholeSink
    if header.stream:
        sink = StreamSink(exchange, stream, dialect, rendering, headers, pace, keep)
    else:
        sink = WholeSink(exchange, stream, dialect, rendering, headers, keep)
    exchange.client = sink
    sink.attach(streams)


def of_stream(exchange: Exchange, stream: Readable) -> bytes:
    """The headers of every answer that comes from a stream."""
    name = stream.header.id
    return b"tidegate-stream: %b\r\n" % name.encode() + request_id(exchange, name)


def numbered(rendering: Renderer, exchange: Exchange) -> Renderer:
    """The rendering with a cursor before each frame where these are asked for and are events of SSE."""
    if wants_event_ids(exchange) and rendering.content_type.startswith(b"text/event-stream"):
        return Numbered(rendering)
    return rendering


def wants_event_ids(exchange: Exchange) -> bool:
    """Whether frames are to have their cursors. Raises InvalidRequest."""
    asked = exchange.header(EVENT_IDS)
    if asked is None or asked == b"0":
        return False
    if asked != b"1":
        raise InvalidRequest(f"the header Tidegate-Event-Ids must be 1, not {asked.decode('latin-1')!r}")
    return True


def request_id(exchange: Exchange, made: str) -> bytes:
    """The header that names a request: the caller's own id where it can be a header, else ours."""
    asked = exchange.header(b"x-request-id")
    name = asked if asked is not None and is_request_id(asked) else made.encode()
    return b"%b%b\r\n" % (_REQUEST_ID, name)


def is_request_id(asked: bytes) -> bool:
    """Whether a caller's own id can be a header of the answer."""
    return 0 < len(asked) <= 128 and asked.isascii()


def dropped_header(fields: Sequence[str]) -> bytes:
    """The header that names the fields of a request which the upstream was not told."""
    names = ", ".join(fields)[:_LONGEST_DROPPED]
    return b"tidegate-dropped: %b\r\n" % _UNPRINTABLE.sub("?", names).encode("ascii")


def refuse(exchange: Exchange, failure: Failure, dialect: Shown, headers: bytes) -> None:
    """Answer with an error and its true status, in the dialect that was spoken."""
    request = headers.partition(_REQUEST_ID)[2].partition(b"\r\n")[0].decode("ascii")
    body = dialect.render_error(failure, request or None)
    headers += b"content-type: application/json\r\n"
    if failure.retry_after is not None:
        headers += b"retry-after: %d\r\n" % max(1, round(failure.retry_after))
    status = status_of(dialect, failure)
    exchange.respond(status if 400 <= status < 600 and status != 499 else 500, headers, body)


class _Keeper:
    """Takes the place of a client that has left, until the response can be kept."""

    __slots__ = ("_keep", "_reader", "_renderer", "_stream")

    def __init__(self, stream: Readable, reader: Reader, renderer: Renderer, keep: Keep) -> None:
        self._stream = stream
        self._reader = reader
        self._renderer = renderer
        self._keep = keep

    def write(self, data: bytes) -> None:
        """Nobody is there."""

    def end(self, data: bytes, last: End) -> None:
        self._stream.detach(self._reader)
        _keep(self._keep, self._stream, self._renderer, last)


def _keep(keep: Keep, stream: Readable, renderer: Renderer, last: End) -> None:
    """Keep what a client has seen of a response, or could have."""
    response = getattr(renderer, "response", None)
    if response is None:
        return
    if last.outcome != "failed" or stream.visible:
        keep(stream.header, response, last)


class WholeSink:
    """A whole answer: one response, when the stream has ended. Implements the reader's Sink."""

    __slots__ = ("_dialect", "_exchange", "_headers", "_keep", "_reader", "_renderer", "_stream")

    def __init__(
        self,
        exchange: Exchange,
        stream: Readable,
        dialect: Shown,
        renderer: Renderer,
        headers: bytes,
        keep: Keep | None,
    ) -> None:
        self._exchange = exchange
        self._stream = stream
        self._dialect = dialect
        self._renderer = renderer
        self._headers = headers
        self._keep = keep
        self._reader: Reader | None = None

    def attach(self, streams: Streams) -> None:
        """Begin to read."""
        self._reader = Reader(self._stream.header.id, streams.log, self._renderer, self)
        self._stream.attach(self._reader)

    def write(self, data: bytes) -> None:
        raise AssertionError("a whole answer is rendered at its end")

    def end(self, data: bytes, last: End) -> None:
        self._leave()
        if self._keep is not None:
            _keep(self._keep, self._stream, self._renderer, last)
        stopped = cancelled(self._renderer, last)
        if stopped is not None:
            self._exchange.respond(200, self._head(), stopped)
        elif last.error is not None:
            refuse(self._exchange, last.error, self._dialect, self._headers)
        else:
            self._exchange.respond(200, self._head(), data)

    def _head(self) -> bytes:
        """The header lines of a success: what the request asked in vain is told here."""
        head = b"content-type: %b\r\n%b" % (self._renderer.content_type, self._headers)
        dropped = self._stream.dropped
        return head + dropped_header(dropped) if dropped else head

    def gone(self) -> None:
        reader = self._reader
        if self._keep is None or reader is None or self._stream.header.on_disconnect == "cancel":
            self._leave()
            return
        # The stream goes on to its end, and what comes is still wanted.
        self._reader = None
        self._leave()
        reader.redirect(_Keeper(self._stream, reader, self._renderer, self._keep))
        self._stream.unblock(reader)

    def blocked(self) -> None:
        if self._reader is not None:
            self._stream.block(self._reader)

    def unblocked(self) -> None:
        if self._reader is not None:
            self._stream.unblock(self._reader)

    def _leave(self) -> None:
        reader, self._reader = self._reader, None
        self._exchange.client = None
        if reader is not None:
            self._stream.detach(reader)


class StreamSink(WholeSink):
    """A streamed answer. One timer per stream, armed again only when it fires."""

    __slots__ = ("_loop", "_opened", "_pace", "_timer", "_writes")

    def __init__(
        self,
        exchange: Exchange,
        stream: Readable,
        dialect: Shown,
        renderer: Renderer,
        headers: bytes,
        pace: Pace,
        keep: Keep | None,
    ) -> None:
        super().__init__(exchange, stream, dialect, renderer, headers, keep)
        self._loop = asyncio.get_running_loop()
        self._pace = pace
        self._opened = False
        self._writes = 0
        """How many writes the exchange had seen when the timer was armed."""
        self._timer = self._loop.call_later(pace.header_hold, self._tick)

    def write(self, data: bytes) -> None:
        if self._opened:
            self._exchange.write(data)
        else:
            self._open(data)

    def way(self) -> Way | None:
        """See :class:`tidegate.streams.reader.Opening`."""
        chunks = self._exchange.chunks if self._opened else None
        return None if chunks is None else Way(chunks, self._wrote)

    def _wrote(self, writes: int) -> None:
        self._exchange.writes += writes

    def end(self, data: bytes, last: End) -> None:
        self._leave()
        if self._keep is not None:
            _keep(self._keep, self._stream, self._renderer, last)
        if self._opened and not data and last.error is not None:
            self._exchange.break_off()  # nothing could tell the client
        elif self._opened:
            self._exchange.close(data)
        elif last.error is not None and not (data and self._stream.visible):
            refuse(self._exchange, last.error, self._dialect, self._headers)
        else:
            self._open(data)
            self._exchange.close(b"")

    def _open(self, data: bytes) -> None:
        self._opened = True
        if self._reader is not None:
            self._reader.write = self._exchange.write
        self._exchange.open(self._head() + _STREAM_HEADERS, data)

    def _tick(self) -> None:
        reader = self._reader
        if reader is None:
            return
        self._stream.settle()
        if not self._opened:
            self._stream.commit_start()
            if not self._opened:  # a dialect whose answers begin with their first delta
                self._open(self._renderer.keep_alive())
        elif self._writes == self._exchange.writes and not reader.blocked:
            if not reader.seq:
                self._stream.commit_start()  # one that came later may be the first to wait for it
            self._exchange.write(self._renderer.keep_alive())
        # Half of the longest silence: what is written just after one tick is missed by the next.
        self._writes = self._exchange.writes
        self._timer = self._loop.call_later(self._pace.keep_alive / 2, self._tick)

    def _leave(self) -> None:
        self._timer.cancel()
        super()._leave()
