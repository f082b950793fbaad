"""What a Chat upstream signs or hides in ``reasoning_details`` is kept through any client's dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.recorded import header_for
from tidegate.core.event import AnyEvent, Thinking
from tidegate.core.message import ThinkingPart
from tidegate.dialects import load_dialect, translate
from tidegate.dialects.api import Dialect
from tidegate.dialects.openai_chat.thinking import give_back

CHAT = load_dialect("openai-chat")
CLIENTS = ("anthropic-messages", "openai-responses", "gemini")
SIGNED = {"type": "reasoning.text", "signature": "EqQB", "format": "anthropic-claude-v1", "index": 0}
HIDDEN = {"type": "reasoning.encrypted", "data": "gAAA", "id": "rs_1", "format": "openai-responses-v1"}


def decoded(*deltas: dict[str, Any]) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    decoder = CHAT.decoder(1 << 20)
    for number, delta in enumerate((*deltas, {"content": "so"}, {}), 1 - len(deltas) - 1):
        choice = {"index": 0, "delta": delta, "finish_reason": "stop" if number > 0 else None}
        decoder.feed(b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode(), events)
    decoder.feed(b"data: [DONE]\n\n", events)
    return events


def details(*each: dict[str, Any], **beside: Any) -> dict[str, Any]:
    return {"reasoning_details": list(each), **beside}


def seen(client: Dialect, events: list[AnyEvent]) -> Any:
    """The whole answer that a client gets."""
    return json.loads(client.renderer(header_for(client, stream=False)).render(events))


def given_back(name: str, answer: Any) -> list[dict[str, Any]]:
    """What the Chat upstream is told of an answer that a client sends back in the next turn."""
    if name == "anthropic-messages":
        turn = {"role": "assistant", "content": answer["content"]}
        body = {"max_tokens": 9, "messages": [{"role": "user", "content": "q"}, turn]}
    elif name == "openai-responses":
        body = {"input": [{"role": "user", "content": "q"}, *answer["output"]]}
    else:
        body = {"contents": [{"role": "user", "parts": [{"text": "q"}]}, answer["candidates"][0]["content"]]}
    client = load_dialect(name)
    request = client.read_request(json.dumps(body).encode(), {}, "/v1beta/models/m:generateContent")
    written, dropped = translate(request, CHAT, "theirs", frozenset())
    assert dropped == ()
    message = json.loads(written)["messages"][1]
    return list(message["reasoning_details"])


@pytest.mark.parametrize("name", CLIENTS)
def test_a_signature_comes_back_to_its_upstream(name: str) -> None:
    events = decoded(details({"type": "reasoning.text", "text": "hm"}, reasoning="hm"), details(SIGNED))
    assert given_back(name, seen(load_dialect(name), events)) == [{**SIGNED, "text": "hm"}]


@pytest.mark.parametrize("name", CLIENTS)
def test_hidden_reasoning_comes_back_to_its_upstream(name: str) -> None:
    assert given_back(name, seen(load_dialect(name), decoded(details(HIDDEN)))) == [HIDDEN]


def test_text_that_stands_in_details_alone_is_shown() -> None:
    events = decoded(details({"type": "reasoning.summary", "summary": "in short"}))
    assert [each.text for each in events if isinstance(each, Thinking)] == ["in short"]


@pytest.mark.parametrize("stream", [True, False])
def test_chat_clients_get_the_details_once_and_as_they_came(stream: bool) -> None:
    told = decoded(details(SIGNED, HIDDEN))
    body = CHAT.renderer(header_for(CHAT, stream=stream)).render(told).decode()
    found = body.split('"reasoning_details":')[1:]
    assert len(found) == 1
    assert found[0].startswith(json.dumps([SIGNED, HIDDEN], separators=(",", ":")))


@pytest.mark.parametrize("wrong", ["x", 1, None, [1, None, {"text": 2, "signature": ""}, {}]])
def test_details_of_another_shape_are_passed_on(wrong: Any) -> None:
    assert not [each for each in decoded({"reasoning_details": wrong}) if isinstance(each, Thinking)]


def test_seals_that_are_no_details_are_left_out() -> None:
    parts = (ThinkingPart(text="a", signature="no JSON", origin="openai-chat"),)
    assert [give_back(part) for part in parts] == [None]
