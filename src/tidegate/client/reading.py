"""Owns what is read of one answer: its events in order, what they add up to, and how it can go wrong.

Does no I/O: a :class:`Reading` is the part that a blocking and an awaiting stream share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from tidegate.client.decoding import LONGEST_FRAME, ChatFrames, EventFrames
from tidegate.client.errors import (
    ClientError,
    GatewayUnreachable,
    RequestRefused,
    StreamFailed,
    StreamInterrupted,
    StreamUnavailable,
    told,
)
from tidegate.client.patience import Patience, Waiting
from tidegate.client.pursuit import Ask, Denied, GaveUp, Head, Lost, Pursuit
from tidegate.client.server import DIALECT, STREAMS, Server
from tidegate.client.splice import Piece, Splice
from tidegate.core.event import AnyEvent, End, Start, Text
from tidegate.core.fold import Fold
from tidegate.core.usage import Usage
from tidegate.errors import SourceError


class _Decoder(Protocol):
    def feed(self, data: bytes, events: list[AnyEvent]) -> None: ...


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A whole call of a tool; ``arguments`` is JSON text."""

    call_id: str | None
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. ``finish`` is the reason in OpenAI Chat's words: stop, length, tool_calls …"""

    text: str
    thinking: str = ""
    tools: list[ToolCall] = field(default_factory=list)
    finish: str | None = None
    model: str | None = None
    usage: Usage | None = None
    stream_id: str | None = None


def pursuit_of(
    server: Server,
    patience: Patience,
    ask: Ask | None,
    stream_id: str | None,
    after: str | None,
    dialect: str | None,
) -> Pursuit:
    """The pursuit of an answer: of the one that ``ask`` asks for, or of a stream from a place on."""
    pursuit = Pursuit(
        ask or Ask("GET", ""),
        server.target(STREAMS),
        server.stream_headers(),
        Waiting(patience),
        Splice(after, LONGEST_FRAME),
        query=f"dialect={dialect}" if dialect is not None else "",
        stream_id=stream_id,
        insist=True,
    )
    if ask is None:
        pursuit.ask = pursuit.continuation()
    return pursuit


class Reading:
    """One answer under way."""

    def __init__(
        self, server: Server, patience: Patience, ask: Ask | None, stream_id: str | None, after: str | None
    ) -> None:
        self._server = server
        self._fold = Fold()
        self._text: list[str] = []
        self._named = stream_id is not None
        self._resumed = after not in (None, "0")
        self.cursor = after
        """The place behind the last event that was handed out."""
        # A cursor within an event is that of a frame, which other dialects may not have.
        dialect = DIALECT if ask is not None or (after is not None and "-" in after) else "events"
        self._decoder: _Decoder = ChatFrames(resumed=self._resumed) if dialect == DIALECT else EventFrames()
        self.pursuit = pursuit_of(server, patience, ask, stream_id, after, dialect)

    @property
    def text(self) -> str:
        """All text of the first choice that has come."""
        return "".join(self._text)

    def events(self, pieces: Sequence[Piece]) -> Iterator[AnyEvent]:
        """The events in these frames; ``cursor`` moves with them. Raises StreamFailed at an error."""
        for piece in pieces:
            events: list[AnyEvent] = []
            error: SourceError | None = None
            try:
                self._decoder.feed(piece.data, events)
            except SourceError as raised:
                error = raised
            self._fold.add(events)
            for number, event in enumerate(events, start=1):
                if type(event) is Text and event.choice == 0:
                    self._text.append(event.text)
                if number == len(events):  # only behind its last event a frame is done with
                    self.cursor = piece.cursor
                if not (self._resumed and type(event) is Start):  # whoever goes on has seen the beginning
                    yield event
            self.cursor = piece.cursor
            if error is not None:
                raise self._failed(error)

    @property
    def ended(self) -> bool:
        """The answer is complete, or has failed: there is nothing to resume or to cancel."""
        return self.pursuit.splice.ended

    @property
    def usage(self) -> Usage | None:
        """The tokens that the gateway counted, once the answer is complete."""
        end: End | None = self._fold.end
        return end.usage if end is not None else None

    @property
    def model(self) -> str | None:
        """The model that answers."""
        return self._fold.model

    def answer(self) -> Answer:
        """All that came, of the first choice."""
        choice = self._fold.choices.get(0)
        tools = [
            ToolCall(call.call_id, call.name, "".join(call.arguments))
            for call in (choice.calls.values() if choice else ())
        ]
        return Answer(
            text="".join(choice.text or choice.refusal) if choice else "",
            thinking="".join(choice.thinking) if choice else "",
            tools=tools,
            finish=choice.reason if choice else None,
            model=self.model,
            usage=self.usage,
            stream_id=self.pursuit.stream_id,
        )

    def value(self, head: Head, body: bytes) -> Any:
        """What a response that is no stream holds. Raises ClientError."""
        if head.status not in (200, 202, 204):
            raise self.refused(head, body)
        try:
            return msgspec.json.decode(body) if body else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise RequestRefused(f"{self._server.url} answers, but not like a Tidegate") from None

    # What can go wrong

    def refused(self, head: Head, body: bytes) -> ClientError:
        """What a response is that brings no stream."""
        message, fields = told(body, head.status, self._server.url)
        kind = StreamUnavailable if self._named and head.status in (403, 404, 410) else RequestRefused
        return kind(message, **self._place(), retry_after=head.retry_after, **fields)

    def failure(self, error: Lost | GaveUp | Denied) -> ClientError:
        """What the end of a pursuit is for whoever asked."""
        if isinstance(error, Denied):
            message, fields = told(error.body, error.head.status, self._server.url)
            return StreamUnavailable(
                f"the answer broke off and cannot be resumed: {message}", **self._place(), **fields
            )
        if isinstance(error, GaveUp) and (self.pursuit.stream_id is not None or error.head is None):
            hint = f"; go on with resume({self.pursuit.stream_id!r}, after={self.cursor!r})"
            return StreamInterrupted(
                f"the connection to {self._server.url} was lost and not found again within "
                f"{error.seconds:.0f} s ({error})" + (hint if self.pursuit.stream_id else ""),
                **self._place(),
                retry_after=error.head.retry_after if error.head is not None else None,
            )
        return GatewayUnreachable(f"no gateway answers at {self._server.url}: {error}", **self._place())

    def _failed(self, error: SourceError) -> ClientError:
        fields: dict[str, Any] = {"type": error.type, "code": error.code, "param": error.param}
        return StreamFailed(error.message, **self._place(), status=error.status, **fields)

    def _place(self) -> dict[str, Any]:
        return {
            "stream_id": self.pursuit.stream_id,
            "cursor": self.cursor,
            "text": self.text,
            "idempotency_key": self.pursuit.ask.headers.get("Idempotency-Key"),
        }
