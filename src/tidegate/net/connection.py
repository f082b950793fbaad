"""One HTTP/1.1 connection to an upstream, as callbacks.

The response body goes to its receiver straight from ``data_received``: everything that one read brought
in one call, without a task, a queue or an await in between. HTTP framing is parsed by llhttp (httptools).
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable
from typing import Protocol, cast

import httptools
from msgspec import Struct

from tidegate.errors import Broken, SourceError, TidegateError, Unreachable

logger = logging.getLogger("tidegate")

_LONGEST_TAIL = 64 * 1024
"""Bytes that a connection may still bring after its receiver has left, before it is not worth reusing."""

_MOST_INFLATED = 16 * 1024 * 1024
"""Bytes that one read, of at most 256 KiB, may unfold to; more is a bomb."""


def _chunk_heads(most: int) -> tuple[bytes, ...]:
    """For a read of each length the line that it begins with if it is one whole chunk of a chunked body."""
    heads = [b"no chunk is that long"] * most
    for size in range(1, most):
        head = b"%x\r\n" % size
        if (length := len(head) + size + len(b"\r\n")) < most:
            heads[length] = head
    return tuple(heads)


_CHUNK_HEADS = _chunk_heads(2048)
"""Deltas are shorter than that; what is longer costs the parser no more than the rest of its way."""
_LONGEST_CHUNK = len(_CHUNK_HEADS)


class ResponseHead(Struct, frozen=True):
    """Status and headers, names in lower case."""

    status: int
    headers: dict[bytes, bytes]


class Receiver(Protocol):
    """Who asked. Calls come from the event loop and must not block; an exception ends the exchange."""

    def head(self, head: ResponseHead) -> None: ...

    def data(self, data: bytes) -> None: ...

    def complete(self) -> None:
        """The body ended as its framing promised."""
        ...

    def failed(self, error: TidegateError) -> None:
        """The exchange broke; nothing more will come."""
        ...


class Connection(asyncio.Protocol):
    """A connection that carries one exchange at a time."""

    __slots__ = (
        "_between_chunks",
        "_complete",
        "_direct",
        "_headers",
        "_inflate",
        "_name",
        "_parser",
        "_parts",
        "_receiver",
        "_settled",
        "_tail",
        "_transport",
        "_until_close",
        "_whole",
        "_whole_chunks",
        "answered",
        "closed",
        "exchanges",
        "on_body",
    )

    def __init__(self, name: str) -> None:
        self._name = name
        self._transport: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._parts: list[bytes] = []
        self.on_body = self._parts.append
        """What the parser calls; a method of this class would cost each delta more than the parser does."""
        self._whole = 0
        """How many of the parts came before the response was complete."""
        self._headers: dict[bytes, bytes] = {}
        self._inflate: zlib._Decompress | None = None
        self._complete = False
        self._between_chunks = False
        """The last that the parser told was the end of a chunk."""
        self._whole_chunks = False
        """The parser stands between two chunks, of which the receiver gets the content as it is."""
        self._direct: Callable[[bytes], None] | None = None
        """Where a read goes that is one whole chunk, while the parser stands between two of them.

        Nearly every delta is sent in a chunk of its own. Seen here, the parser need not see it: it stands in
        the same place before and after.
        """
        self._until_close = False
        self._tail = 0
        self._settled: Callable[[Connection], None] | None = None
        self.answered = False
        """A byte of the present response has come."""
        self.closed = False
        self.exchanges = 0

    @property
    def idle(self) -> bool:
        """Ready for the next exchange."""
        return self._receiver is None and self._parser is None and not self.closed

    @property
    def tail_pending(self) -> bool:
        """The receiver has left before the response had ended."""
        return self._settled is not None

    def send(self, request: bytes, receiver: Receiver, body: bytes = b"") -> None:
        """Begin an exchange. ``request`` is head and body, unless that is large and comes apart."""
        assert self._transport is not None
        self._receiver = receiver
        self._parser = httptools.HttpResponseParser(self)
        self._headers = {}
        self._inflate = None
        self._complete = self._until_close = self.answered = False
        self._between_chunks = self._whole_chunks = False
        self._direct = None
        self._tail = self._whole = 0
        self.exchanges += 1
        if body:
            self._transport.writelines((request, body))
        else:
            self._transport.write(request)

    def leave(self, settled: Callable[[Connection], None]) -> None:
        """The receiver has all that it wants.

        ``settled`` is called when the response has come to its end, so that the connection can be used
        again: now, or when the little that is left of the body has come.
        """
        self._receiver = self._direct = None
        self._settled = settled
        if self._complete:
            self._settle()
        else:
            self.resume_reading()

    def abort(self) -> None:
        """Close at once: the upstream sees its socket reset or closed and stops generating."""
        self._receiver = self._direct = None
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self) -> None:
        """Leave the upstream's bytes in the kernel, so that the upstream has to wait."""
        if self._transport is not None and not self.closed:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        if self._transport is not None and not self.closed:
            self._transport.resume_reading()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "idle" if self.idle else "busy"
        return f"<Connection {self._name} {state} exchanges={self.exchanges}>"

    @property
    def steady(self) -> bool:
        """See :class:`tidegate.core.steady.Passable`, as for all that follow."""
        return self._whole_chunks and not self.closed

    def redirect(self, protocol: object) -> None:
        assert self._transport is not None
        self._transport.set_protocol(cast(asyncio.Protocol, protocol))

    def take_back(self) -> None:
        if self._transport is not None:
            self._transport.set_protocol(self)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        direct = self._direct
        if direct is not None and len(data) < _LONGEST_CHUNK:
            head = _CHUNK_HEADS[len(data)]
            if data.startswith(head) and data.endswith(b"\r\n"):
                try:
                    direct(data[len(head) : -2])
                except TidegateError as error:
                    self._fail(error)
                except Exception as error:  # a defect behind the receiver must not leave its task waiting
                    self._fail(self._defect(error))
                return
        self._direct = None
        if self._parsed(data):
            # What follows the end of a chunk is told only when its line is whole.
            between = self._between_chunks and data.endswith(b"\r\n")
            self._whole_chunks = between and self._inflate is None and not self._complete
            self._pass_on()
            receiver = self._receiver
            if self._whole_chunks and receiver is not None:
                self._direct = receiver.data

    def _parsed(self, data: bytes) -> bool:
        """Take off the framing of what was read. False when nothing is to be made of it."""
        if self._parser is None:  # nobody asked: an upstream that talks out of turn is not to be reused
            self.abort()
            return False
        self.answered = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(Broken(f"{self._name} answered with a protocol upgrade"))
            return False
        except httptools.HttpParserError as error:
            if self._complete:  # bytes behind a complete response harm nobody but this connection
                self.closed = True
            elif self.exchanges > 1 and not self._headers:
                # The tail of the answer before, which was thought to be over: this one has not begun.
                self.answered = False
                self._fail(Unreachable(f"{self._name} sent bytes that belong to no response"))
                return False
            else:
                self._fail(Broken(f"{self._name} sent a response that is not HTTP: {error}"))
                return False
        return True

    def _pass_on(self) -> None:
        """Hand the receiver what the parser has told, and the end if that has come."""
        parts = self._parts
        if parts:
            if self._complete:  # what came behind the response is no part of it
                del parts[self._whole :]
                self._whole = 0
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            if self._receiver is None:
                self._drain(len(data))
                return
            if self._inflate is not None:
                data = self._inflated(data)
            try:
                if data and self._receiver is not None:
                    self._receiver.data(data)
            except TidegateError as error:
                self._fail(error)
                return
            except Exception as error:  # as in data_received
                self._fail(self._defect(error))
                return
        if self._complete and self._parser is not None:
            if self._receiver is not None:
                self._end(self._receiver)
            else:
                self._settle()

    def eof_received(self) -> None:
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        receiver, parser = self._receiver, self._parser
        self._receiver = self._parser = self._direct = None
        if receiver is None or parser is None:
            return
        if self._until_close and exc is None and not self._complete:
            self._end(receiver)
        elif not self._complete:
            detail = f": {exc}" if exc is not None else ""
            if self.answered:
                receiver.failed(Broken(f"{self._name} closed the connection in mid-answer{detail}"))
            else:
                receiver.failed(Unreachable(f"{self._name} closed the connection without an answer{detail}"))

    # httptools

    def on_message_begin(self) -> None:
        if self._complete:  # a response that nobody asked for: none of it is told
            self.closed = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._complete:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < 200 or self._complete:  # 100 Continue and the like: the response is still to come
            return
        headers = self._headers
        encoding = headers.get(b"content-encoding", b"").strip().lower()
        if encoding in (b"gzip", b"x-gzip", b"deflate"):
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._until_close = b"content-length" not in headers and b"transfer-encoding" not in headers
        if self._receiver is not None:
            self._receiver.head(ResponseHead(status, headers))

    def on_chunk_header(self) -> None:
        self._between_chunks = False

    def on_chunk_complete(self) -> None:
        self._between_chunks = True

    def on_message_complete(self) -> None:
        assert self._parser is not None
        if self._complete:
            return
        if self._parser.get_status_code() < 200:
            self._headers = {}
            return
        self._complete = True
        self._whole = len(self._parts)
        if not self._parser.should_keep_alive():
            self.closed = True

    # the rest

    def _end(self, receiver: Receiver) -> None:
        """The body has ended; what a receiver makes of that must not leave its task waiting either."""
        self._receiver = self._direct = None
        error: TidegateError
        try:
            receiver.complete()
        except TidegateError as raised:
            error = raised
        except Exception as raised:  # see data_received
            error = self._defect(raised)
        else:
            return
        self.abort()
        receiver.failed(error)

    def _defect(self, error: Exception) -> SourceError:
        logger.exception("%s: a defect ended an exchange", self._name)
        return SourceError(f"the gateway failed: {type(error).__name__}", status=500)

    def _inflated(self, data: bytes) -> bytes:
        """What compressed bytes unfold to; nothing, and the exchange has failed, when they do not."""
        assert self._inflate is not None
        try:
            inflated = self._inflate.decompress(data, _MOST_INFLATED)
        except zlib.error as error:
            self._fail(Broken(f"{self._name} sent a body that does not decompress: {error}"))
            return b""
        if self._inflate.unconsumed_tail:
            self._fail(Broken(f"{self._name} sent a body that decompresses to too much"))
            return b""
        return inflated

    def _drain(self, size: int) -> None:
        """Bytes behind what the receiver wanted: few are dropped, many are not waited for."""
        self._tail += size
        if self._complete:
            self._settle()
        elif self._tail > _LONGEST_TAIL:
            self.abort()

    def _settle(self) -> None:
        """The response has ended and its receiver has left: the connection is idle, or of no more use."""
        self._parser = None
        settled, self._settled = self._settled, None
        if self.closed and self._transport is not None:
            self._transport.abort()
        elif settled is not None:
            settled(self)

    def _fail(self, error: TidegateError) -> None:
        receiver = self._receiver
        self.abort()
        if receiver is not None:
            receiver.failed(error)
