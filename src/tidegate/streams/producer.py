"""The producer: the one writer of a stream, and what its source calls ``out``.

It holds back what shows nothing (a start) until the first visible delta, so that a retry or a fallback
before that leaves no trace; it pauses the source while a lone reader is slow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from tidegate.core.attempt import Answering, Attempt, Seam
from tidegate.core.clock import Clock
from tidegate.core.event import (
    AnyEvent,
    End,
    Failure,
    Finish,
    Item,
    Outcome,
    Start,
    Text,
    Thinking,
    Tool,
)
from tidegate.core.request import Header
from tidegate.core.source import Flow
from tidegate.core.steady import Passable, Steady
from tidegate.core.usage import Usage
from tidegate.errors import Fenced
from tidegate.streams.log import Relayed, StreamLog

logger = logging.getLogger("tidegate")

# No isinstance() for events: it asks a metaclass of their library, which costs ten times as much.
_EVERYTHING = 1 << 62
_ADOPTED = 512
"""Events of a stream of another process that are appended at once."""

PassBy = Callable[[Steady, Passable], bool]
"""See :meth:`tidegate.core.source.Output.steady`."""

_DELTAS = frozenset({Text, Thinking, Tool})
_ENDINGS = frozenset({Finish, End})


class Producer:
    """Writes one stream. Implements :class:`tidegate.core.source.Output`."""

    __slots__ = (
        "_characters",
        "_deltas",
        "_flow",
        "_flows",
        "_held",
        "_last_delta_at",
        "_log",
        "_monotonic",
        "_over",
        "_pass_by",
        "_room",
        "_stream",
        "_unhurried",
        "_unhurried_at",
        "_unhurried_before",
        "answering",
        "attempts",
        "begun_at",
        "dropped",
        "end_event",
        "ended",
        "epoch",
        "first_delta_at",
        "header",
        "model",
        "paused",
        "pauses",
        "relay",
        "seams",
        "started",
        "usage",
        "visible",
    )

    def __init__(
        self,
        header: Header,
        log: StreamLog,
        clock: Clock,
        epoch: int = 1,
        over: Callable[[str], None] = lambda _: None,
        pass_by: PassBy = lambda *_: False,
    ) -> None:
        self.header = header
        self._stream = header.id
        self._log = log
        self._monotonic = clock.monotonic
        self.epoch = epoch
        self._over = over
        self._pass_by = pass_by
        self.relay: Relayed | None = None
        self._held: list[AnyEvent] = []
        """What an attempt has said without showing anything."""
        self._flow: Flow | None = None
        self._room: asyncio.Event | None = None
        self.started = False
        """Start is in the log: a reader has been told that an answer is coming."""
        self.visible = False
        """More than Start is in the log: from here on nothing can be taken back."""
        self._flows = False
        """It is visible and has not ended."""
        self.ended = False
        self.end_event: End | None = None
        self.paused = False
        self.pauses = 0
        self._unhurried = 0
        """Persons that are waited for, since when, and for how long before that."""
        self._unhurried_at = self._unhurried_before = 0.0
        self.begun_at = clock.monotonic()
        self._deltas = 0
        self._characters = 0
        self.usage: Usage | None = None
        """What the present attempt's source has counted, at its start or at its end."""
        self.dropped: tuple[str, ...] = ()
        """Fields of the request that the present attempt's source was not told."""
        self.model: str | None = None
        """The model that answers, where it is not the one that was asked for."""
        self.answering: str | None = None
        """The deployment that answers, where it might be one of several."""
        self.attempts: tuple[Attempt, ...] = ()
        """The sources that were asked, in their order."""
        self.seams: tuple[Seam, ...] = ()
        self.first_delta_at: float | None = None
        self._last_delta_at: float = self.begun_at

    def emit(self, event: AnyEvent) -> None:
        """See :class:`tidegate.core.source.Output`, as for all that follow."""
        if self._flows and type(event) is Text:  # nearly every call is for one more text
            self._deltas += 1
            self._characters += len(event.text)
            monotonic = self._monotonic  # in a variable: see sources/upstream.py
            self._last_delta_at = monotonic()
            self._log.append(self._stream, self.epoch, (event,))
        else:
            self.emit_all((event,))

    def emit_all(self, events: Sequence[AnyEvent]) -> None:
        if not self.visible:
            events = self._first(events)
        if not events or self.ended:
            return
        deltas, characters = _counted(events)
        if deltas:
            self._deltas += deltas
            self._characters += characters
            self._last_delta_at = self._monotonic()
        last = events[-1]
        if type(last) is End:
            self._close(events, last)
        else:
            self._log.append(self._stream, self.epoch, events)

    def adopt(self, events: Sequence[AnyEvent]) -> None:
        """Go on from what another process had in its log."""
        self.started = True
        self._deltas, self._characters = _counted(events)
        self.visible = self._flows = self._deltas > 0
        last = events[-1]
        said = events[:-1] if type(last) is End else events
        for at in range(0, len(said), _ADOPTED):
            self._log.append(self._stream, self.epoch, said[at : at + _ADOPTED])
        if type(last) is End:
            self._close((last,), last)

    @property
    def deltas(self) -> int:
        """How many deltas were shown; below, how many characters they had, and when the last one came."""
        self.settle()
        return self._deltas

    @property
    def characters(self) -> int:
        self.settle()
        return self._characters

    @property
    def last_delta_at(self) -> float:
        self.settle()
        return self._last_delta_at

    def steady(self, steady: Steady, upstream: Passable) -> bool:
        return self._flows and self._pass_by(steady, upstream)

    def settle(self) -> None:
        """Count what goes past by now."""
        if self.relay is not None:
            self.relay.settle()

    def passed(self, events: int, characters: int, last_at: float) -> None:
        """Count what went past, the last of it at this moment of the clock."""
        self._deltas += events
        self._characters += characters
        self._last_delta_at = last_at

    async def ready(self) -> None:
        if self.paused:
            if self._room is None:
                self._room = asyncio.Event()
            await self._room.wait()

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        if not self._unhurried:
            self._unhurried_at = self._monotonic()
        self._unhurried += 1
        try:
            yield
        finally:
            self._unhurried -= 1
            if not self._unhurried:
                self._last_delta_at = self._monotonic()
                self._unhurried_before += self._last_delta_at - self._unhurried_at

    @property
    def is_unhurried(self) -> bool:
        """A person is waited for."""
        return self._unhurried > 0

    @property
    def unhurried_seconds(self) -> float:
        """How long persons were waited for so far."""
        now = self._monotonic() - self._unhurried_at if self._unhurried else 0.0
        return self._unhurried_before + now

    def drop(self, fields: Sequence[str]) -> None:
        self.dropped = tuple(fields)

    def count(self, usage: Usage) -> None:
        self.usage = usage

    def control(self, flow: Flow | None) -> None:
        self._flow = flow
        if flow is not None and self.paused:
            flow.pause_reading()

    def commit_start(self) -> None:
        """Append Start now, since headers must be sent; retry and fallback stay possible."""
        if not self.started and not self.ended:
            self.started = True
            held = self._held.pop(0) if self._held and isinstance(self._held[0], Start) else None
            self._log.append(self._stream, self.epoch, (self._start(held),))

    def said(self) -> list[AnyEvent]:
        """All that is in the log so far. Raises LogError where that is not kept."""
        return self._log.read(self._stream, 0, _EVERYTHING)

    def attempted(self, attempt: Attempt) -> None:
        """A source was asked, and this is what came of it."""
        self.attempts = (*self.attempts, attempt)
        if attempt.outcome != "completed" and not self.ended:
            self._log.note(self._stream, attempt)
        self.usage = None

    def resume_from(self, deployment: str) -> None:
        """Another process had this deployment answer."""
        self.answering = deployment
        self._log.note(self._stream, Answering(deployment))

    def join(self, seam: Seam) -> None:
        """What is emitted from here on goes on where an attempt broke off."""
        self.answering = seam.after
        self.seams = (*self.seams, seam)
        self._log.note(self._stream, seam)

    def restart(self) -> None:
        """Forget what an attempt said without showing anything."""
        self._held = []
        self.dropped = ()

    def end(self, outcome: Outcome, usage: Usage | None = None, error: Failure | None = None) -> None:
        """Close the stream, unless it is closed."""
        if not self.ended:
            end = End(outcome=outcome, usage=usage, error=error)
            self._close((end,), end)

    def pause(self) -> None:
        """Stop the source: its only reader has no room. One that has ended may be at its next request."""
        if not self.paused and not self.ended:
            self.paused = True
            self.pauses += 1
            if self._flow is not None:
                self._flow.pause_reading()

    def resume(self) -> None:
        """Let the source go on."""
        if self.paused:
            self.paused = False
            self._last_delta_at = self._monotonic()
            if self._flow is not None:
                self._flow.resume_reading()
            if self._room is not None:
                self._room.set()
                self._room = None

    def _close(self, events: Sequence[AnyEvent], end: End) -> None:
        self.ended = True
        self._flows = False
        self.end_event = end
        self.usage = end.usage or self.usage
        self._over(self._stream)
        try:
            self._log.append(self._stream, self.epoch, events)
        except Fenced:  # another producer writes it now, and will end it
            logger.warning("stream %s was taken over by another producer", self._stream)

    def _first(self, events: Sequence[AnyEvent]) -> Sequence[AnyEvent]:
        """What of the first events goes into the log: nothing until one of them shows something."""
        self._held += events
        if type(events[0]) is Start and events[0].usage is not None:
            self.usage = events[0].usage
        shown = any(map(shows, events))
        if not shown and not any(type(event) in _ENDINGS for event in events):
            return ()
        held, self._held = self._held, []
        self.visible = self._flows = True
        if self.answering is not None:
            self._log.note(self._stream, Answering(self.answering))
        if shown:
            self.first_delta_at = self._monotonic()
        if not self.started:
            self.started = True
            if self.model is None and type(held[0]) is Start:
                return held
            first = held.pop(0) if type(held[0]) is Start else None
            return [self._start(first), *held]
        if type(held[0]) is Start:  # a Start without it was appended when headers had to be sent
            extra = (held.pop(0).extra or {}).get("chunk")
            if extra and (held[0].extra or {}).get("chunk") != extra:
                held.insert(0, Item(kind="chunk", value=extra))
        return held

    def _start(self, said: AnyEvent | None) -> Start:
        """The source's Start, or ours; it names the model that answers where that is news."""
        start = said if isinstance(said, Start) else Start()
        if start.model is not None or self.model is None:
            return start
        return msgspec.structs.replace(start, model=self.model)


def _counted(events: Sequence[AnyEvent]) -> tuple[int, int]:
    """How many events show something, and the characters that they have. In one loop: calls cost more."""
    deltas = characters = 0
    for event in events:
        kind = type(event)
        if kind is Text or kind is Thinking:
            deltas += 1
            characters += len(event.text)  # type: ignore[union-attr]
        elif kind is Tool:
            deltas += 1
            characters += len(event.arguments)  # type: ignore[union-attr]
        elif kind is Item and shows(event):
            deltas += 1
    return deltas, characters


def shows(event: AnyEvent) -> bool:
    """Whether a reader gets to see something new: not a start, an end, or a chunk's outer fields alone."""
    if type(event) is Item:
        return event.kind not in ("chunk", "choice")
    return type(event) in _DELTAS
