"""A stream as a JSON object: what became of it so far."""

from __future__ import annotations

from typing import Any

import msgspec

from tidegate.agents.questions import Questions
from tidegate.core.attempt import Attempt, Seam
from tidegate.core.event import End, Failure, Text
from tidegate.core.request import Header
from tidegate.core.run import Run
from tidegate.core.usage import Usage
from tidegate.server.streams.place import passed
from tidegate.streams.registry import Readable

Json = dict[str, Any]


async def whole_state(stream: Readable, questions: Questions) -> Json:
    """All that is known of a stream, with the text of its first choice so far, and what it asks for."""
    words: list[str] = []
    async for items in passed(stream, stream.last_seq):
        events = (item.event if isinstance(item, Run) else item for item in items)
        words += [event.text for event in events if type(event) is Text and event.choice == 0]
    return {**state(stream, questions), "text": "".join(words)}


def state(stream: Readable, questions: Questions) -> Json:
    """The same without the text."""
    asked = [msgspec.to_builtins(each) for each in questions.of(stream.header.id)]
    return told(stream.header, stream.last_seq, stream.end, stream.attempts, stream.seams, asked)


def told(
    header: Header,
    last_seq: int,
    end: End | None,
    attempts: tuple[Attempt, ...],
    seams: tuple[Seam, ...],
    asked: list[Json] | None = None,
) -> Json:
    """What is told of a stream; ``end`` is None while it is under way, ``asked`` what it waits for."""
    return {
        "id": header.id,
        "object": "stream",
        "status": "running" if end is None else end.outcome,
        "model": header.model,
        "dialect": header.dialect,
        "created": header.created,
        "stream": header.stream,
        "on_disconnect": header.on_disconnect,
        "last_seq": last_seq,
        "outcome": None if end is None else end.outcome,
        "error": None if end is None or end.error is None else _error(end.error),
        "usage": None if end is None or end.usage is None else _usage(end.usage),
        "input_required": asked or [],
        "attempts": [msgspec.to_builtins(attempt) for attempt in attempts],
        "seams": [msgspec.to_builtins(seam) for seam in seams],
    }


def _error(error: Failure) -> Json:
    return {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
        "status": error.status,
    }


def _usage(usage: Usage) -> Json:
    names = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
    return {name: getattr(usage, name) for name in names}
