"""Getting past events: what is shown after them is what it would have been, byte by byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, note
from hypothesis import strategies as st

from tests.dialects.recorded import Case, cases, dialects, header_for
from tests.dialects.test_crossing import answers
from tests.properties import examples
from tidegate.core.event import (
    AnyEvent,
    End,
    Failure,
    Finish,
    Item,
    Start,
    Text,
    Thinking,
    Tool,
    status_extra,
)
from tidegate.core.request import Header
from tidegate.core.run import Run, Skipped, coalesce, decode, encode
from tidegate.core.usage import Usage
from tidegate.dialects import Dialect, Renderer, load_dialect, renderer

SHOWN = [*dialects(), load_dialect("anythingllm")]
ALL = [case for dialect in dialects() for case in cases(dialect) if case.events]

words = st.sampled_from(
    ["a", " b", "世", "\ud83d", "\ude00", "data: ", "", '{"x":', "1", "}", "[]", "\n\n", '"']
)
beside: list[Any] = [
    *(None,) * 6,
    status_extra({"text": "working"}),
    {"chunk": {"x": 1}},
    {"chunk": {"x": 1.0}},
    {"choice": {"y": True}, "delta": {"z": "世"}},
    {"name": "reasoning"},
    {"tool": {"type": "odd"}},
    {"function": {"f": 1}},
    {"delta": {"reasoning_details": [1]}, "chunk": {"pad": "x"}},
    {"openai-responses": {"event": {"pad": "1"}}},
    {"openai-responses": {"event": {"pad": "2"}}},
    {"openai-responses": {"item": {"phase": "final"}, "part": {"p": 1}}},
    {"openai-responses": {"done": {"phase": "other"}}},
    {"anthropic-messages": {"event": {"x": 1}, "delta": {"y": 1}}},
    {"anthropic-messages": {"delta": {"type": "odd_delta"}}},
    {"anthropic-messages": {"start": {"x": 1}, "block": {"y": 1}}},
    {"gemini": {"chunk": {"x": 1}, "candidate": {"y": 1}, "content": {"z": 1}}},
    {"gemini": {"part": {"x": 1}}},
    {"gemini": {"alone": True}},
]
where: dict[str, Any] = {
    "choice": st.sampled_from([0, 0, 0, 1]),
    "block": st.integers(0, 2),
    "extra": st.sampled_from(beside),
}
once = st.one_of(
    st.builds(Text, text=words, logprobs=st.just({"content": [{"token": "a", "logprob": -1.0}]}), **where),
    st.builds(
        Thinking, text=words, signature=st.just("s"), origin=st.sampled_from([None, "gemini"]), **where
    ),
    st.builds(Thinking, text=words, extra=st.just(status_extra({"text": "working", "step": 1}))),
    st.builds(
        Item,
        kind=st.sampled_from(["file", "input_required", "anythingllm"]),
        value=st.sampled_from([{"id": "i", "name": "n"}, {"chatId": 1}, {"type": "textResponse"}]),
    ),
    st.builds(Thinking, text=st.just(""), redacted=st.just("r"), **where),
    st.builds(Tool, arguments=words, call_id=st.just("i"), name=st.sampled_from(["f", "patch"]), **where),
    st.builds(
        Item,
        kind=st.sampled_from(["delta", "choice", "chunk", "citation"]),
        value=st.sampled_from([{"k": "v"}, {"reasoning_details": [1]}]),
    ),
)


@st.composite
def runs(draw: st.DrawFn) -> list[AnyEvent]:
    """Deltas that differ in their texts alone, or in one more thing now and then."""
    kind = draw(st.sampled_from(["text", "text", "refusal", "thinking", "tool", "custom"]))
    place = {name: draw(strategy) for name, strategy in where.items()}
    found: list[AnyEvent] = []
    for text in draw(st.lists(words, min_size=1, max_size=6)):
        place["extra"] = draw(st.sampled_from([*(place["extra"],) * 5, *beside]))
        if kind in ("text", "refusal"):
            found.append(Text(text=text, refusal=kind == "refusal", **place))
        elif kind == "thinking":
            found.append(Thinking(text=text, **place))
        else:
            found.append(Tool(arguments=text, custom=kind == "custom", **place))
    return found


@st.composite
def streams(draw: st.DrawFn) -> list[AnyEvent]:
    """Anything that a source may say, in any order, to its end."""
    said = draw(st.lists(st.one_of(runs(), runs(), once.map(lambda event: [event])), max_size=8))
    events: list[AnyEvent] = [event for part in said for event in part]
    if draw(st.integers(0, 7)) == 0:
        events.insert(draw(st.integers(0, len(events))), Finish(reason="stop"))
    if draw(st.booleans()):
        events.insert(0, Start(model="m"))
    if draw(st.booleans()):
        return [*events, End(outcome="failed", error=Failure("no"))]
    ends: list[AnyEvent] = [Finish(reason="stop"), Finish(reason="length", choice=1)]
    return [*events, *ends[: draw(st.integers(0, 2))], End(outcome="completed", usage=Usage(1, 2))]


BODIES: dict[str, bytes] = {
    "openai-chat": b'{"tools":[{"type":"custom","custom":{"name":"patch"}}]}',
    "openai-responses": b'{"tools":[{"type":"custom","name":"patch"},{"type":"function","name":"f"}]}',
}


def headers(dialect: Dialect) -> list[Header]:
    """Streams of every kind that renders in a way of its own."""
    plain: dict[str, Any] = {"include_usage": True}
    bodies = {"body": BODIES.get(dialect.name, b"{}"), **plain}
    found = [plain, bodies, {"thinking_to_content": True, **bodies}]
    if dialect.name == "openai-chat":
        found.append({"body": b'{"functions":[{"name":"f"}]}'})
    if dialect.name == "gemini":
        found.append({"form": "array"})
    return [header_for(dialect, **asked) for asked in found]


ALL_HEADERS = {
    f"{dialect.name}, kind {number}": (dialect, header)
    for dialect in SHOWN
    for number, header in enumerate(headers(dialect))
}


def one_by_one(rendering: Renderer, events: Sequence[AnyEvent]) -> list[bytes]:
    return [rendering.render((event,)) for event in events]


def check(dialect: Dialect, header: Header, events: list[AnyEvent], cut: int) -> None:
    """Past ``cut`` events in runs, and past each of them alone."""
    shown = one_by_one(renderer(dialect, header), events)
    for before in (decode(encode(coalesce(events[:cut]))), events[:cut]):
        check_rest(dialect, header, shown, before, events[cut:])
    assert renderer(dialect, header).render(decode(encode(events))) == b"".join(shown)  # type: ignore[arg-type]


def check_rest(
    dialect: Dialect, header: Header, shown: list[bytes], before: Sequence[Skipped], rest: list[AnyEvent]
) -> None:
    skipping = renderer(dialect, header)
    cut = len(shown) - len(rest)
    assert sum(map(skipping.skip, before)) == sum(len(skipping.frames(each)) for each in shown[:cut])
    assert skipping.render(rest) == b"".join(shown[cut:])


def test_a_refusal_is_none_of_the_text_before_it() -> None:
    extra = {"choice": {"y": True}}
    said = [Text(text=f"{number}", refusal=number in (3, 4), extra=extra) for number in range(6)]
    for dialect, header in ALL_HEADERS.values():
        for cut in range(len(said) + 1):
            check(dialect, header, [*said, End(outcome="completed")], cut)


def test_nothing_with_fields_of_its_own_is_told_whatever_was_told_before() -> None:
    extra = {"anthropic-messages": {"event": {"x": 1}, "delta": {"y": 1}}}
    kinds: list[list[AnyEvent]] = [
        [Text(text=text, extra=extra) for text in ("a", "b", "", "c")],
        [Thinking(text=text, extra=extra) for text in ("a", "b", "", "c")],
        [Tool(arguments=text, extra=extra) for text in ('{"a":', "1", "", "}")],
    ]
    for dialect, header in ALL_HEADERS.values():
        for said in kinds:
            for cut in range(len(said) + 1):
                check(dialect, header, [*said, End(outcome="completed")], cut)


@examples(100)
@given(events=streams(), data=st.data())
def test_what_follows_is_the_same(events: list[AnyEvent], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(events)))
    for name, (dialect, header) in ALL_HEADERS.items():
        note(name)
        check(dialect, header, events, cut)


@examples(100)
@given(events=answers(), data=st.data())
def test_what_follows_in_an_answer_is_the_same(events: list[AnyEvent], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(events)))
    for name, (dialect, header) in ALL_HEADERS.items():
        note(name)
        check(dialect, header, events, cut)


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.dialect.name}-{case.name}")
def test_recorded_answers_go_on_anywhere_in_any_dialect(case: Case) -> None:
    for dialect in SHOWN:
        header = case.header if dialect is case.dialect else header_for(dialect)
        header = msgspec.structs.replace(header, stream=True)
        shown = one_by_one(renderer(dialect, header), case.events)
        for cut in range(len(case.events) + 1):
            before = decode(encode(coalesce(case.events[:cut])))
            check_rest(dialect, header, shown, before, case.events[cut:])


@examples(100)
@given(events=streams())
def test_frames_are_the_rendered_bytes(events: list[AnyEvent]) -> None:
    for name, (dialect, header) in ALL_HEADERS.items():
        note(name)
        rendering = renderer(dialect, header)
        body = b"".join(one_by_one(rendering, events))
        assert b"".join(rendering.frames(body)) == body


@examples(100)
@given(events=streams())
@example(events=[Text(text="\ud83d"), Text(text="\ude00"), End(outcome="completed")])
def test_runs_hold_every_delta(events: list[AnyEvent]) -> None:
    apart: list[AnyEvent] = []
    for item in coalesce(events):
        apart += item.pieces() if isinstance(item, Run) else [item]
    assert [(type(a), getattr(a, "text", None)) for a in apart] == [
        (type(b), getattr(b, "text", None)) for b in events
    ]
    assert decode(encode(coalesce(events))) == coalesce(events)


def test_a_long_text_is_one_run() -> None:
    events: list[AnyEvent] = [
        Text(text=f"{number} ", extra={"chunk": {"pad": number}}) for number in range(1000)
    ]
    assert [item.count for item in coalesce(events) if isinstance(item, Run)] == [1000]


@pytest.mark.parametrize("wrong", [b"", b"{}", b'[{"event":"run"}]', b'[{"event":"odd"}]', b"[1]", b"\xff"])
def test_what_is_no_list_of_events_is_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(wrong)
