"""Calls of tools, over every pair of dialects: kept apart, whole, and never run when they were cut."""

from __future__ import annotations

import json

import pytest

from tests.gateway import Gateway
from tests.matrix.answer import Answer, pieces
from tests.matrix.pairs import answer, in_both_forms, pairs, sent, without
from tests.matrix.said import Part, said
from tests.script import Close, End, Step
from tests.upstream import Upstream

ODD = (
    '{ "n": 12345678901234567890,\t"s": "\\u4e16 \\ud83d\\ude00 😀 data: \\n", "x": [{"y": null}], "": -0.5}'
)
THREE = tuple(Part("call", pieces(f'{{"at": {at}, "city": "Zürich"}}'), f"tool_{at}") for at in range(3))
TEXT = Part("text", ("Let me ", "look."))
HALF = Part("call", ('{"path": "/ho', "me/some"), "remove")


def values(found: Answer) -> list[tuple[str, object]]:
    return [(name, json.loads(arguments)) for name, arguments in found.calls]


def half_call(found: Answer) -> tuple[str, str]:
    """The one call of an answer; where arguments are an object it holds the text of the half as a value."""
    [(name, arguments)] = found.calls
    try:
        [text] = json.loads(arguments).values()
    except ValueError:
        text = arguments
    return name, text


@pairs("parallel calls")
@in_both_forms
def test_parallel_calls_keep_apart(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool
) -> None:
    """hazard 7: each has its own identity, and its arguments are JSON."""
    found = answer(matrix, upstream, spoken, served, sent(said(served, *THREE)), stream=streamed)
    assert values(found) == [(part.name, json.loads(part.whole)) for part in THREE]
    assert len(set(found.ids)) == 3 or (spoken, served, found.ids) == ("gemini", "gemini", [])
    assert found.reason == "tool_calls"


@pairs("parallel calls")
@pytest.mark.parametrize("order", [(0, 1, 2) * 8, (0, 1, 1, 2, 0) * 6], ids=["in turn", "at random"])
def test_calls_that_come_side_by_side_keep_apart(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, order: tuple[int, ...]
) -> None:
    """hazards 7 and 13: upstreams may say a piece of one and then a piece of another."""
    turns = [at for at in range(3) for _ in THREE[at].pieces]
    mixed = [at for number, at in enumerate(order) if order[:number].count(at) < len(THREE[at].pieces)]
    for at in range(3):
        mixed += [at] * (turns.count(at) - mixed.count(at))
    found = answer(matrix, upstream, spoken, served, sent(said(served, *THREE, order=mixed)))
    assert sorted(values(found)) == [(part.name, json.loads(part.whole)) for part in THREE]
    assert len(set(found.ids)) == 3 or (spoken, served, found.ids) == ("gemini", "gemini", [])


@pairs("tool turns")
@in_both_forms
@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
def test_text_and_then_a_call_ends_in_the_use_of_a_tool(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool, reason: str
) -> None:
    """hazard 10: also when the upstream says that it just stopped, which a caller of Chat is told as it is:

    OpenAI says so itself when one tool was asked for by its name."""
    frames = said(served, TEXT, THREE[0], reason=reason)
    found = answer(matrix, upstream, spoken, served, sent(frames), stream=streamed)
    expected = reason if (spoken, served) == ("openai-chat", "openai-chat") else "tool_calls"
    assert (found.text, found.reason) == (TEXT.whole, expected)
    assert values(found) == [("tool_0", json.loads(THREE[0].whole))]


@pairs("calls cut at a limit", served=without("gemini"))
def test_a_call_that_the_limit_cut_is_no_use_of_a_tool(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str
) -> None:
    """hazard 11: the same streamed and whole. In Gemini's dialect there are no half calls, either way."""
    script = sent(said(served, TEXT, HALF, reason="length"))
    streamed = answer(matrix, upstream, spoken, served, script)
    whole = answer(matrix, upstream, spoken, served, script, stream=False)
    for found in (streamed, whole):
        assert (found.text, found.reason) == (TEXT.whole, "length")
        if spoken == "gemini":
            assert found.calls == []
        else:
            assert half_call(found) == ("remove", HALF.whole)
    if spoken == "openai-responses":
        assert streamed.complete == []


@pairs("limits")
@in_both_forms
def test_a_limit_after_a_call_is_a_limit(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool
) -> None:
    """hazard 11: whatever was called before."""
    frames = said(served, THREE[0], TEXT, reason="length")
    found = answer(matrix, upstream, spoken, served, sent(frames), stream=streamed)
    assert (found.text, found.reason) == (TEXT.whole, "length")
    assert values(found) == [("tool_0", json.loads(THREE[0].whole))]


@pairs("arguments")
@in_both_forms
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_arguments_are_what_the_upstream_sent(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool, size: int
) -> None:
    """hazard 12: byte for byte; as values where a dialect holds them as values. No piece is empty."""
    part = Part("call", ["", *pieces(ODD, size), ""], "odd")
    found = answer(matrix, upstream, spoken, served, sent(said(served, part)), stream=streamed)
    assert values(found) == [("odd", json.loads(ODD))]
    if "gemini" not in (spoken, served) and (streamed or spoken != "anthropic-messages"):
        assert found.calls == [("odd", ODD)]


@pairs("arguments")
@in_both_forms
def test_no_arguments_are_an_empty_object(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool
) -> None:
    """hazard 12: between two calls that have some."""
    parts = (THREE[0], Part("call", ("",), "now"), THREE[1])
    found = answer(matrix, upstream, spoken, served, sent(said(served, *parts)), stream=streamed)
    assert [(name, json.loads(text or "{}")) for name, text in found.calls] == [
        ("tool_0", json.loads(THREE[0].whole)),
        ("now", {}),
        ("tool_1", json.loads(THREE[1].whole)),
    ]


@pairs("half calls", served=without("gemini"))
@pytest.mark.parametrize("last", [Close(), End()], ids=["FIN", "end of the body"])
def test_an_end_inside_of_a_call_names_the_tool(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, last: Step
) -> None:
    """hazard 35: no agent gets to run half a call."""
    found = answer(matrix, upstream, spoken, served, sent(said(served, TEXT, HALF, cut=True), last))
    assert found.text == TEXT.whole
    assert found.error is not None
    assert "'remove'" in found.error
    assert not found.ended
    assert found.complete == []


@pairs("errors")
def test_an_end_behind_a_call_is_no_success(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str
) -> None:
    """hazard 35: the call is whole, and the answer is not."""
    frames = said(served, THREE[0], TEXT, cut=True)
    found = answer(matrix, upstream, spoken, served, sent(frames, Close()))
    assert found.error is not None
    assert not found.ended
