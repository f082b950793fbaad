"""Thinking as part of the visible text, in whatever a dialect renders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.recorded import header_for
from tidegate.core.event import AnyEvent, End, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.request import Header
from tidegate.dialects import load_dialect, renderer
from tidegate.dialects.framed import Framed
from tidegate.dialects.translation.shown_thinking import ShownThinking

CHAT = load_dialect("openai-chat")
DONE = End(outcome="completed")


def header(*, stream: bool = True, shows: bool = False) -> Header:
    return msgspec.structs.replace(header_for(CHAT), stream=stream, thinking_to_content=shows)


class Keeping(Framed):
    """A renderer that keeps the events that it is given."""

    content_type = b"text/plain"

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        self.events += events
        return b""

    def keep_alive(self) -> bytes:
        return b"alive"


def shown(*events: AnyEvent) -> list[AnyEvent]:
    keeping = Keeping()
    ShownThinking(keeping).render(events)
    return keeping.events


def texts(*events: AnyEvent) -> list[tuple[int, str]]:
    return [(each.block, each.text) for each in shown(*events) if isinstance(each, Text)]


def test_thinking_and_what_follows_are_one_text() -> None:
    said: list[AnyEvent] = [
        Thinking(text="a"),
        Thinking(text="b"),
        Text(text="c", block=1),
        Text(text="d", block=1),
    ]
    assert texts(*said) == [(0, "<think>\na"), (0, "b"), (0, "\n</think>\n"), (0, "c"), (0, "d")]


@pytest.mark.parametrize(
    "after",
    [Tool(arguments="", block=1, name="f"), Item(kind="x", value=1, block=1), Finish(reason="stop"), DONE],
)
def test_thinking_ends_before_anything_else(after: AnyEvent) -> None:
    events = shown(Thinking(text="a"), after)
    assert events[1:] == [Text(text="\n</think>\n"), after]


def test_what_tells_nothing_ends_no_thinking() -> None:
    item = Item(kind="choice", value={"x": 1})
    assert texts(Thinking(text="a"), item, Thinking(text="b"), DONE)[1] == (0, "b")


def test_thinking_that_broke_off_is_not_closed() -> None:
    assert texts(Thinking(text="a"), End(outcome="failed")) == [(0, "<think>\na")]


def test_choices_think_apart() -> None:
    events = shown(
        Thinking(text="a"),
        Thinking(text="b", choice=1),
        Text(text="c", block=1),
        Finish("stop", choice=1),
        DONE,
    )
    by_choice = ["".join(e.text for e in events if isinstance(e, Text) and e.choice == n) for n in (0, 1)]
    assert by_choice == ["<think>\na\n</think>\nc", "<think>\nb\n</think>\n"]


def test_thinking_may_begin_again() -> None:
    said: list[AnyEvent] = [
        Thinking(text="a"),
        Text(text="b", block=1),
        Thinking(text="c", block=2),
        Text(text="d", block=3),
    ]
    assert "".join(text for _, text in texts(*said)) == "<think>\na\n</think>\nb<think>\nc\n</think>\nd"


def test_signatures_and_second_accounts_of_thinking_are_left_out() -> None:
    extra = {"chunk": {"x": 1}, "delta": {"reasoning_details": [{"signature": "s"}], "y": 2}}
    events = shown(
        Thinking(text="", signature="s", origin="anthropic-messages"),
        Thinking(text="a", extra=extra),
        Item(kind="delta", value={"reasoning_details": []}),
        Item(kind="delta", value={"reasoning_details": [], "z": 3}),
        Thinking(text="", redacted="r"),
        DONE,
    )
    cleaned = {"chunk": {"x": 1}, "delta": {"y": 2}}
    assert events == [
        Text(text="<think>\na", extra=cleaned),
        Item(kind="delta", value={"z": 3}),
        Text(text="\n</think>\n", extra=cleaned),
        DONE,
    ]


def test_a_refusal_keeps_its_block() -> None:
    refusal = Text(text="no", block=1, refusal=True)
    assert shown(Thinking(text="a"), refusal)[-1] == refusal


def test_deltas_keep_sharing_their_extra() -> None:
    """Renderers tell by identity that only the text has changed."""
    extra = {"chunk": {"x": 1}, "delta": {"reasoning_details": []}}
    events = shown(*(Thinking(text="a", extra=extra) for _ in range(3)))
    assert len({id(each.extra) for each in events}) == 1


def test_what_is_off_costs_nothing() -> None:
    assert type(renderer(CHAT, header())) is type(CHAT.renderer(header()))
    assert isinstance(renderer(CHAT, header(shows=True)), ShownThinking)


def test_keep_alives_are_the_dialects() -> None:
    assert ShownThinking(Keeping()).keep_alive() == b"alive"


EVENTS = st.lists(
    st.one_of(
        st.builds(
            Thinking, text=st.text(max_size=3), block=st.integers(0, 3), signature=st.none() | st.just("s")
        ),
        st.builds(Text, text=st.text(min_size=1, max_size=3), block=st.integers(0, 3)),
        st.builds(Tool, arguments=st.just("{}"), block=st.just(9)),
    ),
    max_size=12,
)


@pytest.mark.parametrize("stream", [True, False])
@given(events=EVENTS, cuts=st.lists(st.integers(0, 14), max_size=4))
def test_rendering_depends_on_the_events_alone(stream: bool, events: list[AnyEvent], cuts: list[int]) -> None:
    """However the log hands them out."""
    whole = [Start(), *events, Finish(reason="stop"), DONE]
    at_once = renderer(CHAT, header(stream=stream, shows=True)).render(whole)
    rendering = renderer(CHAT, header(stream=stream, shows=True))
    bounds = [0, *sorted(cuts), len(whole)]
    parts = [rendering.render(whole[a:b]) for a, b in pairwise(bounds) if a < b]
    assert b"".join(parts) == at_once


@given(events=EVENTS)
def test_whole_and_streamed_say_the_same(events: list[AnyEvent]) -> None:
    said = [Start(), *events, Finish(reason="stop"), DONE]
    body = renderer(CHAT, header(stream=False, shows=True)).render(said)
    message: dict[str, Any] = json.loads(body)["choices"][0]["message"]
    text = "".join(event.text for event in shown(*said) if isinstance(event, Text))
    assert (message["content"] or "") == text
    assert "reasoning_content" not in message
