"""Upstreams that answer in nonsense: every client gets one honest end, and nothing in the gateway breaks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any, Final

import pytest

from tests.gateway import Gateway, eventually
from tests.matrix.pairs import NAMES, ask
from tests.matrix.upstreams import SHAPES
from tests.raw_http import Response, fetch
from tests.script import Close, End, Head, Send
from tests.upstream import Upstream

NONSENSE: Final[list[Any]] = [
    *(None, True, 0, -1, 1.5, 10**18, 2**63, "", "x", "\ud800", "[DONE]", "\x00", "é" * 50),
    *([], {}, [None], [[]], {"a": 1}, {"type": None}, {"index": -5}, [1, 2], {"text": {"text": "x"}}),
]
FRAME: Final = re.compile(rb"((?:event: .*\n)?data: )(\{.*\})(\n\n)$", re.DOTALL)
ENDS: Final = {
    "openai-chat": re.compile(rb'(data: \[DONE\]|data: .*"finish_reason":"error".*)\n\n$'),
    "openai-responses": re.compile(rb'data: \{"type":"response\.(completed|incomplete|failed)".*\n\n$'),
    "anthropic-messages": re.compile(rb'data: \{"type":"(message_stop|error)".*\n\n$'),
    "gemini": re.compile(rb'("finishReason".*\n\n|"error".*\n)$'),
}
"""What the last frame of a stream is."""
MOST: Final = 40


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if place:
        yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield from places(each, (*place, name))


def wrong_value(luck: Random, value: Any) -> Any:
    """The value with something in it that does not belong there."""
    made = deepcopy(value)
    place = luck.choice(list(places(made)))
    holder = made
    for name in place[:-1]:
        holder = holder[name]
    if luck.random() < 0.3:
        del holder[place[-1]]
    else:
        holder[place[-1]] = deepcopy(luck.choice(NONSENSE))
    return made


def wrong_frame(luck: Random, frame: bytes) -> bytes:
    found = FRAME.match(frame)
    if found is None or luck.random() < 0.15:
        at = luck.randrange(len(frame))
        return frame[:at] + luck.randbytes(luck.randrange(3)) + frame[at + luck.randrange(2) :]
    try:
        value = json.loads(found[2])
    except ValueError:  # it was made wrong before
        value = None
    if not value:
        return frame * 2
    return found[1] + json.dumps(wrong_value(luck, value)).encode() + found[3]


def wrong(luck: Random, frames: list[bytes]) -> list[bytes]:
    for _ in range(luck.choice([1, 1, 2, 3])):
        at, other = luck.randrange(len(frames)), luck.randrange(len(frames))
        way = luck.random()
        if way < 0.7:
            frames[at] = wrong_frame(luck, frames[at])
        elif way < 0.85:
            frames.insert(other, frames[at])
        else:
            frames[at], frames[other] = frames[other], frames[at]
    return frames


def check(spoken: str, response: Response, *, stream: bool) -> None:
    if response.status != 200 or not stream:
        assert response.status in (200, 500, 502, 503, 504, 429, 400), response
        assert bool(response.json.get("error")) == (response.status != 200)
        return
    assert response.body.isascii()
    last = (
        response.body[response.body[:-2].rfind(b"\n\n") + 2 :]
        if b"\n\n" in response.body[:-2]
        else response.body
    )
    assert ENDS[spoken].search(last), response.body[-500:]


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 100))])
def test_nonsense_has_one_end_and_breaks_nothing(matrix: Gateway, upstream: Upstream, seed: int) -> None:
    luck = Random(seed)
    before = len(matrix.output())
    names = set()
    for _ in range(MOST):
        served, spoken, stream = luck.choice(NAMES), luck.choice(NAMES), luck.random() < 0.7
        frames = wrong(luck, SHAPES[served](luck.choice(["text", "thinking", "tools", "length"])))
        upstream.reset()
        upstream.play([Head(), *map(Send, frames), End() if luck.random() < 0.7 else Close()])
        response = ask(matrix, spoken, served, stream=stream)
        check(spoken, response, stream=stream)
        names.add(response.head.get("tidegate-stream"))
    assert "Traceback" not in matrix.output()[before:]
    eventually(lambda: not under_way(matrix) & names, "all of them are kept")


def under_way(gateway: Gateway) -> set[str]:
    found = fetch(gateway.address, "GET", "/v1/streams?status=running").json["data"]
    return {each["id"] for each in found}
