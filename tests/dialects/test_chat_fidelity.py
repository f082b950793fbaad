"""Through the gateway in one dialect: what an upstream said is what the client is told, known or not."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.chat_frames import DONE, FRAGMENTS, Json, chunk, frame, heard, strict_object, told
from tests.dialects.recorded import header_for
from tests.properties import examples
from tidegate.core.event import AnyEvent
from tidegate.dialects import load_dialect

CHAT = load_dialect("openai-chat")
LEVELS = ("chunk", "choice", "delta", "tool", "function")

kept = st.sampled_from(
    [False, 0, -1.5, 10**20, [], {}, [None, [{}]], {"a": None}, {"data: ": "data: "}]
    + [text + "x" for text in FRAGMENTS]
    + [{text: [text]} for text in FRAGMENTS]
)
"""Values that say something: null and "" in a delta are documented to be dropped."""

levels = st.sets(st.sampled_from(LEVELS))
some_text = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=3).map(
    lambda pieces: str(json.loads(json.dumps("".join(pieces))))  # two halves of an emoji are the emoji
)
kinds = st.sampled_from(["content", "reasoning_content", "reasoning", "tool_calls", "unknown"])


@st.composite
def odd_chunks(draw: st.DrawFn, number: int) -> Json:
    """A chunk that says something, with members that nobody knows on every level that it has."""
    unknown = {level: {f"x_{level}_{number}": draw(kept)} for level in draw(levels)}
    kind, text = draw(kinds), draw(some_text)
    delta: Json = {kind: text}
    if kind == "unknown":
        delta = {f"x_only_{number}": draw(kept)}
    elif kind == "tool_calls":
        function = {"arguments": text, **unknown.pop("function", {})}
        delta = {kind: [{"index": 0, "function": function, **unknown.pop("tool", {})}]}
    value = chunk({**delta, **unknown.get("delta", {})}, index=draw(st.integers(0, 1)))
    value["choices"][0].update(unknown.get("choice", {}))
    return {**value, **unknown.get("chunk", {})}


@st.composite
def odd_streams(draw: st.DrawFn) -> list[Json]:
    opening = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    begins = [chunk({"tool_calls": [opening]}, index=index) for index in (0, 1)]
    said = [draw(odd_chunks(number)) for number in range(draw(st.integers(0, 6)))]
    ends = [chunk({}, index=index, finish="stop") for index in (0, 1)]
    ends[1]["choices"][0]["x_finish"] = draw(kept)
    return [*begins, *said, *ends]


def unknown_members(value: Any, level: str = "chunk") -> dict[str, tuple[str, Any]]:
    """Every member whose name begins with x_, with where it stood and its value."""
    found = {name: (level, member) for name, member in value.items() if name.startswith("x_")}
    for choice in value.get("choices") or []:
        found |= unknown_members(choice, "choice")
        found |= unknown_members(choice["delta"], "delta")
        for call in choice["delta"].get("tool_calls") or []:
            found |= unknown_members(call, "tool")
            found |= unknown_members(call["function"], "function")
    return found


def spoken(chunks: list[Json], index: int) -> list[tuple[str, str]]:
    """Text, thinking and arguments of a choice in their order, neighbours joined."""
    said: list[tuple[str, str]] = []
    for choice in (choice for each in chunks for choice in each["choices"] if choice["index"] == index):
        delta = choice["delta"]
        pieces = [(name, delta.get(name)) for name in ("reasoning_content", "reasoning", "content")]
        pieces += [("arguments", call["function"]["arguments"]) for call in delta.get("tool_calls") or []]
        for name, text in pieces:
            if text and said and said[-1][0] == name:
                said[-1] = (name, said[-1][1] + text)
            elif text:
                said.append((name, text))
    return said


@examples(100)
@given(sent=odd_streams(), asked=st.booleans(), ascii_only=st.booleans())
def test_every_member_arrives_where_it_stood(sent: list[Json], asked: bool, ascii_only: bool) -> None:
    events, error = heard(CHAT, [*(frame(each, ascii_only=ascii_only) for each in sent), DONE])
    assert error == ""
    received = told(CHAT.renderer(header_for(CHAT, include_usage=asked)).render(events))
    expected: dict[str, tuple[str, Any]] = {}
    for each in sent:
        expected |= unknown_members(each)
    found: dict[str, tuple[str, Any]] = {}
    for each in received:
        found |= unknown_members(each)
    assert found == expected
    for index in (0, 1):
        assert spoken(received, index) == spoken(sent, index)


@examples(100)
@given(sent=odd_streams())
def test_a_second_gateway_changes_nothing(sent: list[Json]) -> None:
    """Rendered, decoded and rendered again, a stream is the same to the byte."""
    events, _ = heard(CHAT, [*(frame(each) for each in sent), DONE])
    header = header_for(CHAT, include_usage=True)
    once = CHAT.renderer(header).render(events)
    again, error = heard(CHAT, [once])
    assert error == ""
    assert CHAT.renderer(header).render(again) == once


@examples(100)
@given(sent=odd_streams())
def test_a_whole_answer_says_what_the_stream_says(sent: list[Json]) -> None:
    events, _ = heard(CHAT, [*(frame(each) for each in sent), DONE])
    streamed = told(CHAT.renderer(header_for(CHAT)).render(events))
    whole = whole_answer(events)
    for choice in whole["choices"]:
        joined: dict[str, str] = {}
        for name, text in spoken(streamed, choice["index"]):
            joined[name] = joined.get(name, "") + text
        message = choice["message"]
        assert units(message["content"] or "") == units(joined.pop("content", ""))
        [call] = message["tool_calls"]
        assert units(call["function"]["arguments"]) == units(joined.pop("arguments", ""))
        thinking = "".join(message.get(name, "") for name in ("reasoning_content", "reasoning"))
        assert sorted(units(thinking)) == sorted(units("".join(joined.values())))


def units(text: str) -> list[bytes]:
    """A text as JSON has it: halves of an emoji that come in two deltas are the emoji once joined."""
    encoded = text.encode("utf-16-le", "surrogatepass")
    return [encoded[at : at + 2] for at in range(0, len(encoded), 2)]


def whole_answer(events: list[AnyEvent]) -> Json:
    body = CHAT.renderer(msgspec.structs.replace(header_for(CHAT), stream=False)).render(events)
    return strict_object(body.decode("ascii"))
