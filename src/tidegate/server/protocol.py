"""A client's connection: uvicorn's HTTP protocol with a way of its own for generations.

uvicorn parses (llhttp through httptools), keeps connections alive, orders pipelined requests and runs the
ASGI application for every path but the generations. For those an :class:`Exchange` takes the place of
uvicorn's request-response cycle, because a task and a few awaits per delta would cost more than all the
rest. ``tests/server/test_uvicorn_contract.py`` guards the attributes of uvicorn that this relies on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from tidegate.core.event import Failure
from tidegate.errors import Overloaded
from tidegate.server.exchange import Exchange
from tidegate.server.incoming import over_limit
from tidegate.server.urls import GENERATIONS, canonical, dialect_of, generation_at, stream_at

_MOST_HEAD = 64 * 1024
"""Bytes of request line and headers."""

_LASTING = (b"close", b"keep-alive")
"""Options of a Connection header that say how long it lasts."""

_ABOUT_THE_BODY = (b"content-length", b"transfer-encoding", b"expect")
"""Headers that say how a body comes; one that was read whole is sent on with its length."""

_PLAIN_TARGETS = {
    target.encode(): (dialect, target)
    for path, dialect in GENERATIONS.items()
    for target in (path, "/v1" + path)
}
"""The usual spellings, with what :func:`tidegate.server.urls.generation_at` says of them."""


class Front(Protocol):
    """What the protocol needs to know of the server behind it."""

    max_body: int
    body_timeout: float

    def generate(self, exchange: Exchange) -> None:
        """Answer a request for a generation."""
        ...

    def resume(self, exchange: Exchange) -> None:
        """Answer a request for a stream that was begun before."""
        ...

    def refuse(self, exchange: Exchange, failure: Failure) -> None:
        """Answer a request that cannot be read."""
        ...


class GatewayProtocol(HttpToolsProtocol):
    """One client connection."""

    # With these beside uvicorn's own in its dictionary, that would outgrow what all connections share of it.
    __slots__ = ("_adopted", "_deadline", "_front", "_head_size", "_in_head", "_refused", "_upgrades")

    def __init__(self, config: Config, server_state: ServerState, front: Front, adopted: bytes = b"") -> None:
        """``adopted`` is the request that another worker read before it handed the connection over."""
        super().__init__(config=config, server_state=server_state, app_state={})
        self._adopted = adopted
        self._front = front
        self._head_size = 0
        self._in_head = False
        self._deadline: asyncio.TimerHandle | None = None
        self._refused = False
        self._upgrades = False
        """The present request would like another protocol."""

    @property
    def _exchange(self) -> Exchange | None:
        cycle: object = self.cycle
        return cycle if isinstance(cycle, Exchange) else None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._adopted:
            self.data_received(self._adopted)

    # Reading

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if not self._refused:
                    data = self._without_upgrade(data[upgrade.args[0] :])
                    continue
            except httptools.HttpParserError:
                if not self._refused:
                    self._refuse(
                        Failure("the request is not valid HTTP/1.1", "invalid_request_error", status=400)
                    )
            else:
                self._watch(len(data))
            return

    def on_message_begin(self) -> None:
        # uvicorn makes an ASGI scope here; on_headers_complete has it made when ASGI is to be called.
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._in_head = True
        self._head_size = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
        self._head_size += len(name) + len(value) + 4
        if self._head_size > _MOST_HEAD:
            self._refuse_head()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._upgrades = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if self._refused or self._upgrades:  # the parser goes on with what it was fed
            return
        version = self.parser.get_http_version()
        found, serve = None, self._front.generate
        method = self.parser.get_method()
        if method == b"POST":
            found = _PLAIN_TARGETS.get(self.url) or generation_at(self.url.decode("latin-1"))
        elif method == b"GET":
            found, serve = stream_at(self.url.decode("latin-1")), self._front.resume
        if found is None:
            if version == "1.1" and not any(name == b"host" for name, _ in self.headers):
                self._refuse_without_host()
            else:
                self._begin_asgi()
            return
        dialect, path = found
        exchange = Exchange(
            dialect,
            self.headers,
            self.transport,
            path=path,
            http_1_0=version == "1.0",
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            max_body=self._front.max_body,
            serve=serve,
            on_complete=self.on_response_complete,
            flow=self.flow,
            connection=self,
        )
        if version == "1.1" and exchange.header(b"host") is None:
            self._refuse_without_host()
            return
        before = self.cycle
        self.cycle = cast(RequestResponseCycle, exchange)
        if before is None or before.response_complete:
            exchange.begin()
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        length = exchange.header(b"content-length")
        if length is not None and int(length) > self._front.max_body:
            self._refuse_body()
        elif self.expect_100_continue and exchange.begun:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _begin_asgi(self) -> None:
        """Let uvicorn begin with what it would have begun with at the request's first byte."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.scope["tidegate.connection"] = self  # type: ignore[typeddict-unknown-key]
        self.url, self.expect_100_continue = url, expects
        self.headers += headers  # the list that the scope has
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._refused:
            return
        cycle: object = self.cycle
        if type(cycle) is not Exchange:
            if len(self.cycle.body) + len(body) > self._front.max_body:
                self._refuse_body()
            else:
                super().on_body(body)
        elif not cycle.receive(body):
            self._refuse_body()

    def on_message_complete(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._refused or self._upgrades:
            return
        cycle: object = self.cycle
        if type(cycle) is Exchange:
            cycle.received()
        else:
            super().on_message_complete()

    def _without_upgrade(self, rest: bytes) -> bytes:
        """A request to read again that would like another protocol, and whose body begins with ``rest``.

        No server has to follow such a wish (RFC 9110 section 7.8), but to the parser the body belongs to the
        other protocol. Java's HttpClient sends one with every request that is not over TLS.
        """
        headers = []
        for name, value in self.headers:
            if name == b"connection":
                options = [each.strip().lower() for each in value.split(b",")]
                value = b", ".join(each for each in options if each in _LASTING)  # noqa: PLW2901
            headers.append((name, value))
        head = self._head(headers)
        self.parser = httptools.HttpRequestParser(self)
        return head + rest

    def _head(self, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        """The head of the present request as bytes, with ``headers`` for its own."""
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += (b"%b: %b" % header for header in headers)
        return b"\r\n".join([*lines, b"", b""])

    # Handing over, see handover.py

    def part(self, body: bytes | None = None) -> tuple[int, bytes]:
        """See :class:`tidegate.server.handover.Connection`."""
        if self.transport.is_closing():
            raise ConnectionResetError
        if self._adopted:
            raise Overloaded("the stream is just moving between two workers; try again", retry_after=1)
        if self.pipeline or self._in_head or self.cycle.more_body or self.transport.get_write_buffer_size():
            raise Overloaded(
                "another worker has this stream, and more is under way on this connection; "
                "send the request again, on a connection of its own",
                retry_after=1,
            )
        if body is None:
            body = bytes(self.cycle.body)
        headers = [header for header in self.headers if header[0] not in _ABOUT_THE_BODY]
        if body:
            headers.append((b"content-length", b"%d" % len(body)))
        self.flow.pause_reading()
        return os.dup(self.transport.get_extra_info("socket").fileno()), self._head(headers) + body

    def keep(self) -> None:
        """See :class:`tidegate.server.handover.Connection`."""
        self.flow.resume_reading()

    def leave(self) -> None:
        """See :class:`tidegate.server.handover.Connection`."""
        self.cycle.disconnected = True
        self.transport.abort()  # closes the descriptor, and with it nothing: there is another one by now

    def on_response_complete(self) -> None:
        self._adopted = b""
        super().on_response_complete()

    # Writing

    def pause_writing(self) -> None:
        super().pause_writing()
        if (exchange := self._exchange) is not None and exchange.client is not None:
            exchange.client.blocked()

    def resume_writing(self) -> None:
        super().resume_writing()
        if (exchange := self._exchange) is not None and exchange.client is not None:
            exchange.client.unblocked()

    def eof_received(self) -> None:
        super().eof_received()
        if (exchange := self._exchange) is not None and exchange.client is not None:
            # The client has left. By itself the transport would wait until it has taken what is buffered, and
            # one that read slowly never will.
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        queued = [cycle for cycle, _ in self.pipeline]
        super().connection_lost(exc)
        waiting: list[object] = [self.cycle, *queued]
        for cycle in waiting:
            if isinstance(cycle, Exchange) and cycle.client is not None:
                cycle.client.gone()

    def send_400_response(self, msg: str) -> None:
        self._refuse(Failure(msg, "invalid_request_error", status=400))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        waiting: object = cycle
        if isinstance(waiting, Exchange):
            waiting.begin()
        else:
            super()._start_asgi_task(cycle, app)

    # Limits

    def _count(self, size: int) -> None:
        self._head_size += size
        if self._head_size > _MOST_HEAD:
            self._refuse_head()

    def _refuse_head(self) -> None:
        if not self._refused:
            self._refuse(
                Failure(
                    f"the request's headers are over {_MOST_HEAD} bytes", "invalid_request_error", status=431
                )
            )

    def _refuse_without_host(self) -> None:
        self._refuse(Failure("the Host header is missing", "invalid_request_error", status=400))

    def _refuse_body(self) -> None:
        if not self._refused:
            sentence = over_limit(self._front.max_body)
            self._refuse(Failure(sentence, "invalid_request_error", status=413))

    def _watch(self, size: int) -> None:
        """Give a request that has not arrived whole a deadline: slow ones must not pile up."""
        if self._in_head:
            self._count(size)  # a header without an end is counted here, whole ones where they are parsed
        unfinished = self._in_head or (
            self.cycle is not None and self.cycle.more_body and not self._is_over()
        )
        if unfinished and self._deadline is None and not self._refused:
            self._deadline = self.loop.call_later(self._front.body_timeout, self._too_slow)

    def _is_over(self) -> bool:
        exchange = self._exchange
        return self.cycle.response_complete or (exchange is not None and exchange.arrived)

    def _too_slow(self) -> None:
        self._deadline = None
        seconds = self._front.body_timeout
        self._refuse(Failure(f"the request did not arrive within {seconds:g} s", "timeout_error", status=408))

    def _refuse(self, failure: Failure) -> None:
        """Answer what cannot be read as a request and close; input that still comes is dropped."""
        self._refused = True
        exchange = self._exchange
        if exchange is None or exchange.response_complete or self._in_head:
            exchange = _unread(self.transport, dialect_of(_path(self.url)))
        elif not exchange.begun:
            # An earlier response is still being written: no place for an answer.
            self.transport.close()
            return
        self._front.refuse(exchange, failure)


def _path(url: bytes) -> str:
    """The canonical path of a URL, or of as much of it as there is."""
    return canonical(url.partition(b"?")[0].decode("latin-1"))


def _unread(transport: asyncio.Transport, dialect: str) -> Exchange:
    """An exchange for a request that could not be read far enough to have one."""
    nothing: Callable[..., None] = lambda *_: None  # noqa: E731 - two callbacks that are never called
    return Exchange(
        dialect,
        [],
        transport,
        http_1_0=False,
        keep_alive=False,
        max_body=0,
        serve=nothing,
        on_complete=nothing,
    )
