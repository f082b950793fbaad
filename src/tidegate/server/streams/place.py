"""Finds the place in a stream that a reader begins at, and brings a renderer there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from tidegate.core.event import AnyEvent
from tidegate.core.run import Skipped, coalesce
from tidegate.dialects import Renderer
from tidegate.dialects.cursor import Cursor
from tidegate.errors import InvalidRequest, LogError
from tidegate.streams.registry import Readable

_BATCH: Final = 1024
"""Events that are asked for at once."""

_STEP: Final = 256
"""Runs and events that are gone past before other streams get their turn."""


class Place(NamedTuple):
    """Everything up to ``seq`` is rendered; ``first`` are frames of that event that are to be shown still."""

    seq: int
    first: bytes = b""


def check_event(stream: Readable, cursor: Cursor, named: str) -> None:
    """Raise InvalidRequest for the cursor of an event that there is not."""
    last = stream.last_seq
    if cursor.seq + (cursor.frames > 0) > last:
        raise InvalidRequest(
            f"'{named}' is beyond the end: the last event of stream {stream.header.id} is {last}",
            param=named,
            code="beyond_the_end",
        )


async def place_after(stream: Readable, rendering: Renderer, cursor: Cursor, named: str) -> Place:
    """The place of a cursor. Raises InvalidRequest where the event has no such frame."""
    seq, frames = cursor
    async for items in passed(stream, seq):
        for item in items:
            rendering.skip(item)
    if not frames:
        return Place(seq)
    rendered = await _frames_of(stream, rendering, seq)
    if frames > len(rendered):
        raise InvalidRequest(
            f"'{named}' is beyond the end: event {seq + 1} has {len(rendered)} frames in this rendering",
            param=named,
            code="beyond_the_end",
        )
    return Place(seq + 1, b"".join(rendered[frames:]))


async def place_behind(
    stream: Readable, probe: Renderer, rendering: Renderer, frames: int, named: str
) -> Place:
    """The place behind a number of frames; ``probe`` is one more such renderer, to find it with."""
    if not frames:
        return Place(0)
    before = await _run_with_frame(stream, probe, frames, named)
    counted = 0
    async for items in passed(stream, before):
        counted += sum(map(rendering.skip, items))
    seq = before
    while True:
        rendered = await _frames_of(stream, rendering, seq)
        seq += 1
        counted += len(rendered)
        if counted >= frames:
            return Place(seq, b"".join(rendered[len(rendered) - (counted - frames) :]))


async def _run_with_frame(stream: Readable, probe: Renderer, frames: int, named: str) -> int:
    """The seq of the last event before the run in which so many frames are reached."""
    seq = counted = 0
    async for items in passed(stream, stream.last_seq):
        for item in items:
            counted += probe.skip(item)
            if counted >= frames:
                return seq
            seq += getattr(item, "count", 1)
    raise InvalidRequest(
        f"'{named}' is beyond the end: stream {stream.header.id} has {counted} frames in this rendering",
        param=named,
        code="beyond_the_end",
    )


async def _frames_of(stream: Readable, rendering: Renderer, seq: int) -> list[bytes]:
    """The frames of the event behind ``seq``, which is rendered with that."""
    events = await stream.events(seq, 1)
    if not events:
        raise _missing(stream, seq)
    return rendering.frames(rendering.render(events))


async def passed(stream: Readable, upto: int) -> AsyncIterator[Sequence[Skipped]]:
    """What is to be gone past up to a seq, a part at a time; other streams get their turn in between.

    Raises LogError or Gone where some of it cannot be had.
    """
    items, seq = await stream.passed(upto)
    summed_up = iter(items)
    while part := list(islice(summed_up, _STEP)):
        yield part
        await asyncio.sleep(0)
    while seq < upto:
        events: list[AnyEvent] = await stream.events(seq, min(_BATCH, upto - seq))
        if not events:
            raise _missing(stream, seq)
        seq += len(events)
        parts = iter(coalesce(events))
        while part := list(islice(parts, _STEP)):
            yield part
            await asyncio.sleep(0)


def _missing(stream: Readable, seq: int) -> LogError:
    return LogError(f"stream {stream.header.id} has nothing after event {seq}")
