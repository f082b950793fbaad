"""One request and its response on a client's connection, with the bytes of HTTP/1.1 and nothing above.

Stands where uvicorn's own request-response cycle would stand, for the paths that uvicorn does not serve.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from io import BytesIO
from typing import Protocol

from tidegate.server.handover import Connection

STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus
}


def status_line(status: int) -> bytes:
    """The first line of a response, also for a status that has no name, such as Cloudflare's 520."""
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d Upstream Error\r\n" % status


_LINGER_SECONDS = 2.0
"""So long a client may go on sending a body that was refused, so that it gets to read why."""


class Client(Protocol):
    """What an exchange's response goes to, while it is under way."""

    def gone(self) -> None:
        """The client has closed its connection."""
        ...

    def blocked(self) -> None:
        """The client does not take any more for now."""
        ...

    def unblocked(self) -> None:
        """The client takes more again."""
        ...


class Flow(Protocol):
    """What knows whether the client takes any more for now."""

    write_paused: bool


class _NoEvent:
    """The event that uvicorn sets to wake an ASGI task; here no task waits."""

    def set(self) -> None:
        return None


_NO_EVENT = _NoEvent()


class Exchange:
    """A request as it came in, and the ways to answer it."""

    __slots__ = (
        "_chunked",
        "_first",
        "_flow",
        "_on_complete",
        "_rest",
        "_serve",
        "_size",
        "_transport",
        "arrived",
        "begun",
        "body",
        "client",
        "connection",
        "dialect",
        "disconnected",
        "headers",
        "keep_alive",
        "max_body",
        "message_event",
        "more_body",
        "path",
        "response_complete",
        "writes",
    )

    def __init__(
        self,
        dialect: str,
        headers: list[tuple[bytes, bytes]],
        transport: asyncio.Transport,
        *,
        path: str = "",
        http_1_0: bool,
        keep_alive: bool,
        max_body: int,
        serve: Callable[[Exchange], None],
        on_complete: Callable[[], None],
        flow: Flow | None = None,
        connection: Connection | None = None,
    ) -> None:
        self.connection = connection
        """For handing it over to another worker process; see handover.py."""
        self.dialect = dialect
        self._flow = flow
        self.headers = headers
        self._first = dict(reversed(headers))
        self.keep_alive = keep_alive
        self.path = path
        """As the client wrote it, with its query only where that belongs to what is asked."""
        self.max_body = max_body
        self.client: Client | None = None
        self.begun = False
        self.arrived = False
        self.writes = 0
        """Writes of a streamed body so far, its first not counted."""
        # uvicorn's protocol sets and reads these four on its cycles.
        self.response_complete = False
        self.disconnected = False
        self.more_body = True
        self.message_event = _NO_EVENT
        self.body = b""
        self._rest: BytesIO | None = None
        """A body that comes in parts: to join megabytes in the end would take its time."""
        self._size = 0
        self._chunked = not http_1_0
        self._transport = transport
        self._serve = serve
        self._on_complete = on_complete

    def begin(self) -> None:
        """The responses before this one are complete: this one may be written."""
        self.begun = True
        if self.arrived and not self.response_complete:
            self._serve(self)

    def receive(self, data: bytes) -> bool:
        """Take a part of the request body. False when that makes it too large."""
        if self.response_complete:
            return True
        size = self._size
        self._size = size + len(data)
        if self._size > self.max_body:
            self.body, self._rest = b"", None
            return False
        if not size:
            self.body = data
            return True
        if self._rest is None:
            self._rest = BytesIO(self.body)
            self._rest.seek(size)
        self._rest.write(data)
        return True

    def received(self) -> None:
        """The request is complete."""
        if self.response_complete:
            return
        self.arrived = True
        self.more_body = False
        if self._rest is not None:
            self.body = self._rest.getvalue()
            self._rest = None
        if self.begun:
            self._serve(self)

    @property
    def full(self) -> bool:
        """Whether the client has not taken yet what earlier responses wrote."""
        return self._flow is not None and self._flow.write_paused

    def header(self, name: bytes) -> bytes | None:
        """The first value of a request header; ``name`` in lower case."""
        return self._first.get(name)

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole response, if there is still a client. ``headers`` are complete lines."""
        if self.disconnected:  # to write then is a defect to uvloop
            return
        if not self.arrived:
            self.keep_alive = False
        connection = b"" if self.keep_alive else b"connection: close\r\n"
        # Of a status without a body no length may be told (RFC 9110 section 8.6).
        length = b"content-length: %d\r\n" % len(body) if status != HTTPStatus.NO_CONTENT else b""
        self._transport.write(b"%b%b%b%b\r\n%b" % (status_line(status), headers, connection, length, body))
        self._complete()

    def open(self, headers: bytes, data: bytes) -> None:
        """Begin a streamed response of status 200: its head and the first part of its body in one write."""
        if self._chunked:
            framing = b"transfer-encoding: chunked\r\n"
            if not self.keep_alive:
                framing += b"connection: close\r\n"
            head = b"%b%b%b\r\n" % (STATUS_LINES[200], headers, framing)
            # A chunk of no bytes would be the end of the body.
            self._transport.write(b"%b%x\r\n%b\r\n" % (head, len(data), data) if data else head)
        else:
            self.keep_alive = False
            head = b"%b%bconnection: close\r\n\r\n" % (STATUS_LINES[200], headers)
            self._transport.write(head + data)

    @property
    def chunks(self) -> Callable[[bytes], None] | None:
        """Takes whole chunks of a streamed body, past :meth:`write`; None where it has none."""
        return self._transport.write if self._chunked else None

    def write(self, data: bytes) -> None:
        """More of a streamed body, in one write and one chunk; a keep-alive may be of no bytes at all."""
        if not data:
            return
        self.writes += 1
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def close(self, data: bytes) -> None:
        """The rest of a streamed body, and its end."""
        if self._chunked:
            self._transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n")
        elif data:
            self._transport.write(data)
        self._complete()

    def break_off(self) -> None:
        """End a streamed body without the mark of its end, so that nobody takes the part for the whole."""
        self.keep_alive = False
        self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self.client = None
        if self.keep_alive:
            self._on_complete()
        elif self.arrived:
            self._transport.close()
        else:
            self._linger()

    def _linger(self) -> None:
        """Closing with unread input would reset the connection before the client has read the response."""
        if self._transport.can_write_eof():
            self._transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.abort)
