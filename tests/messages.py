"""Owns Messages values and scripts as an upstream of that dialect sends them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from tests.chat import frame
from tests.script import Close, End, Head, Send, Step

Json = dict[str, Any]

USAGE: Final[Json] = {"input_tokens": 11, "output_tokens": 1}
PING: Final[Json] = {"type": "ping"}


def event(value: Json) -> bytes:
    """One event with its name; in ASCII where it holds half an emoji."""
    try:
        return frame(value, event=value["type"])
    except UnicodeEncodeError:
        return frame(json.dumps(value), event=value["type"])


def message_start(**message: Any) -> Json:
    begun: Json = {
        "id": "msg_upstream",
        "type": "message",
        "role": "assistant",
        "model": "mock",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": USAGE,
    }
    return {"type": "message_start", "message": {**begun, **message}}


def block(index: int, content: Json, deltas: Iterable[Json]) -> list[Json]:
    """A block from its start to its stop."""
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(index: int, pieces: Iterable[str]) -> list[Json]:
    deltas = ({"type": "text_delta", "text": piece} for piece in pieces)
    return block(index, {"type": "text", "text": ""}, deltas)


def thinking(index: int, pieces: Iterable[str], signature: str) -> list[Json]:
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    signed = {"type": "signature_delta", "signature": signature}
    return block(index, {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed])


def redacted(index: int, data: str) -> list[Json]:
    return block(index, {"type": "redacted_thinking", "data": data}, [])


def call(index: int, name: str, pieces: Iterable[str], call_id: str | None = None) -> list[Json]:
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    content = {"type": "tool_use", "id": call_id or f"toolu_{index}", "name": name, "input": {}}
    return block(index, content, deltas)


def message_end(reason: str = "end_turn", stop: str | None = None, output_tokens: int = 7) -> list[Json]:
    delta = {"stop_reason": reason, "stop_sequence": stop}
    usage = {"output_tokens": output_tokens}
    return [{"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]


def failure(kind: str = "overloaded_error", message: str = "Overloaded") -> Json:
    return {"type": "error", "error": {"type": kind, "message": message}}


def answer(*blocks: Sequence[Json], reason: str = "end_turn", stop: str | None = None) -> list[Json]:
    """A whole answer of these blocks."""
    return [
        message_start(),
        PING,
        *(each for events in blocks for each in events),
        *message_end(reason, stop),
    ]


def stream(events: Iterable[Json], *last: Step) -> list[Step]:
    """A streamed answer, every event in a write of its own; it ends well unless ``last`` says otherwise."""
    return [Head(), *(Send(event(value)) for value in events), *(last or (End(),))]


def broken_off(events: Iterable[Json]) -> list[Step]:
    """A streamed answer whose connection closes in the middle of its body."""
    return stream(events, Close())
