"""The way of a continuation into its stream: what of it is new goes on in the open block.

Its start is left out, its first text held back until it is known what of it was shown before; its end is told
with the tokens of all attempts, and with the seams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from tidegate.core.attempt import Attempt, Seam
from tidegate.core.clock import Clock
from tidegate.core.event import SEAMS, AnyEvent, End, Extra, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.overlap import Overlap
from tidegate.core.request import Header
from tidegate.core.source import Flow
from tidegate.core.steady import Passable, Steady
from tidegate.core.usage import Usage
from tidegate.errors import Broken
from tidegate.routing.progress import Progress
from tidegate.routing.shown import Shown


class Splice:
    """The output of an attempt that goes on. Implements :class:`tidegate.routing.progress.Watched`."""

    __slots__ = (
        "_clock",
        "_out",
        "_overlap",
        "_seam",
        "_shift",
        "_shown",
        "first_delta_at",
        "usage",
        "visible",
    )

    def __init__(self, out: Progress, clock: Clock, shown: Shown, seam: Seam, overlap: Overlap) -> None:
        self._out = out
        self._clock = clock
        self._shown = shown
        self._seam = seam
        self._overlap = overlap
        self._shift = 0
        """From the numbers of its blocks to those of the stream's."""
        self.visible = False
        """Something of it is in the log: from here on it is the stream's, and can be broken off only."""
        self.first_delta_at: float | None = None
        self.usage: Usage | None = None

    @property
    def header(self) -> Header:
        """See :class:`tidegate.routing.progress.Watched`, as for all that follow."""
        return self._out.header

    @property
    def ended(self) -> bool:
        return self._out.ended

    @property
    def paused(self) -> bool:
        return self._out.paused

    @property
    def pauses(self) -> int:
        return self._out.pauses

    @property
    def deltas(self) -> int:
        return self._out.deltas

    @property
    def characters(self) -> int:
        return self._out.characters

    @property
    def last_delta_at(self) -> float:
        return self._out.last_delta_at

    @property
    def is_unhurried(self) -> bool:
        return self._out.is_unhurried

    @property
    def unhurried_seconds(self) -> float:
        return self._out.unhurried_seconds

    def unhurried(self) -> AbstractContextManager[None]:
        return self._out.unhurried()

    def attempted(self, attempt: Attempt) -> None:
        self._out.attempted(attempt)

    async def ready(self) -> None:
        await self._out.ready()

    def drop(self, fields: Sequence[str]) -> None:
        """The caller's headers are sent by now."""

    def count(self, usage: Usage) -> None:
        self.usage = usage

    def control(self, flow: Flow | None) -> None:
        self._out.control(flow)

    def steady(self, steady: Steady, upstream: Passable) -> bool:
        return False  # blocks may have other numbers in the stream

    def emit(self, event: AnyEvent) -> None:
        self.emit_all((event,))

    def emit_all(self, events: Sequence[AnyEvent]) -> None:
        """Raises Broken for what does not go on with the text that was shown."""
        if self.visible and not self._shift and len(events) == 1 and type(events[0]) is Text:
            self._out.emit_all(events)
            return
        passed: list[AnyEvent] = []
        for event in events:
            self._take(event, passed)
        if passed:
            self._out.emit_all(passed)

    def _take(self, event: AnyEvent, passed: list[AnyEvent]) -> None:
        if isinstance(event, Start):
            self.usage = event.usage
        elif isinstance(event, Finish):
            if not self.visible and (rest := self._overlap.finish()):
                passed.append(self._opening(Text(text=rest), rest))
            self._join(None)
            passed.append(msgspec.structs.replace(event, extra=self._told(_without_usage(event.extra))))
        elif isinstance(event, End):
            self.usage = event.usage or self.usage
            extra = self._told(event.extra)
            passed.append(msgspec.structs.replace(event, usage=self._all_usage(event.usage), extra=extra))
        elif self.visible:
            passed.append(self._moved(event))
        elif isinstance(event, Text) and not event.refusal:
            if text := self._overlap.feed(event.text):
                passed.append(self._opening(event, text))
        elif not isinstance(event, Item) or event.kind not in ("chunk", "choice"):
            kind = type(event).__name__.lower()
            raise Broken(f"the upstream went on with a {kind} in place of text", retryable=False)

    def _opening(self, event: Text, text: str) -> Text:
        """The first of its text that is new."""
        self._join(event.block)
        return msgspec.structs.replace(event, text=text, block=self._shown.block)

    def _join(self, block: int | None) -> None:
        if self.visible:
            return
        self.visible = True
        self.first_delta_at = self._clock.monotonic()
        self._shift = 0 if block is None else self._shown.block - block
        self._out.join(self._seam)

    def _moved(self, event: Text | Thinking | Tool | Item) -> AnyEvent:
        if not self._shift or event.block is None:
            return event
        return msgspec.structs.replace(event, block=event.block + self._shift)

    def _told(self, extra: Extra | None) -> dict[str, Any]:
        """What stands beside a finish or an end, with the seams."""
        seams = [
            {"seq": seam.seq, "characters": seam.characters, "error": seam.error} for seam in self._out.seams
        ]
        return {**(extra or {}), SEAMS: {"seams": seams}}

    def _all_usage(self, last: Usage | None) -> Usage:
        """The prompt's tokens once, the answer's of all attempts.

        An upstream that broke off has told no more than the former, if that; what it showed is estimated. The
        last one has counted what was shown before as a part of its prompt.
        """
        last = last or Usage()
        before = self._shown.tokens
        first = next((each.usage for each in self._out.attempts if each.deltas and each.usage), None)
        if first is None:
            first = Usage(
                input_tokens=max(last.input_tokens - before, 0),
                cached_tokens=min(last.cached_tokens, max(last.input_tokens - before, 0)),
                cache_write_tokens=last.cache_write_tokens,
            )
        return Usage(
            input_tokens=first.input_tokens,
            output_tokens=before + last.output_tokens,
            cached_tokens=first.cached_tokens,
            reasoning_tokens=last.reasoning_tokens,
            cache_write_tokens=first.cache_write_tokens,
        )


def _without_usage(extra: Extra | None) -> Extra | None:
    """What stands beside a finish, without the tokens of the last attempt alone."""
    if extra is None:
        return None
    return {
        level: {name: value for name, value in fields.items() if name != "usage"}
        if isinstance(fields, Mapping)
        else fields
        for level, fields in extra.items()
    }
