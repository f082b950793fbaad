"""Nobody can tell whether an answer went through a relay: what is shown, kept and counted is the same."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import messages
from tests.chat import frame
from tests.properties import examples
from tests.responses import Events
from tests.responses import frame as numbered
from tests.streams.passage import END, HEAD, Outcome, Passage, Socket, both_ways, chunked, reading
from tidegate.streams import relay

pytestmark = pytest.mark.skipif(
    not relay.COMPILED, reason="it was installed without a compiler, so there are no relays"
)

Json = dict[str, Any]
PLAIN = [f" word{n}" for n in range(9)]
"""Texts after which a relay has formed, whatever came before them."""


# What upstreams send: the texts stand as @0@, @1@ and so on in the frames, and are put there as written.


def _chunk(delta: Json, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "mock"}
    return frame({**head, "choices": [choice], "usage": None, **more})


def _chat(key: str, padded: bool, marks: Sequence[str]) -> list[bytes]:
    def pad(n: int) -> Json:
        return {"obfuscation": "aB3dEfGhIj"[: n % 11]} if padded else {}

    usage = {"usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}}
    deltas = [_chunk({key: mark}, **pad(n)) for n, mark in enumerate(marks)]
    opening = [_chunk({"role": "assistant", "content": ""}), _chunk({"content": "."}, **pad(1))]
    return [*opening, *deltas, _chunk({}, "stop", **usage), b"data: [DONE]\n\n"]


def _messages(kind: str, padded: bool, marks: Sequence[str]) -> list[bytes]:
    block = messages.text(0, marks) if kind == "text" else messages.thinking(0, marks, "signed")
    frames = [messages.event(event) for event in messages.answer(block)]
    if padded:
        frames = [
            each.replace(b"}}\n\n", b"}%b}\n\n" % (b" " * (n % 7))) if b"_delta" in each else each
            for n, each in enumerate(frames)
        ]
    return frames


def _responses(kind: str, marks: Sequence[str]) -> list[bytes]:
    events = Events()
    if kind == "text":
        events.text(marks)
    else:
        events.reasoning(marks, "sealed").text(["said"])
    return [numbered(event) for event in events.ended()]


Frames = Callable[[Sequence[str]], list[bytes]]
SOURCES: dict[str, tuple[str, Frames]] = {
    "chat": ("openai-chat", lambda marks: _chat("content", False, marks)),
    "chat, padded": ("openai-chat", lambda marks: _chat("content", True, marks)),
    "chat, reasoning": ("openai-chat", lambda marks: _chat("reasoning_content", False, marks)),
    "messages": ("anthropic-messages", lambda marks: _messages("text", False, marks)),
    "messages, padded": ("anthropic-messages", lambda marks: _messages("text", True, marks)),
    "messages, thinking": ("anthropic-messages", lambda marks: _messages("thinking", True, marks)),
    "responses": ("openai-responses", lambda marks: _responses("text", marks)),
    "responses, reasoning": ("openai-responses", lambda marks: _responses("reasoning", marks)),
}
SHOWN = ("openai-chat", "anthropic-messages", "openai-responses")


def _in_utf8(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")


def _in_ascii(text: str) -> bytes:
    return json.dumps(text)[1:-1].encode()


def _otherwise(text: str) -> bytes:
    """Every character escaped in capitals, but for those that JSON has an escape of one letter for."""
    short = {'"': b'\\"', "\\": b"\\\\", "/": b"\\/", "\n": b"\\n", "\b": b"\\b"}
    units = [char.encode("utf-16-be", "surrogatepass").hex().upper() for char in text]
    long = [
        b"".join(b"\\u%b" % unit[at : at + 4].encode() for at in range(0, len(unit), 4)) for unit in units
    ]
    return b"".join(short.get(char, written) for char, written in zip(text, long, strict=True))


WRITTEN = (_in_utf8, _in_ascii, _otherwise)
Said = tuple[str, Callable[[str], bytes]]

SPECIAL = [
    "",
    "data: ",
    "d",
    "data: [DONE]",
    "}",
    '"}}]}',
    "\x00",
    "\x7f",
    "\x1f\t\n\r\b\f",
    "\u2028\u2029\x85",
]
SPECIAL += ["\ud83d", "\ude00", "😀", "\U0010ffff", "\ufeff", "\\", '\\"', "/", "@", "text-stands", "é" * 40]
TEXT = st.one_of(
    st.text(max_size=12),
    st.text(st.characters(), max_size=4),  # halves of pairs as well
    st.sampled_from(SPECIAL),
    st.lists(st.sampled_from(SPECIAL), max_size=4).map("".join),
)
SAYINGS = st.lists(st.tuples(TEXT, st.sampled_from(WRITTEN)), max_size=12)


def said(source: str, sayings: Iterable[Said]) -> list[bytes]:
    """The frames of an answer in which this is said."""
    written = [how(text) for text, how in sayings]
    frames = SOURCES[source][1]([f"@{n}@" for n in range(len(written))])
    for n, inside in enumerate(written):
        frames = [each.replace(b"@%d@" % n, inside) for each in frames]
    return frames


def plainly(texts: Iterable[str]) -> list[Said]:
    return [(text, _in_utf8) for text in texts]


@st.composite
def reads(draw: st.DrawFn, frames: Sequence[bytes], certain: int) -> list[bytes]:
    """The frames as they come: the first ones each alone, then as servers and networks cut them."""
    alone, rest = frames[:certain], list(frames[certain:])
    body = b""
    stops: list[int] = []
    while rest:
        count = draw(st.integers(1, 3))
        data, rest = b"".join(rest[:count]), rest[count:]
        head = draw(st.sampled_from([b"%x\r\n"] * 6 + [b"%X\r\n", b"0%x\r\n", b"%x;a=b\r\n"]))
        body += head % len(data) + data + b"\r\n"
        stops.append(len(body))
    body += draw(st.sampled_from([END, b"0\r\nx-trailer: 1\r\n\r\n"]))
    whole = draw(st.sets(st.sampled_from(stops))) if stops else set()
    within = draw(st.sets(st.integers(1, len(body) - 1), max_size=4))
    points = [0, *sorted(whole | within), len(body)]
    cut = [body[start:stop] for start, stop in pairwise(points) if start < stop]
    return [*map(chunked, alone), *cut]


def alike(pair: tuple[Outcome, Outcome, int]) -> int:
    """Nothing shows that there were relays; how many reads they passed on."""
    with_relays, without, passed = pair
    assert with_relays == without
    return passed


@examples(120)
@given(
    data=st.data(),
    source=st.sampled_from(sorted(SOURCES)),
    shown=st.sampled_from(SHOWN),
    sayings=SAYINGS,
    on_disk=st.booleans(),
)
def test_any_text_in_any_pieces(
    data: st.DataObject, source: str, shown: str, sayings: list[Said], on_disk: bool
) -> None:
    frames = said(source, [*plainly(PLAIN), *sayings])
    certain = len(frames) - len(sayings) - 8
    course = reading(data.draw(reads(frames, max(certain, 11))))
    passed = alike(both_ways(course, on_disk=on_disk, spoken=SOURCES[source][0], shown=shown))
    assert passed >= 1, "there was no relay, so this shows nothing"
