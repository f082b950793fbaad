"""What upstreams do that no documentation says: numbers, ends, errors and shapes that cannot be."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.chat_frames import DONE, FRAGMENTS, Json, chunk, frame, heard, strict_object, told
from tests.dialects.recorded import header_for
from tests.properties import examples
from tidegate.core.event import AnyEvent, End, Finish, Item, Text, Thinking, Tool
from tidegate.dialects import load_dialect
from tidegate.errors import Broken, SourceError

CHAT = load_dialect("openai-chat")
STOP = frame(chunk({}, finish="stop")) + DONE


def events_of(*chunks: Json) -> list[AnyEvent]:
    """The events of an answer that ends well, but for the outer ones."""
    events, error = heard(CHAT, [frame(each) for each in chunks] + [STOP])
    assert error == ""
    return events[1:-2]


def called(*fragments: Json) -> list[tuple[int, str | None, str | None, str]]:
    """Block, id, name and arguments of what is made of tool fragments, one to a chunk."""
    events = events_of(*(chunk({"tool_calls": [each]}) for each in fragments))
    return [
        (event.block, event.call_id, event.name, event.arguments)
        for event in events
        if isinstance(event, Tool)
    ]


def function(name: str | None = None, arguments: Any = "", **more: Any) -> Json:
    return {"function": {"name": name, "arguments": arguments}, **more}


@pytest.mark.parametrize(
    ("fragments", "calls"),
    [
        pytest.param(
            [function("f", index=0, id="a"), function(None, "{}", index=0), function("g", index=1, id="b")],
            [(0, "a", "f", ""), (0, None, None, "{}"), (1, "b", "g", "")],
            id="as documented",
        ),
        pytest.param(
            [function("f", index=0, id="a"), function("g", index=0, id="b"), function(None, "x", index=0)],
            [(0, "a", "f", ""), (1, "b", "g", ""), (1, None, None, "x")],
            id="every call is number 0",
        ),
        pytest.param(
            [function("f", "1", id="a"), function("g", "2", id="b"), function(None, "3")],
            [(0, "a", "f", "1"), (1, "b", "g", "2"), (1, None, None, "3")],
            id="no numbers",
        ),
        pytest.param(
            [function("f", "1"), function("f", "2"), function("g", "3")],
            [(0, None, "f", "1"), (1, None, "f", "2"), (2, None, "g", "3")],
            id="neither numbers nor ids",
        ),
        pytest.param(
            [function("f", "1", index=0, id="a"), function("f", "2", index=0, id="a")],
            [(0, "a", "f", "1"), (0, None, None, "2")],
            id="id and name on every fragment",
        ),
        pytest.param(
            [function("f", "1", index=0, id="a"), function("f", "2", index=0, id="")],
            [(0, "a", "f", "1"), (0, None, None, "2")],
            id="the name on every fragment",
        ),
        pytest.param(
            [
                function("f", "1", index=0, id="a"),
                function("g", "2", index=1, id="b"),
                function(None, "3", index=0),
            ],
            [(0, "a", "f", "1"), (1, "b", "g", "2"), (0, None, None, "3")],
            id="fragments take turns",
        ),
        pytest.param(
            [function("f", {"x": [1, "世"]}, index=0, id="a")],
            [(0, "a", "f", '{"x": [1, "世"]}')],
            id="arguments that are an object",
        ),
        pytest.param(
            [function("f", None, index=0, id=7), function(None, "", index=0), function(None, None, index=0)],
            [(0, "7", "f", "")],
            id="an id that is a number, fragments that say nothing",
        ),
    ],
)
def test_tool_calls_are_told_apart(fragments: list[Json], calls: list[Any]) -> None:
    assert called(*fragments) == calls


def test_calls_of_one_delta() -> None:
    [both] = [chunk({"tool_calls": [function("f", "1", id="a"), function("g", "2", id="b")]})]
    found = [(each.block, each.name, each.arguments) for each in events_of(both) if isinstance(each, Tool)]
    assert found == [(0, "f", "1"), (1, "g", "2")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a", [Text(text="a")]),
        (["a", "b"], [Text(text="ab")]),
        ([{"type": "text", "text": "a"}], [Text(text="a")]),
        ([{"type": "thinking", "thinking": "t"}], [Thinking(text="t")]),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "t"}, 1]}], [Thinking(text="t")]),
        (
            [{"type": "thinking", "thinking": [{"text": "t"}]}, {"type": "text", "text": "a"}],
            [Thinking(text="t"), Text(text="a", block=1)],
        ),
        ([{"type": "image_url", "image_url": {}}, None, 1], []),
        (None, []),
        ("", []),
        ([], []),
    ],
)
def test_content_in_any_form(content: Any, said: list[AnyEvent]) -> None:
    assert events_of(chunk({"content": content})) == said


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_keeps_its_name(name: str) -> None:
    [event] = events_of(chunk({name: "hm"}))
    assert isinstance(event, Thinking)
    assert (event.extra or {}).get("name", "reasoning_content") == name


def test_everything_in_one_delta_comes_in_order() -> None:
    delta = {
        "content": "a",
        "reasoning": "r",
        "x": 1,
        "tool_calls": [function("f", "{}", index=0, id="c")],
    }
    events = events_of(chunk(delta))
    assert [type(event) for event in events] == [Thinking, Text, Tool]
    assert [(event.extra or {}).get("delta") for event in events] == [{"x": 1}, None, None]


LOGPROBS = {"content": [{"token": "a", "logprob": -1.0}]}


@pytest.mark.parametrize(
    "delta", [{"content": "a"}, {"reasoning": "a"}, {"tool_calls": [function("f", index=0)]}, {"x": 1}, {}]
)
def test_logprobs_come_through_whatever_they_stand_beside(delta: Json) -> None:
    sent = chunk(delta)
    sent["choices"][0]["logprobs"] = LOGPROBS
    events, _ = heard(CHAT, [frame(sent), STOP])
    choices = [
        choice for each in told(CHAT.renderer(header_for(CHAT)).render(events)) for choice in each["choices"]
    ]
    assert [choice["logprobs"] for choice in choices if choice.get("logprobs")] == [LOGPROBS]
    body = CHAT.renderer(msgspec.structs.replace(header_for(CHAT), stream=False)).render(events)
    assert json.loads(body)["choices"][0]["logprobs"] == LOGPROBS


def test_a_whole_text_that_is_said_again_at_the_end_adds_nothing() -> None:
    pieces = ["one ", "two ", "three ", "four "]
    said = [frame(chunk({"content": each})) for each in pieces]
    events, _ = heard(CHAT, [*said, frame(chunk({"content": "".join(pieces)}, finish="length")), DONE])
    assert "".join(event.text for event in events if isinstance(event, Text)) == "".join(pieces)


@pytest.mark.parametrize("last", ["One two three four ", "one", "one two three four five"])
def test_another_text_at_the_end_is_said(last: str) -> None:
    pieces = ["one ", "two ", "three ", "four "]
    said = [frame(chunk({"content": each})) for each in pieces]
    events, _ = heard(CHAT, [*said, frame(chunk({"content": last}, finish="stop")), DONE])
    assert "".join(event.text for event in events if isinstance(event, Text)) == "".join(pieces) + last


@pytest.mark.parametrize(
    "fields",
    [
        {"usage": {"prompt_tokens": 3, "completion_tokens": 2}},
        {"x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}},
    ],
)
@pytest.mark.parametrize("where", ["own chunk", "finish", "empty delta", "every chunk", "after [DONE]"])
def test_usage_is_found_wherever_it_stands(where: str, fields: Json) -> None:
    everywhere = fields if where == "every chunk" else {}
    sent = [frame(chunk({"content": "a"}, **everywhere)), frame(chunk({"content": "b"}, **everywhere))]
    sent.append(frame(chunk({}, finish="stop", **(fields if where in ("finish", "every chunk") else {}))))
    if where == "own chunk":
        sent.append(frame({"choices": [], **fields}))
    if where == "empty delta":
        sent.append(frame(chunk({}, **fields)))
    sent.append(DONE)
    if where == "after [DONE]":
        sent.append(frame({"choices": [], **fields}))
    events, error = heard(CHAT, sent)
    end = events[-1]
    assert error == ""
    assert isinstance(end, End)
    if where == "after [DONE]":
        assert end.usage is None
    else:
        assert end.usage is not None
        assert (end.usage.input_tokens, end.usage.output_tokens) == (3, 2)


def counted(of_choices: list[int], *, continuous: bool = False) -> tuple[int, int, Any]:
    """What is counted of an answer whose upstream reports these counts, each in a chunk without choices."""
    frames = []
    for index, count in enumerate(of_choices):
        running: Json = {"usage": {"prompt_tokens": 20, "completion_tokens": 1}} if continuous else {}
        frames.append(frame(chunk({"content": "a"}, index=index, **running)))
        frames.append(frame(chunk({}, index=index, finish="stop", **running)))
        usage = {"prompt_tokens": 20, "completion_tokens": count, "total_tokens": 20 + count}
        if not continuous or index == len(of_choices) - 1:
            frames.append(frame({"choices": [], "usage": usage}))
    end = heard(CHAT, [*frames, DONE])[0][-1]
    assert isinstance(end, End)
    assert end.usage is not None
    return end.usage.input_tokens, end.usage.output_tokens, (end.usage.extra or {}).get("total_tokens")


def test_choices_that_are_counted_one_by_one_are_added_up() -> None:
    assert counted([3]) == (20, 3, 23)
    assert counted([3, 5]) == (20, 8, 28)
    assert counted([3, 5, 2]) == (20, 10, 30)
    # A server that reports all along, and then the whole.
    assert counted([3, 8], continuous=True) == (20, 8, 28)


@pytest.mark.parametrize(
    "usage", [None, {}, [], "x", {"prompt_tokens": None}, {"prompt_tokens": -4, "total": "x"}]
)
def test_a_usage_that_is_none_counts_nothing(usage: Any) -> None:
    events, _ = heard(CHAT, [frame(chunk({"content": "a"}, usage=usage)), STOP])
    end = events[-1]
    assert isinstance(end, End)
    assert end.usage is None or (end.usage.input_tokens, end.usage.output_tokens) == (0, 0)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ([], "ended before it began"),
        ([DONE], "ended before it began"),
        ([frame(chunk({"content": "a"}))], "before choice 0 was finished"),
        ([frame(chunk({"content": "a"})), DONE], "before choice 0 was finished"),
        ([frame(chunk({"content": "a"}, index=1)), STOP], "before choice 1 was finished"),
        (
            [frame(chunk({"tool_calls": [function("rm", "{", index=0)]})), DONE],
            "inside a call of the tool 'rm'",
        ),
        ([frame(chunk({"content": "a"}, finish="error"))], "finish_reason 'error'"),
        (
            [STOP.removesuffix(DONE), frame(chunk({"content": "a"}))],
            "went on with a choice that it had finished",
        ),
        ([b"data: {\n\n"], "not JSON"),
        ([b"data: <html>\n\n"], "not JSON"),
        ([b"data: [1]\n\n"], "not a JSON object"),
        ([b"data: 1\n\n"], "not a JSON object"),
        ([b'data: "\xff"\n\n'], "not JSON"),
        ([b"data: " + b"[" * 100_000 + b"\n\n"], "nested too deeply"),
        ([b'data: {"choices":[{"delta":[1]}]}\n\n'], "cannot be read|delta is not an object"),
        ([b'data: {"choices":[{"delta":"abc"}]}\n\n'], "cannot be read|delta is not an object"),
        ([b'data: {"choices":[{"index":"0","delta":{}}]}\n\n'], "index is not a number"),
        ([b'data: {"choices":[{"index":[],"delta":{}}]}\n\n' + STOP], "^$"),
        ([b'data: {"choices":7}\n\n'], "cannot be read"),
        ([b'data: {"choices":[{"delta":{"tool_calls":[{"function":"f"}]}}]}\n\n'], "cannot be read"),
    ],
)
def test_what_is_no_answer_is_broken(sent: list[bytes], message: str) -> None:
    """And never a success, however much of it was fine."""
    events, error = heard(CHAT, sent)
    assert re.search(message, error)
    assert any(type(event) is End for event in events) == (error == "")


def test_what_comes_before_an_error_is_told() -> None:
    events: list[AnyEvent] = []
    with pytest.raises(SourceError, match="over"):
        CHAT.decoder(1000).feed(frame(chunk({"content": "a"})) + b'data: {"error":"over"}\n\n', events)
    assert events[1:] == [Text(text="a")]


def test_an_event_over_the_limit_is_broken() -> None:
    events: list[AnyEvent] = []
    with pytest.raises(Broken, match="max_frame"):
        CHAT.decoder(200).feed(frame(chunk({"content": "a" * 300})), events)


def test_bare_control_characters_are_taken_as_they_are() -> None:
    """Which is no JSON; the first frame of an answer is no stricter than those that look like it."""
    sent = [frame(chunk({"content": each})).replace(b"*", b"\x01\t") for each in ("a*", "b*", "c*", "d*")]
    events, error = heard(CHAT, [*sent, STOP])
    assert error == ""
    assert (
        "".join(event.text for event in events if isinstance(event, Text)) == "a\x01\tb\x01\tc\x01\td\x01\t"
    )


def test_pings_are_no_news() -> None:
    sent = [b'event: ping\ndata: {"type": "ping"}\n\n', b": x\n\n", b"data:\n\n", b"data: \n\n", b"id: 1\n\n"]
    assert heard(CHAT, [*sent, STOP]) == heard(CHAT, [STOP])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "no choices"),
        (b'{"choices":null}', "before it began"),
        (b'{"choices":[]}', "before it began"),
        (b'{"choices":[{"message":{"content":"a"}}]}', "before choice 0 was finished"),
        (b'{"choices":[{"message":"a","finish_reason":"stop"}]}', "cannot be read|delta is not an object"),
        (b'{"choices":5}', "cannot be read"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"error":{"message":"over"}}', "over"),
        (b'{"choices":[],"error":{"message":"over"}}', "over"),
    ],
)
def test_what_is_no_whole_answer_is_broken(body: bytes, message: str) -> None:
    events: list[AnyEvent] = []
    with pytest.raises(SourceError, match=message):
        CHAT.decoder(1000).whole(body, events)
    assert not any(type(event) is End for event in events)


# Anything at all, in the places where a chunk has its members.
junk: st.SearchStrategy[Any] = st.sampled_from(
    [
        *[None, True, False, 0, 1, -1, 7, 2**64, 1.5, "", "x", "0"],
        *[[], {}, [[]], [None], {"x": 1}, [{}], [{"x": [1]}]],
        *FRAGMENTS,
    ]
)
NAMES = {
    "chunk": ["id", "model", "choices", "usage", "error", "x_groq", "object", "msg", "error_code", "x"],
    "choice": ["index", "delta", "finish_reason", "logprobs", "message", "usage", "error", "x"],
    "delta": ["role", "content", "reasoning", "reasoning_content", "tool_calls", "refusal", "x"],
    "call": ["index", "id", "type", "function", "custom", "x"],
    "function": ["name", "arguments", "x"],
}


@st.composite
def odd(draw: st.DrawFn, level: str, inner: Any = None) -> Json:
    names = draw(st.lists(st.sampled_from(NAMES[level]), max_size=4))
    return {**{name: draw(junk) for name in names}, **(inner or {})}


@st.composite
def odd_chunk(draw: st.DrawFn) -> Json:
    depth = draw(st.integers(0, 4))
    call = draw(odd("call", {"function": draw(odd("function"))})) if depth > 3 else {}
    delta = draw(odd("delta", {"tool_calls": [call]} if depth > 2 else {})) if depth > 1 else {}
    choice = draw(odd("choice", {"delta": delta})) if depth else None
    return draw(odd("chunk", {"choices": [choice]} if depth else None))


GOOD = [chunk({"content": "a"}), chunk({"content": "b"}, index=1), chunk({}, finish="stop")]


@examples(200)
@given(st.lists(odd_chunk() | st.sampled_from(GOOD), max_size=5), st.booleans())
def test_nothing_that_an_upstream_sends_is_a_defect(sent: list[Json], asked: bool) -> None:
    """Any JSON ends in events or in a SourceError, and what there are of events can be rendered."""
    events, error = heard(CHAT, [*(frame(each) for each in sent), STOP])
    header = header_for(CHAT, include_usage=asked)
    ended = isinstance(events[-1], End) if events else False
    assert ended == (error == "")
    body = CHAT.renderer(header).render(events)
    chunks = told(body)
    assert body.endswith(DONE) == ended
    for each in chunks:
        assert each["choices"] or asked
        assert all(isinstance(choice["delta"], dict) for choice in each["choices"])
    if ended:
        whole = CHAT.renderer(msgspec.structs.replace(header, stream=False)).render(events)
        strict_object(whole.decode("ascii"))


@examples(100)
@given(odd_chunk())
def test_no_whole_answer_is_a_defect(sent: Json) -> None:
    events: list[AnyEvent] = []
    choices = sent.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        choices[0]["message"] = choices[0].pop("delta", None)
    try:
        CHAT.decoder(1000).whole(json.dumps(sent).encode(), events)
    except SourceError:
        assert not any(type(event) is End for event in events)
    else:
        told(CHAT.renderer(header_for(CHAT)).render(events))


def test_finishes_are_ours_and_the_rest_is_the_upstreams() -> None:
    said = [
        (event.kind, event.value) for event in events_of({"choices": [], "x": 1}) if isinstance(event, Item)
    ]
    assert said == []  # it went with the start
    first, second = chunk({"content": "a"}), {"choices": [], "x": 1}
    [_, item] = events_of(first, second)
    assert item == Item(kind="chunk", value={"x": 1})
    assert not any(isinstance(event, Finish) for event in events_of(first))
