"""Reading a stream that was begun before: from any place, in any dialect, as its first reader got it.

The place is looked for in a task; from there on the stream is written by callbacks, as for its first reader.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine

import msgspec

from tidegate.access import Caller
from tidegate.agents.questions import Questions
from tidegate.core.event import Failure, failure
from tidegate.core.request import Header
from tidegate.dialects import Renderer, Shown, load_shown, renderer
from tidegate.dialects.cursor import Cursor, Numbered
from tidegate.errors import NotFound, TidegateError
from tidegate.server.exchange import Exchange
from tidegate.server.respond import Pace, StreamSink, of_stream, respond
from tidegate.server.streams.asked import Asked
from tidegate.server.streams.place import Place, check_event, place_after, place_behind
from tidegate.server.streams.state import whole_state
from tidegate.streams.reader import Reader
from tidegate.streams.registry import Elsewhere, Readable, Streams
from tidegate.wire.ascii_json import ascii_json

logger = logging.getLogger("tidegate")

Refuse = Callable[[Exchange, Failure], None]
HandOver = Callable[[Exchange, Elsewhere], Awaitable[None]]


class Resuming:
    """Answers requests for streams that were begun before.

    ``refuse`` answers with an error, ``hand_over`` has another worker process answer.
    """

    def __init__(self, streams: Streams, questions: Questions, refuse: Refuse, hand_over: HandOver) -> None:
        self._streams = streams
        self._questions = questions
        self._refuse = refuse
        self._hand_over = hand_over
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(
        self, exchange: Exchange, caller: Caller, asked: Asked, pace: Pace, headers: bytes
    ) -> None:
        """Answer as asked. Raises TidegateError when that is not possible, before anything is written."""
        stream = await self._found(asked, caller)
        if asked.form == "state":
            body = ascii_json(await whole_state(stream, self._questions)).encode("ascii")
            head = headers + of_stream(exchange, stream) + b"content-type: application/json\r\n"
            if not exchange.disconnected:
                exchange.respond(200, head, body)
            return
        dialect = load_shown(asked.dialect or stream.header.dialect)
        header = shown_header(stream.header, dialect, streamed=asked.form == "stream")
        if asked.form == "whole":
            if not exchange.disconnected:
                respond(exchange, stream, self._streams, dialect, pace, headers, header=header)
            return
        await self.go_on(exchange, stream, dialect, header, asked, pace, headers)

    async def go_on(
        self,
        exchange: Exchange,
        stream: Readable,
        dialect: Shown,
        header: Header,
        asked: Asked,
        pace: Pace,
        headers: bytes,
    ) -> None:
        """Stream from the place that is asked for. Raises InvalidRequest where that is not there."""
        if exchange.disconnected:
            return
        cursor = asked.after or Cursor(0)
        check_event(stream, cursor, asked.named)  # before it counts as a reader
        rendering = _rendering(dialect, header, asked)
        headers += of_stream(exchange, stream)
        sink = ResumedSink(exchange, stream, dialect, rendering, headers, pace, None)
        exchange.client = sink
        sink.hold(self._streams)
        try:
            if asked.skip is not None:
                probe = _rendering(dialect, header, asked)
                place = await place_behind(stream, probe, rendering, asked.skip, asked.named)
            else:
                place = await place_after(stream, rendering, cursor, asked.named)
        except BaseException:
            sink.give_up()
            raise
        await sink.begin(place)

    async def _found(self, asked: Asked, caller: Caller) -> Readable:
        if not asked.response:
            return await self._streams.find(asked.stream, caller.id, caller.workspaces)
        missing = NotFound(f"Response with id 'resp_{asked.stream}' not found.", type="invalid_request_error")
        try:
            stream = await self._streams.find(asked.stream, caller.id, caller.workspaces)
        except NotFound:
            raise missing from None
        if stream.header.dialect != asked.dialect:
            raise missing
        return stream

    def begin(self, exchange: Exchange, work: Coroutine[None, None, None]) -> None:
        """Have ``work`` answer, and answer for it where it raises."""
        task = asyncio.get_running_loop().create_task(self._guarded(exchange, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, exchange: Exchange, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Elsewhere as elsewhere:
            await self._hand_over(exchange, elsewhere)
            return
        except TidegateError as error:
            reason = failure(error)
        except Exception:  # a defect must answer its own request, and leave the connection in order
            logger.exception("a defect ended a request")
            reason = Failure("the gateway failed; its log says why")
        else:
            return
        if not exchange.disconnected and not exchange.response_complete:
            self._refuse(exchange, reason)


def shown_header(header: Header, dialect: Shown, *, streamed: bool) -> Header:
    """The header from which a stream is rendered for this reader."""
    if dialect.name == header.dialect:
        return header if header.stream == streamed else msgspec.structs.replace(header, stream=streamed)
    # A form is a word of the dialect that it was asked in; the events are told as they are.
    thinking = header.thinking_to_content and dialect.name != "events"
    return msgspec.structs.replace(header, stream=streamed, form="", thinking_to_content=thinking)


def _rendering(dialect: Shown, header: Header, asked: Asked) -> Renderer:
    rendering = renderer(dialect, header)
    if asked.event_ids and rendering.content_type.startswith(b"text/event-stream"):
        return Numbered(rendering)
    return rendering


class ResumedSink(StreamSink):
    """A streamed answer that begins anywhere. Its reader waits while the place is looked for."""

    __slots__ = ()

    def hold(self, streams: Streams) -> None:
        """Be a reader of the stream, so that it is not let go of meanwhile."""
        self._timer.cancel()
        self._reader = Reader(self._stream.header.id, streams.log, self._renderer, self)
        self._reader.blocked = True
        if self._stream.live:
            self._stream.attach(self._reader)

    async def begin(self, place: Place) -> None:
        """Answer from here on."""
        reader, stream = self._reader, self._stream
        if reader is None:  # the client has left
            return
        reader.seq = place.seq
        over = stream.end is not None and place.seq >= stream.last_seq
        if over and not place.first:
            # So that an EventSource does not come back for more (HTML section 9.2.3).
            self._leave()
            self._exchange.respond(204, self._headers, b"")
            return
        self._open(place.first)
        if over:
            self._leave()
            self._exchange.close(b"")
            return
        self._timer = self._loop.call_later(self._pace.keep_alive / 2, self._tick)
        if not stream.live:
            reader.blocked = self._exchange.full
            stream.attach(reader)
            return
        if reader.blocked and not self._exchange.full:
            stream.unblock(reader)

    def give_up(self) -> None:
        """There is nothing to answer with."""
        self._leave()
