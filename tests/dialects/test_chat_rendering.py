"""The rules that every Chat stream keeps, since for each of them some client breaks without it."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.chat_frames import DONE, Json, strict_object, texts, told
from tests.dialects.recorded import cases, header_for
from tests.properties import examples
from tidegate.core.event import AnyEvent, End, Failure, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.usage import Usage
from tidegate.dialects import load_dialect

CHAT = load_dialect("openai-chat")
STOP = Finish(reason="stop")
END = End(outcome="completed", usage=Usage(3, 2))
FAILED = End(outcome="failed", error=Failure("why", type="t", code="idle"))
ROLE = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}


def stream(*events: AnyEvent, asked: bool = False) -> bytes:
    return CHAT.renderer(header_for(CHAT, include_usage=asked)).render(events)


def whole(*events: AnyEvent) -> Json:
    renderer = CHAT.renderer(msgspec.structs.replace(header_for(CHAT), stream=False))
    return strict_object(renderer.render(events).decode("ascii"))


def choices(body: bytes) -> list[Json]:
    return [choice for chunk in told(body) for choice in chunk["choices"]]


def test_an_answer() -> None:
    body = stream(Start(model="m"), Text(text="a"), STOP, END)
    assert choices(body) == [
        ROLE,
        {"index": 0, "delta": {"content": "a"}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
    assert body.endswith(DONE)


def test_every_chunk_has_the_same_head() -> None:
    for chunk in told(stream(Start(model="m"), Text(text="a"), Thinking(text="b", block=1), STOP, END)):
        assert chunk["id"] == "chatcmpl-0123456789abcdef0123456789abcdef"
        assert (chunk["object"], chunk["created"]) == ("chat.completion.chunk", 1_700_000_000)
        assert chunk["model"] == "m"


def test_without_a_name_of_the_upstream_the_model_is_the_one_that_was_asked_for() -> None:
    assert {chunk["model"] for chunk in told(stream(Start(), Text(text="a"), STOP, END))} == {"asked"}


def test_usage_that_was_asked_for() -> None:
    chunks = told(stream(Start(), Text(text="a"), STOP, END, asked=True))
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * 3
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def test_usage_that_was_not_asked_for() -> None:
    body = stream(Start(), Text(text="a"), STOP, END)
    assert b"usage" not in body
    assert all(chunk["choices"] for chunk in told(body))


def test_usage_that_the_upstream_did_not_tell() -> None:
    [*_, last] = told(stream(Start(), STOP, End(outcome="completed"), asked=True))
    assert set(last["usage"].values()) == {0}


@pytest.mark.parametrize(
    ("usage", "details"),
    [
        (Usage(3, 2, cached_tokens=1), {"prompt_tokens_details": {"cached_tokens": 1}}),
        (Usage(3, 2, reasoning_tokens=1), {"completion_tokens_details": {"reasoning_tokens": 1}}),
        (Usage(3, 2, extra={"cost": 1.5, "prompt_tokens_details": None}), {"cost": 1.5}),
        (Usage(3, 2, extra={"total_tokens": 9}), {"total_tokens": 9}),
    ],
)
def test_details_of_usage(usage: Usage, details: Json) -> None:
    counts = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, **details}
    [*_, last] = told(stream(Start(), STOP, End(outcome="completed", usage=usage), asked=True))
    assert last["usage"] == counts
    assert whole(Start(), STOP, End(outcome="completed", usage=usage))["usage"] == counts


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("said", [[], [Text(text="a")], [Tool(arguments="{", name="f", call_id="c")]])
def test_a_failure_ends_in_one_chunk_and_no_end_mark(said: list[AnyEvent], asked: bool) -> None:
    body = stream(Start(), *said, FAILED, asked=asked)
    last = told(body)[-1]
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "error"}]
    assert last["error"] == {"message": "why", "type": "t", "param": None, "code": "idle"}
    assert b"[DONE]" not in body
    assert [chunk for chunk in told(body)[:-1] if "error" in chunk] == []


@pytest.mark.parametrize("outcome", ["failed", "cancelled", "interrupted"])
def test_no_other_outcome_is_a_success(outcome: str) -> None:
    end = msgspec.structs.replace(FAILED, outcome=outcome)
    body = stream(Start(), Text(text="a"), STOP, end)
    assert b"[DONE]" not in body
    assert choices(body)[-1]["finish_reason"] == "error"
    renderer = CHAT.renderer(msgspec.structs.replace(header_for(CHAT), stream=False))
    assert renderer.render([Start(), Text(text="a"), STOP, end]) == b""


@pytest.mark.parametrize("asked", [True, False])
def test_a_keep_alive_is_the_only_empty_delta_without_a_finish(asked: bool) -> None:
    renderer = CHAT.renderer(header_for(CHAT, include_usage=asked))
    before = renderer.render([Start(model="m")])
    [alive] = told(renderer.keep_alive())
    assert alive["choices"] == [{"index": 0, "delta": {}, "finish_reason": None}]
    assert {name: alive[name] for name in ("id", "created", "model")} == {
        name: told(before)[0][name] for name in ("id", "created", "model")
    }
    items: list[AnyEvent] = [
        Item(kind="delta", value={"x": 1}),
        Item(kind="choice", value={"x": 1}),
        Item(kind="chunk", value={"x": 1}),
        Item(kind="citation", value={}),
    ]
    said = renderer.render([Text(text=""), Thinking(text=""), *items, STOP, END])
    assert all(choice["delta"] or choice["finish_reason"] for choice in choices(said))


def test_keep_alives_change_nothing_of_what_follows() -> None:
    plain, alive = CHAT.renderer(header_for(CHAT)), CHAT.renderer(header_for(CHAT))
    events: list[AnyEvent] = [Start(), Text(text="a"), Text(text="b"), STOP, END]
    for event in events:
        assert plain.render([event]) == alive.render([event])
        alive.keep_alive()


def test_each_choice_begins_with_its_role_and_finishes_once() -> None:
    events: list[AnyEvent] = [Start()]
    events += [Text(text="a", choice=choice) for choice in (2, 0, 1, 0)]
    events += [Finish(reason="stop", choice=choice) for choice in (1, 0, 2)]
    for index in range(3):
        own = [choice for choice in choices(stream(*events, END)) if choice["index"] == index]
        assert own[0] == {**ROLE, "index": index}
        assert [choice["finish_reason"] for choice in own if choice["finish_reason"]] == ["stop"]
        assert own[-1]["delta"] == {}


def test_nothing_of_a_choice_follows_its_finish_however_it_comes() -> None:
    events: list[AnyEvent] = [Start(), Text(text="a"), Text(text="b"), STOP, Text(text="c"), END]
    renderer = CHAT.renderer(header_for(CHAT))
    one_by_one = b"".join(renderer.render((event,)) for event in events)
    assert one_by_one == stream(*events)
    assert [choice["delta"].get("content") for choice in choices(one_by_one)] == ["", "a", "b", None]


def test_a_choice_that_nobody_finished_is_finished_at_the_end() -> None:
    finishes = [choice["finish_reason"] for choice in choices(stream(Start(), Text(text="a"), END))]
    assert finishes == [None, None, "stop"]


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("something new", "something new"),
    ],
)
def test_reasons_to_finish(reason: str, ours: str) -> None:
    events: list[AnyEvent] = [Start(), Text(text="a"), Finish(reason=reason), END]
    assert choices(stream(*events))[-1]["finish_reason"] == ours
    assert whole(*events)["choices"][0]["finish_reason"] == ours


def test_a_call_is_named_once_and_numbered_in_order() -> None:
    events = [
        Tool(arguments="", block=3, call_id="x", name="f"),
        Tool(arguments="{", block=3),
        Tool(arguments="", block=5, call_id="y", name="g"),
        Tool(arguments="}", block=3),
        Tool(arguments="[]", block=5),
    ]
    calls = [choice["delta"]["tool_calls"] for choice in choices(stream(Start(), *events))[1:]]
    nothing = [{"index": index, "function": {"arguments": ""}} for index in (0, 1)]
    assert calls == [
        [{"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": "{"}}],
        [nothing[0], {"index": 1, "id": "y", "type": "function", "function": {"name": "g", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": "}"}}],
        [nothing[1], {"index": 1, "function": {"arguments": "[]"}}],
    ]


def test_calls_of_different_choices_are_numbered_apart() -> None:
    events = [Tool(arguments="", choice=choice, name="f", call_id="c") for choice in (0, 1)]
    told_calls = [
        choice["delta"]["tool_calls"][0]["index"]
        for choice in choices(stream(Start(), *events))
        if "tool_calls" in choice["delta"]
    ]
    assert told_calls == [0, 0]


def test_a_call_without_an_id_is_given_one_that_is_always_the_same() -> None:
    events: list[AnyEvent] = [Start(), *(Tool(arguments="{}", block=block, name="f") for block in (0, 1))]
    streamed = [choice["delta"]["tool_calls"][-1]["id"] for choice in choices(stream(*events))[1:]]
    folded = [call["id"] for call in whole(*events, STOP, END)["choices"][0]["message"]["tool_calls"]]
    assert streamed == folded
    assert len(set(streamed)) == 2


@examples(100)
@given(texts, texts, texts)
def test_any_text_anywhere_arrives_as_it_was(text: str, other: str, model: str) -> None:
    """Also in names, ids, reasons, errors and the model's own name."""
    failed = End(outcome="failed", error=Failure(text, type=other, code=model, param=text))
    events: list[AnyEvent] = [
        Start(model=model),
        Thinking(text=text, extra={"delta": {other: text}}),
        Text(text=text, block=1, extra={"chunk": {f"x{other}": text}, "choice": {f"y{other}": [text]}}),
        Tool(arguments=text, block=2, call_id=other, name=text),
        Item(kind=text, value={other: text}),
        Finish(reason=text),
    ]
    body = stream(*events, failed)
    deltas = [choice["delta"] for choice in choices(body)]
    assert json.dumps(deltas[1]["reasoning_content"]) == json.dumps(text)
    assert json.dumps(deltas[2]["content"]) == json.dumps(text)
    function = deltas[3]["tool_calls"][0]["function"]
    assert json.dumps([function["name"], function["arguments"]]) == json.dumps([text, text])
    assert json.dumps(told(body)[-1]["error"]["message"]) == json.dumps(text)
    told(stream(*events, END, asked=True))
    message = whole(*events, END)["choices"][0]["message"]
    assert json.dumps(message["content"]) == json.dumps(text)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases(CHAT)])
def test_recorded_answers_keep_the_rules(case: object) -> None:
    assert isinstance(case, type(cases(CHAT)[0]))
    for chunk in told(case.rendered):
        assert chunk["choices"] or case.header.include_usage
        for choice in chunk["choices"]:
            assert isinstance(choice["delta"], dict)
            assert {"index", "finish_reason"} <= choice.keys()
            assert choice["finish_reason"] is None or choice["delta"] == {}
            assert choice["delta"] or choice["finish_reason"]


def test_a_whole_answer() -> None:
    assert whole(Start(model="m"), Thinking(text="h"), Text(text="a", block=1), STOP, END) == {
        "id": "chatcmpl-0123456789abcdef0123456789abcdef",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "a", "reasoning_content": "h"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def test_a_whole_answer_of_calls_alone_has_no_content() -> None:
    [choice] = whole(Start(), Tool(arguments="{}", name="f", call_id="c"), STOP, END)["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }


def test_a_whole_answer_of_nothing() -> None:
    [choice] = whole(Start(), END)["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "stop")


def test_a_whole_answer_has_no_keep_alive() -> None:
    assert CHAT.renderer(msgspec.structs.replace(header_for(CHAT), stream=False)).keep_alive() == b""


@examples(50)
@given(st.permutations([0, 1, 2]))
def test_choices_of_a_whole_answer_are_in_order(order: list[int]) -> None:
    events = [Text(text=str(choice), choice=choice) for choice in order]
    told_choices = whole(Start(), *events, END)["choices"]
    assert [(each["index"], each["message"]["content"]) for each in told_choices] == [
        (0, "0"),
        (1, "1"),
        (2, "2"),
    ]
