"""What other dialects' upstreams say, in the forms that Chat clients know it in: streamed and whole."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.chat_stream import payloads
from tests.dialects.chat_frames import Json
from tests.dialects.feeding import feed
from tests.dialects.recorded import dialects, header_for
from tidegate.core.event import AnyEvent, End, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.message import ThinkingPart
from tidegate.dialects import load_dialect
from tidegate.dialects.api import DIALECTS

CHAT = load_dialect("openai-chat")
CALLED: list[AnyEvent] = [Finish(reason="tool_calls"), End(outcome="completed")]
STOPPED: list[AnyEvent] = [Finish(reason="stop"), End(outcome="completed")]
ORIGIN = "anthropic-messages"


def chunks(*events: AnyEvent, asked: Json | None = None) -> list[Json]:
    """The choices of a stream but for its role and its end."""
    header = header_for(CHAT, body=json.dumps(asked or {}).encode())
    body = CHAT.renderer(header).render([Start(), *events])
    return [json.loads(each)["choices"][0] for each in payloads(body)[1:-1]]


def deltas(*events: AnyEvent, asked: Json | None = None) -> list[Json]:
    return [each["delta"] for each in chunks(*events, asked=asked)][:-1]


def whole(*events: AnyEvent, asked: Json | None = None) -> Json:
    header = header_for(CHAT, body=json.dumps(asked or {}).encode(), stream=False)
    choice: Json = json.loads(CHAT.renderer(header).render([Start(), *events]))["choices"][0]
    return choice


def read_back(message: Json) -> list[ThinkingPart]:
    """The thinking of an earlier turn that a client sends back."""
    request = CHAT.read_request(
        json.dumps({"messages": [message, {"role": "user", "content": "x"}]}).encode()
    )
    parts = CHAT.read_prompt(request).messages[0].parts
    return [part for part in parts if isinstance(part, ThinkingPart)]


# Refusals.


def test_a_refusal_stands_in_a_field_of_its_own() -> None:
    said: list[AnyEvent] = [Text(text="Well", block=0)]
    said += [Text(text=word, block=1, refusal=True) for word in ("I ", "will ", "not")]
    expected = [{"content": "Well"}, {"refusal": "I "}, {"refusal": "will "}, {"refusal": "not"}]
    assert deltas(*said, *STOPPED) == expected
    message = whole(*said, *STOPPED)["message"]
    assert (message["content"], message["refusal"]) == ("Well", "I will not")
    assert whole(*said[1:], *STOPPED)["message"]["content"] is None


def test_an_upstreams_refusal_is_told_as_one() -> None:
    events: list[AnyEvent] = []
    frames = [{"content": "a"}, {"refusal": "b"}, {"refusal": "c"}, {"content": "d"}, {"refusal": None}]
    for delta in frames:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        frame = json.dumps({"model": "m", "choices": [choice]}).encode()
        CHAT.decoder(1 << 20).feed(b"data: " + frame + b"\n\n", events)
    texts = [event for event in events if isinstance(event, Text)]
    assert [(each.text, each.refusal) for each in texts] == [
        ("a", False),
        ("b", True),
        ("c", True),
        ("d", False),
    ]


def test_a_refusal_is_a_block_of_its_own() -> None:
    decoder, events = CHAT.decoder(1 << 20), list[AnyEvent]()
    for delta in ({"content": "a"}, {"refusal": "b"}, {"refusal": "c"}, {"content": "d"}):
        frame = json.dumps({"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        feed(decoder, f"data: {frame}\n\n".encode(), events)
    assert [event.block for event in events if isinstance(event, Text)] == [0, 1, 1, 2]


# Signatures.


def test_a_signature_goes_to_the_client_and_back() -> None:
    said: list[AnyEvent] = [
        Thinking(text="hm", origin=ORIGIN),
        Thinking(text=" hm", origin=ORIGIN),
        Thinking(text="", signature="c2ln", origin=ORIGIN),
        Thinking(text="", block=1, redacted="eHh4", origin=ORIGIN),
        Text(text="so", block=2),
    ]
    expected = [
        ThinkingPart(text="hm hm", signature="c2ln", origin=ORIGIN),
        ThinkingPart(text="", redacted="eHh4", origin=ORIGIN),
    ]
    assert read_back(whole(*said, *STOPPED)["message"]) == expected
    told = deltas(*said, *STOPPED)
    details = [detail for delta in told for detail in delta.get("reasoning_details", [])]
    thought = "".join(delta.get("reasoning_content", "") for delta in told)
    message = {
        "role": "assistant",
        "content": "so",
        "reasoning_content": thought,
        "reasoning_details": details,
    }
    assert read_back(message) == expected


def test_whole_answers_keep_thoughts_apart() -> None:
    said: list[AnyEvent] = [
        Thinking(text="a", signature="1", origin=ORIGIN),
        Tool(arguments="{}", block=1, call_id="c", name="f"),
        Thinking(text="b", block=2, signature="2", origin=ORIGIN),
    ]
    found = read_back(whole(*said, *CALLED)["message"])
    assert [(each.text, each.signature) for each in found] == [("a", "1"), ("b", "2")]


def test_a_signed_delta_is_not_taken_for_the_next() -> None:
    """The renderer remembers what surrounds a text, and a signature must not be there."""
    extra = {"chunk": {"x": 1}}
    signed = Thinking(text="a", signature="s", extra=extra)
    said = [signed, signed, Thinking(text="b", extra=extra), Thinking(text="c", extra=extra)]
    assert ["reasoning_details" in each for each in deltas(*said, *STOPPED)] == [True, True, False, False]


def test_thinking_without_a_signature_has_no_details() -> None:
    assert "reasoning_details" not in whole(Thinking(text="a"), *STOPPED)["message"]


# Legacy functions.

FUNCTIONS: Json = {"functions": [{"name": "f"}]}
CALL: list[AnyEvent] = [
    Tool(arguments="", call_id="c", name="f"),
    Tool(arguments='{"a":'),
    Tool(arguments="1}"),
]


def test_legacy_functions_are_called_in_the_legacy_form() -> None:
    told = chunks(*CALL, *CALLED, asked=FUNCTIONS)
    calls = [each["delta"]["function_call"] for each in told[:-1]]
    assert calls == [{"name": "f", "arguments": ""}, {"arguments": '{"a":'}, {"arguments": "1}"}]
    assert told[-1]["finish_reason"] == "function_call"
    answer = whole(*CALL, *CALLED, asked=FUNCTIONS)
    assert answer["message"]["function_call"] == {"name": "f", "arguments": '{"a":1}'}
    assert "tool_calls" not in answer["message"]
    assert answer["finish_reason"] == "function_call"


def test_a_legacy_client_is_told_of_one_call() -> None:
    """It has no place for more, and is not given any: so many are not asked for either."""
    second: list[AnyEvent] = [Tool(arguments="{}", block=1, name="g"), Tool(arguments="", block=1)]
    assert chunks(*CALL, *second, *CALLED, asked=FUNCTIONS) == chunks(*CALL, *CALLED, asked=FUNCTIONS)
    body = {"messages": [{"role": "user", "content": "x"}], **FUNCTIONS}
    assert CHAT.read_prompt(CHAT.read_request(json.dumps(body).encode())).parallel_tools is False


def test_clients_with_tools_get_tool_calls() -> None:
    tools = {"tools": [{"type": "function", "function": {"name": "functions"}}]}
    bodies: list[Json] = [tools, {**tools, **FUNCTIONS}, {"functions": []}, {"functions": "odd"}]
    for asked in bodies:
        assert "tool_calls" in deltas(*CALL, *CALLED, asked=asked)[0]


def test_another_dialects_body_says_nothing_of_chats_tools() -> None:
    header = msgspec.structs.replace(header_for(CHAT, body=json.dumps(FUNCTIONS).encode()), dialect="gemini")
    assert b'"tool_calls":[' in CHAT.renderer(header).render([Start(), *CALL, *CALLED])


# Custom tools.

CUSTOM: Json = {
    "tools": [{"type": "custom", "custom": {"name": "code"}}, {"type": "function", "function": {}}]
}


@pytest.mark.parametrize("custom", [True, False])
def test_the_input_of_a_custom_tool_is_free_text(custom: bool) -> None:
    """Other upstreams call it as a function with one argument."""
    parts = ["print", "(1)"] if custom else ['{"input": "print', '(1)"}']
    said: list[AnyEvent] = [
        Tool(arguments="", call_id="a", name="code", custom=custom),
        *(Tool(arguments=part, custom=custom) for part in parts),
        Tool(arguments="{}", block=1, call_id="b", name="f"),
    ]
    told = [each["tool_calls"][-1] for each in deltas(*said, *CALLED, asked=CUSTOM)]
    [call] = [each for each in told if each.get("type") == "custom"]
    assert (call["id"], call["custom"]) == ("a", {"name": "code", "input": "print(1)"})
    assert sorted(each["index"] for each in told) == [0, 1]
    calls = whole(*said, *CALLED, asked=CUSTOM)["message"]["tool_calls"]
    assert calls[0] == {"id": "a", "type": "custom", "custom": {"name": "code", "input": "print(1)"}}
    assert calls[1]["function"] == {"name": "f", "arguments": "{}"}


# Items.


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_what_only_another_dialect_knows_is_not_shown(name: str) -> None:
    items: list[AnyEvent] = [
        Item(kind=name, value={"type": "x"}, block=0),
        Item(kind=name, value={"type": "y"}),
        Text(text="a", block=1),
    ]
    assert deltas(*items, *STOPPED) == [{"content": "a"}]
    assert whole(*items, *STOPPED)["message"] == {"role": "assistant", "content": "a"}


def test_other_items_are_shown() -> None:
    item = Item(kind="status", value="working")
    told: list[Any] = deltas(item, *STOPPED)
    assert told == [{"content": "", "tidegate": {"kind": "status", "value": "working"}}]


def test_every_dialect_is_among_their_names() -> None:
    assert {dialect.name for dialect in dialects()} <= DIALECTS
