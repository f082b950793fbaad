"""One answer of the gateway under way: its events as they come, what they measure, and its cancellation."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple
from uuid import uuid4

from tidegate.cli.connection import Server, failures_told, refusal
from tidegate.client.blocking import Wire, call
from tidegate.client.driving import pieces, run
from tidegate.client.errors import ClientError, StreamFailed
from tidegate.client.patience import Patience
from tidegate.client.pursuit import Denied, GaveUp, Lost, Rest
from tidegate.client.reading import Reading
from tidegate.client.server import question
from tidegate.client.splice import Piece
from tidegate.core.event import AnyEvent, End, Finish, Start, Text, Thinking, Tool
from tidegate.core.usage import Usage
from tidegate.errors import Broken, SourceError

_CANCEL_SECONDS: Final = 3.0


class Arrival(NamedTuple):
    """What came at one moment of the monotonic clock."""

    at: float
    events: list[AnyEvent]
    error: Exception | None = None
    last: bool = False
    """It has an error, or an End among its events, or neither when the answer was cancelled."""


class Answer:
    """An answer, read by a thread of its own: a blocked read of a socket cannot be interrupted on every
    platform, and drawing must not wait for the network. It survives connections that are lost."""

    def __init__(self, server: Server, reading: Reading, patience: Patience, *, ours: bool) -> None:
        self._server = server
        self._reading = reading
        self._ours = ours
        self._wire = Wire(server.url, patience.silence)
        self._arrivals: SimpleQueue[Arrival] = SimpleQueue()
        self._over = False
        """What there is of it has come, or cannot be had."""
        self.asked_at = time.monotonic()
        threading.Thread(target=self._read, name="answer", daemon=True).start()

    @classmethod
    def asked(cls, server: Server, fields: Mapping[str, Any], patience: Patience) -> Answer:
        """The answer to a request; nobody else wants it, so that closing it early stops it."""
        reading = Reading(server, patience, question(server, fields, uuid4().hex), None, None)
        return cls(server, reading, patience, ours=True)

    @classmethod
    def resumed(cls, server: Server, stream_id: str, after: str | None, patience: Patience) -> Answer:
        """A stream from a place on; closing it early leaves it running."""
        return cls(server, Reading(server, patience, None, stream_id, after), patience, ours=False)

    @property
    def stream_id(self) -> str:
        """The id to resume by; empty before it is known."""
        return self._reading.pursuit.stream_id or ""

    @property
    def cursor(self) -> str | None:
        """The place behind what has come."""
        return self._reading.cursor

    def next(self, timeout: float) -> Arrival | None:
        """What came next; None when nothing did within ``timeout`` seconds."""
        try:
            return self._arrivals.get(timeout=timeout)
        except Empty:
            return None

    def cancel(self) -> None:
        """End the answer here: the arrival behind those that are waiting is the last.

        Fit for a signal handler, because SimpleQueue.put may interrupt itself
        (https://docs.python.org/3/library/queue.html#queue.SimpleQueue.put).
        """
        self._arrivals.put(Arrival(time.monotonic(), [], last=True))

    def close(self) -> None:
        """Let go of the connection. An answer of ours that has not finished is generated no further."""
        self._wire.abort()
        ask = self._reading.pursuit.cancellation() if self._ours and not self._over else None
        if ask is None:
            return
        try:
            call(self._server, ask, seconds=_CANCEL_SECONDS)
        except ClientError:
            pass  # it ends by itself

    def _read(self) -> None:
        try:
            self._exchange()
        except Exception as error:  # also a defect must reach the one who waits, who would wait forever
            self._over = not self._wire.aborted
            self._put([], error, last=True)
        finally:
            self._wire.close()

    def _exchange(self) -> None:
        reading, wire = self._reading, self._wire
        try:
            head = run(reading.pursuit.opening(), wire.do)
            if not head.streams and not reading.ended:
                raise refusal(self._server, head.status, wire.do(Rest()))
            for several in () if reading.ended else pieces(reading.pursuit.frames(), wire.do):
                if self._put_all(several):
                    return
        except Lost as lost:
            with failures_told(self._server):
                raise lost.cause or ConnectionResetError from None
        except GaveUp as error:
            raise self._given_up(error) from None
        except Denied as denied:
            raise refusal(self._server, denied.head.status, denied.body) from None
        self._over = True
        self._put([End(outcome="completed")], last=True)

    def _put_all(self, several: Sequence[Piece]) -> bool:
        """Whether this was the end."""
        events: list[AnyEvent] = []
        try:
            for event in self._reading.events(several):
                events.append(event)  # noqa: PERF402 - what came before an error stays
        except StreamFailed as error:
            self._over = True
            self._put(events, error, last=True)
            return True
        last = bool(events) and isinstance(events[-1], End)
        self._over = last
        if events:
            self._put(events, last=last)
        return last

    def _given_up(self, error: GaveUp) -> SourceError:
        stream, cursor = self._reading.pursuit.stream_id, self.cursor
        message = "the connection to the gateway broke before the answer was complete"
        if stream is None:
            return Broken(message)
        after = f" --after {cursor}" if cursor is not None else ""
        return Broken(
            f"{message}, and was not found again within {error.seconds:.0f} s; "
            f"later: tidegate resume {stream}{after}"
        )

    def _put(self, events: list[AnyEvent], error: Exception | None = None, *, last: bool = False) -> None:
        self._arrivals.put(Arrival(time.monotonic(), events, error, last))


@dataclass(slots=True)
class Measured:
    """What an answer turned out to be, filled as it comes. Times are those of the monotonic clock."""

    asked_at: float = 0.0
    model: str | None = None
    first_at: float | None = None
    last_at: float = 0.0
    deltas: int = 0
    usage: Usage | None = None
    reason: str | None = None
    text: list[str] = field(default_factory=list)

    def take(self, arrival: Arrival) -> None:
        """Count what has come."""
        self.last_at = arrival.at
        for event in arrival.events:
            match event:
                case Start():
                    self.model = event.model or self.model
                case Text() | Thinking() | Tool():
                    self._delta(event, arrival.at)
                case Finish():
                    self.reason = event.reason
                case End():
                    self.usage = event.usage
                case _:
                    pass

    def _delta(self, event: Text | Thinking | Tool, at: float) -> None:
        if isinstance(event, Text):
            self.text.append(event.text)
        if not isinstance(event, Tool) and not event.text:
            return
        self.deltas += 1
        if self.first_at is None:
            self.first_at = at

    @property
    def ttft(self) -> float | None:
        """Seconds from the request to the first delta."""
        return None if self.first_at is None else self.first_at - self.asked_at

    @property
    def tokens(self) -> int:
        """Tokens of the answer as the gateway counted them; 0 when it did not."""
        return self.usage.output_tokens if self.usage is not None else 0

    @property
    def tokens_per_second(self) -> float | None:
        """The reciprocal of TPOT, (end - TTFT) / (tokens - 1); None for what is too short to measure."""
        if self.first_at is None or self.tokens < 2 or self.last_at - self.first_at < 0.001:
            return None
        return (self.tokens - 1) / (self.last_at - self.first_at)

    def summary(self) -> str:
        """One line for below the answer."""
        parts = [self.model or ""]
        if self.tokens:
            parts.append(f"{self.tokens} tokens" if self.tokens > 1 else "1 token")
        rate = self.tokens_per_second
        if rate is not None:
            parts.append(f"{rate:.1f} tok/s" if rate < 1000 else f"{rate:,.0f} tok/s")
        if self.ttft is not None:
            parts.append(f"first token after {_seconds(self.ttft)}")
        if self.reason == "length":
            parts.append("cut off at the limit of tokens")
        elif self.reason == "content_filter":
            parts.append("cut off by a content filter")
        return " · ".join(filter(None, parts))


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
