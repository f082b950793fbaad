"""The source for remote servers: one call to an upstream, pumped by callbacks.

What one read of the upstream's socket brings is decoded, emitted, logged, rendered and written to the
client before this module's callback returns; the task that started the call only sleeps.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any
from urllib.parse import urlencode

from tidegate.core.call import Call, Reply
from tidegate.core.clock import Clock
from tidegate.core.event import AnyEvent, End
from tidegate.core.request import Begun, Request
from tidegate.core.source import Continues, Output
from tidegate.dialects import Continuable, Decoder, Dialect, Naming, translate
from tidegate.errors import Broken, Rejected, SourceError, TidegateError, Unreachable, Unsupported
from tidegate.net import Connection, ResponseHead
from tidegate.net.fetch import fetch
from tidegate.net.post import post
from tidegate.sources.server import Upstream, request_head

logger = logging.getLogger("tidegate")

_LONGEST_ERROR = 64 * 1024

_WORTH_A_WRITE = 64 * 1024
"""Bytes that are not copied to stand behind the head."""

_FEWEST_ALIKE, _MOST_ALIKE = 16, 64
"""Frames that are alike before it is offered to pass by those that follow. To begin costs as much as five of
them, and what is short has ended by then."""

_NOT_SPOKEN = frozenset({404, 405, 501})
"""How a server says that it has no such endpoint, or none for this model."""

_SPEAKERS_OF_CALLS = frozenset({"openai-chat", "openai-responses"})
"""Dialects whose servers have OpenAI's other endpoints too, below the same base URL."""


class UpstreamSource:
    """Answers with what an upstream says. Bound to the name that the upstream knows the model under."""

    def __init__(self, server: Upstream, model: str, connect_timeout: float) -> None:
        self._server = server
        self._model = model
        self._heads = {
            dialect.name: request_head(server, dialect.target(model))
            for dialect in (server.dialect, *server.beside.values())
        }
        self._connect_timeout = connect_timeout

    @property
    def server(self) -> Upstream:
        """The server that is called."""
        return self._server

    @property
    def model(self) -> str:
        """The name that the server knows the model under."""
        return self._model

    async def ask(self, target: str, request: Request, body: bytes, seconds: float) -> tuple[int, bytes]:
        """Status and body of a POST below the base URL that is no generation. Raises SourceError."""
        server = self._server
        query = ("?" + urlencode(server.query)) if server.query else ""
        more = {name: value for name, value in request.headers.items() if name not in server.settled}
        headers = {**server.headers, **more}
        path = f"{server.path}{target}{query}"
        try:
            return await fetch(server.pool, server.address, path, headers, seconds, body)
        except SourceError as error:
            _name(error, server)
            raise

    def continues(self, request: Request) -> Continues | None:
        """See :class:`tidegate.core.source.Continuing`."""
        server = self._server
        dialect = server.beside.get(request.dialect, server.dialect)
        return dialect.continues(self._model, server.continues) if isinstance(dialect, Continuable) else None

    def run(self, request: Request, out: Output) -> Coroutine[Any, Any, None]:
        """See :class:`tidegate.core.source.Source`."""
        server = self._server
        if request.dialect in server.beside:
            return self._ask_either(server.beside[request.dialect], request, out)
        return self._ask(server.dialect, request, out)

    async def _ask_either(self, same: Dialect, request: Request, out: Output) -> None:
        """Ask in the caller's own dialect, and in the server's if it turns out not to speak that."""
        try:
            await self._ask(same, request, out)
        except Rejected as error:
            if error.status not in _NOT_SPOKEN:
                raise
            await self._ask(self._server.dialect, request, out)

    async def _ask(self, dialect: Dialect, request: Request, out: Output) -> None:
        try:
            await self._exchange(dialect, self._message(dialect, request, out), out)
        except SourceError as error:
            _name(error, self._server)
            raise

    async def _exchange(self, dialect: Dialect, asked: list[bytes], out: Output) -> None:
        """Send what is in ``asked`` and see the answer through; once that begins, the list is empty."""
        server = self._server
        connection = server.pool.take(server.address)
        while connection is not None:
            call = _Call(server, dialect, connection, out)
            try:
                return await call.exchange(asked)
            except Unreachable:
                # The upstream closed an idle connection just as it was used again: no attempt was made.
                if connection.answered:
                    raise
                connection = server.pool.take(server.address)
        connection = await server.pool.connect(server.address, self._connect_timeout)
        return await _Call(server, dialect, connection, out).exchange(asked)

    def _message(self, dialect: Dialect, request: Request, out: Output) -> list[bytes]:
        """Head and body for the upstream, in one part unless that would copy much."""
        body, dropped = translate(request, dialect, self._model, self._server.quirks)
        if dropped:
            out.drop(dropped)
        if request.begun is not None:
            body = self._begun(dialect, request.begun, body)
        if request.headers or request.begun is not None:
            head = self._head_for(dialect, request)
        else:
            head = self._heads[dialect.name]
        if len(body) > _WORTH_A_WRITE:
            return [b"%bcontent-length: %d\r\n\r\n" % (head, len(body)), body]
        return [b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)]

    def _begun(self, dialect: Dialect, beginning: Begun, body: bytes) -> bytes:
        """The body that asks to go on with an answer."""
        way = self._server.continues
        if not isinstance(dialect, Continuable) or dialect.continues(self._model, way) is None:
            raise Unsupported(f"{self._server.name} cannot go on with an answer", retryable=False)
        return dialect.write_begun(body, beginning, way)

    async def call(self, call: Call) -> Reply:
        """See :class:`tidegate.core.call.CallSource`."""
        server = self._server
        if server.dialect.name not in _SPEAKERS_OF_CALLS:
            lacking = f"{server.name} speaks {server.dialect.name}, which has no {call.path.lstrip('/')}"
            raise Unsupported(lacking, param="model")
        body = call.write(self._model)
        head = request_head(server, call.path, {"accept": "*/*", "content-type": call.content_type})
        message = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
        try:
            return await post(server.pool, server.address, message, self._connect_timeout, self._refusal)
        except SourceError as error:
            _name(error, server)
            raise

    def _refusal(self, head: ResponseHead, body: bytes) -> SourceError:
        """The error in an answer to a call."""
        if head.status < 400:  # a redirect, say, which is not followed
            return Rejected(f"{self._server.name} answered with status {head.status}", retryable=False)
        retry_after = _seconds(head.headers.get(b"retry-after"), self._server.clock)
        return self._server.dialect.read_error(head.status, body, retry_after)

    def _head_for(self, dialect: Dialect, request: Request) -> bytes:
        """The head with the caller's headers that an upstream of the same dialect is sent as well."""
        server = self._server
        if request.begun is not None and server.continues_path is not None:
            server = replace(server, path=server.continues_path)
        if request.dialect != dialect.name:
            known = self._heads[dialect.name]
            return known if server is self._server else request_head(server, dialect.target(self._model))
        more = {name: value for name, value in request.headers.items() if name not in server.settled}
        return request_head(server, dialect.target(self._model), more)


class _Call:
    """One exchange with an upstream. Implements :class:`tidegate.net.Receiver`."""

    __slots__ = (
        "_alike",
        "_asked",
        "_connection",
        "_decoder",
        "_dialect",
        "_done",
        "_emit",
        "_enough",
        "_head",
        "_out",
        "_server",
        "_whole",
    )

    def __init__(self, server: Upstream, dialect: Dialect, connection: Connection, out: Output) -> None:
        self._server = server
        self._dialect = dialect
        self._connection = connection
        self._out = out
        self._emit = out.emit
        self._asked: list[bytes] = []
        self._alike = 0
        """Frames that were alike since it was last offered to pass them by, and how many that takes."""
        self._enough = _FEWEST_ALIKE
        self._decoder: Decoder = dialect.decoder(server.max_frame)
        self._head: ResponseHead | None = None
        self._whole: bytearray | None = None
        """The body of an answer that is no stream."""
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def exchange(self, asked: list[bytes]) -> None:
        """Send the request and wait until the answer is complete; closes the socket on any other end.

        It may be large and the answer long, so it is let go of, wherever it is held, when the answer begins.
        """
        connection = self._connection
        self._asked = asked
        self._out.control(connection)
        try:
            connection.send(asked[0], self, *asked[1:])
            await self._done
        except BaseException:
            connection.abort()
            raise
        else:
            self._server.pool.release(self._server.address, connection)
        finally:
            self._out.control(None)

    def head(self, head: ResponseHead) -> None:
        """See :class:`tidegate.net.Receiver`, as for all that follow."""
        self._head = head
        self._asked.clear()
        content_type = head.headers.get(b"content-type", b"").lower()
        if head.status != 200 or b"json" in content_type:
            self._whole = bytearray()

    def data(self, data: bytes) -> None:
        # What is called as a method, but is a value in a slot, CPython 3.11 looks up the long way: here, and
        # wherever each delta passes, it is called from a variable.
        known = self._decoder.known
        if known is not None and (event := known(data)) is not None:
            emit = self._emit
            emit(event)
            self._alike += 1
            if self._alike >= self._enough:
                self._offer()
            return
        if self._whole is None:
            events: list[AnyEvent] = []
            try:
                self._decoder.feed(data, events)
            finally:  # what came before an error was said all the same
                if events and not self._done.done():
                    self._out.emit_all(events)
                    if type(events[-1]) is End:
                        self._done.set_result(None)
            if self._decoder.known is not None:
                self._alike += len(events)
                if self._alike >= self._enough:
                    self._offer()
            return
        self._whole += data
        assert self._head is not None
        if self._head.status != 200 and len(self._whole) > _LONGEST_ERROR:
            self._reject()
        elif len(self._whole) > self._server.max_frame:
            raise Broken(f"the upstream sent an answer longer than {self._server.max_frame} bytes")

    def _offer(self) -> None:
        """Let frames like the last ones go past, at first soon: where that ends at once it costs more."""
        self._alike = 0
        self._enough = min(2 * self._enough, _MOST_ALIKE)
        if self._connection.steady and (frames := self._decoder.steady()) is not None:
            self._out.steady(frames, self._connection)

    def complete(self) -> None:
        if self._done.done():
            return
        events: list[AnyEvent] = []
        try:
            if self._whole is None:
                self._decoder.finish(events)
            elif self._head is not None and self._head.status == 200:
                self._decoder.whole(bytes(self._whole), events)
            else:
                self._reject()
        except SourceError as error:
            self._tell(events)
            self._fail(error)
        else:
            self._tell(events)

    def failed(self, error: TidegateError) -> None:
        """What broke inside of a call names the tool, so that nobody takes half a call for one."""
        tool = self._decoder.open_call if isinstance(self._decoder, Naming) else None
        if tool is not None and isinstance(error, Broken) and repr(tool) not in error.message:
            error = Broken(f"{error.message}, inside a call of the tool {tool!r}", retryable=error.retryable)
        self._fail(error)

    def _fail(self, error: TidegateError) -> None:
        if not self._done.done():
            self._done.set_exception(error)

    def _tell(self, events: list[AnyEvent]) -> None:
        if not events or self._done.done():
            return
        self._out.emit_all(events)
        if type(events[-1]) is End:
            self._done.set_result(None)

    def _reject(self) -> None:
        head = self._head
        assert head is not None
        assert self._whole is not None
        retry_after = _seconds(head.headers.get(b"retry-after"), self._server.clock)
        self._fail(self._dialect.read_error(head.status, bytes(self._whole), retry_after))


def _name(error: SourceError, server: Upstream) -> None:
    """Tell callers which provider failed, and the log where it is: that is nobody else's business."""
    where, host = str(server.address), repr(server.address.host)
    told = error.message.replace(where, server.name).replace(host, "its host")
    if told != error.message:
        logger.info("%s: %s", server.name, error.message)
        error.message = told


def _seconds(value: bytes | None, clock: Clock) -> float | None:
    """Retry-After in seconds, from either of its forms (RFC 9110 section 10.2.3)."""
    if value is None:
        return None
    text = value.decode("latin-1").strip()
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        return max(seconds, 0.0) if isfinite(seconds) else None
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:  # asctime's form names no zone; a date in HTTP is GMT in every form
            moment = moment.replace(tzinfo=UTC)
        return max(moment.timestamp() - clock.now_ms() / 1000, 0.0)
    except (ValueError, OverflowError):
        return None
