"""Adding up the events of a stream gives the one answer that they were parts of."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tidegate.core.event import AnyEvent, End, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.fold import Choice, Fold, merge
from tidegate.core.usage import Usage

END = End(outcome="completed", usage=Usage(1, 2))


def folded(*events: AnyEvent) -> Fold:
    fold = Fold()
    fold.add(events)
    return fold


def only(fold: Fold) -> Choice:
    [choice] = fold.choices.values()
    return choice


def test_nothing_adds_up_to_nothing() -> None:
    fold = folded()
    assert (fold.model, fold.choices, fold.chunk, fold.end) == (None, {}, {}, None)


def test_text_and_thinking_are_joined_apart() -> None:
    choice = only(folded(Thinking(text="h"), Thinking(text="m"), Text(text="a"), Text(text="b"), END))
    assert ("".join(choice.thinking), "".join(choice.text)) == ("hm", "ab")


def test_choices_are_kept_apart() -> None:
    fold = folded(
        Text(text="a", choice=1),
        Text(text="b", choice=0),
        Text(text="c", choice=1),
        Finish(reason="stop", choice=0),
        Finish(reason="length", choice=1),
    )
    assert {at: ("".join(each.text), each.reason) for at, each in fold.choices.items()} == {
        0: ("b", "stop"),
        1: ("ac", "length"),
    }


def test_calls_are_told_apart_by_their_block() -> None:
    choice = only(
        folded(
            Tool(arguments="", block=0, call_id="x", name="f"),
            Tool(arguments='{"a', block=0),
            Tool(arguments="{", block=1, call_id="y", name="g"),
            Tool(arguments='":1}', block=0),
            Tool(arguments="}", block=1),
        )
    )
    calls = [(call.call_id, call.name, "".join(call.arguments)) for call in choice.calls.values()]
    assert calls == [("x", "f", '{"a":1}'), ("y", "g", "{}")]


def test_what_a_call_says_beside_its_arguments_adds_up_too() -> None:
    """The input of a custom tool comes in parts, as arguments do."""
    parts: list[dict[str, Any]] = [{"custom": {"name": "code", "input": ""}, "type": "custom"}]
    parts += [{"custom": {"input": part}} for part in ("print(", "1)")]
    [call] = only(folded(*(Tool(arguments="", extra={"tool": part}) for part in parts))).calls.values()
    assert call.extra == {"custom": {"name": "code", "input": "print(1)"}, "type": "custom"}


def test_logprobs_are_kept_whatever_they_stood_beside() -> None:
    beside: list[dict[str, Any]] = [{"choice": {"logprobs": {"content": [{"token": each}]}}} for each in "ab"]
    choice = only(
        folded(
            Thinking(text="a", extra=beside[0]),
            Item(kind="choice", value=beside[1]["choice"]),
            Text(text="c", logprobs={"content": [{"token": "c"}]}),
        )
    )
    assert choice.logprobs == {"content": [{"token": each} for each in "abc"]}


def test_logprobs_are_one_list() -> None:
    rows = [{"token": "a"}, {"token": "b"}]
    choice = only(folded(*(Text(text="x", logprobs={"content": [row], "refusal": None}) for row in rows)))
    assert choice.logprobs == {"content": rows, "refusal": None}


def test_start_and_end_are_kept() -> None:
    fold = folded(Start(model="m", extra={"chunk": {"a": 1}}), END)
    assert (fold.model, fold.chunk, fold.end) == ("m", {"a": 1}, END)


def test_unknown_fields_are_kept_by_level() -> None:
    fold = folded(
        Text(text="a", extra={"chunk": {"c": 1}, "choice": {"d": 1}, "delta": {"e": "x", "f": [1]}}),
        Item(kind="chunk", value={"c": 2, "g": 3}),
        Item(kind="choice", value={"d": 2}),
        Item(kind="delta", value={"e": "y", "f": [2]}),
        Finish(reason="stop", extra={"choice": {"h": 4}}),
    )
    assert fold.chunk == {"c": 2, "g": 3}
    assert only(fold).extra == {"choice": {"d": 2, "h": 4}, "delta": {"e": "xy", "f": [1, 2]}}


def test_items_of_other_kinds_are_kept_as_they_are() -> None:
    item = Item(kind="citation", value={"url": "x"})
    assert only(folded(item)).items == [item]


def test_the_name_of_the_thinking_is_kept() -> None:
    assert only(folded(Thinking(text="a", extra={"name": "reasoning"}))).thinking_name == "reasoning"
    assert only(folded(Thinking(text="a"))).thinking_name is None


pieces = st.one_of(
    st.builds(Text, text=st.text(max_size=4), choice=st.integers(0, 2)),
    st.builds(Thinking, text=st.text(max_size=4), choice=st.integers(0, 2)),
    st.builds(Tool, arguments=st.text(max_size=4), choice=st.integers(0, 2), block=st.integers(0, 2)),
    st.builds(Item, kind=st.sampled_from(["delta", "chunk"]), value=st.just({"x": "y"})),
)


@examples(100)
@given(events=st.lists(pieces, max_size=12), at=st.integers(0, 12))
def test_events_may_come_in_any_parts(events: list[AnyEvent], at: int) -> None:
    fold = Fold()
    fold.add(events[:at])
    fold.add(events[at:])
    assert fold.choices == folded(*events).choices
    assert fold.chunk == folded(*events).chunk


@pytest.mark.parametrize(
    ("kept", "more", "merged"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": "x"}, {"a": "y"}, {"a": "xy"}),
        ({"a": [1]}, {"a": [2]}, {"a": [1, 2]}),
        ({"a": {"b": "x", "c": 1}}, {"a": {"b": "y"}}, {"a": {"b": "xy", "c": 1}}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": "x"}, {"a": 2}, {"a": 2}),
        ({"a": "x"}, {"a": None}, {"a": "x"}),
        ({}, {"a": None}, {"a": None}),
        ({"id": "x", "type": "t", "name": "n"}, {"id": "x", "type": "t", "name": "n"}, None),
    ],
)
def test_merging(kept: dict[str, Any], more: dict[str, Any], merged: dict[str, Any] | None) -> None:
    before = dict(kept)
    assert merge(kept, more) == (before if merged is None else merged)
    assert kept == before
