"""Owns Chat chunks as bytes for the tests of `openai-chat`: what upstreams may send and clients must get."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from tests.dialects.feeding import feed
from tidegate.core.event import AnyEvent, End
from tidegate.dialects import Dialect
from tidegate.errors import SourceError

LIMIT = 1 << 20

Json = dict[str, Any]

DONE = b"data: [DONE]\n\n"

# What has fooled parsers: quotes, escapes, our own surroundings, framing, controls, halves of an emoji.
FRAGMENTS = [
    "a",
    "Hello",
    " ",
    '"',
    "\\",
    '\\"',
    '"content":',
    '"content":"',
    '"},"finish_reason":null}]}',
    '","content":"b',
    "data: ",
    "data:",
    "[DONE]",
    "\n",
    "\r\n\r\n",
    "\t",
    "\x00",
    "\x1f",
    "\x7f",
    "\u2028",
    "\u0085",
    "世",
    "😀",
    "\ud83d",
    "\ude00",
    "\ufeff",
    "{}",
    "null",
]
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=4).map("".join)


def frame(chunk: Json, *, ascii_only: bool = True, compact: bool = True) -> bytes:
    """One event, written as one kind of server or another writes it."""
    separators = (",", ":") if compact else None
    written = json.dumps(chunk, ensure_ascii=ascii_only, separators=separators)
    return b"data: " + written.encode("utf-8", "surrogatepass") + b"\n\n"


def chunk(delta: Json, *, index: int = 0, finish: str | None = None, **more: Any) -> Json:
    """A chunk with one choice."""
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
        **more,
    }


def heard(dialect: Dialect, pieces: Iterable[bytes]) -> tuple[list[AnyEvent], str]:
    """The events that a new decoder makes of the pieces, and the message of the error that it ends in."""
    events: list[AnyEvent] = []
    decoder = dialect.decoder(LIMIT)
    try:
        for piece in pieces:
            feed(decoder, piece, events)
        if not events or type(events[-1]) is not End:
            decoder.finish(events)
    except SourceError as error:
        return events, error.message
    return events, ""


def told(body: bytes) -> list[Json]:
    """The chunks in a client's stream; fails on anything that a naive client cannot read."""
    assert body.isascii()
    assert body == b"" or body.endswith(b"\n\n")
    chunks = []
    for event in body.decode("ascii").split("\n\n")[:-1]:
        assert event.startswith("data: ")
        assert event.splitlines() == [event]
        assert "data: " not in event[6:]
        if event != "data: [DONE]":
            chunks.append(strict_object(event[6:]))
    return chunks


def strict_object(text: str) -> Json:
    """A JSON object in which no member stands twice and no number is none."""
    value = json.loads(text, object_pairs_hook=_without_doubles, parse_constant=_refuse)
    assert isinstance(value, dict)
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> Json:
    value = dict(pairs)
    assert len(value) == len(pairs), f"a member stands twice: {pairs}"
    return value


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")
