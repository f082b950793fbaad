"""What an upstream says in a shape that makes no sense is its fault, before a renderer stumbles over it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.recorded import header_for
from tidegate.core.event import AnyEvent, End
from tidegate.dialects import load_dialect
from tidegate.errors import Broken

RESPONSES, MESSAGES = "openai-responses", "anthropic-messages"
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": ""}
ADDED = {"type": "response.output_item.added", "output_index": 0}
WORDS = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0}
REASONED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": 5}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (RESPONSES, [{**WORDS, "delta": 5}]),
        (RESPONSES, [{**WORDS, "delta": {"text": "x"}}]),
        (RESPONSES, [{**WORDS, "delta": "x", "logprobs": 1.5}]),
        (
            RESPONSES,
            [
                {**ADDED, "item": CALL},
                {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": {"a": 1}},
            ],
        ),
        (RESPONSES, [{"type": "response.output_item.done", "output_index": 0, "item": REASONED}]),
        (
            MESSAGES,
            [{"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": 5}}],
        ),
        (
            MESSAGES,
            [
                {
                    "type": "content_block_start",
                    "index": 0,
                    "content_block": {"type": "thinking", "thinking": []},
                }
            ],
        ),
    ],
)
def test_words_that_are_no_text_break_the_answer(name: str, values: list[dict[str, Any]]) -> None:
    frames = [f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode() for value in values]
    decoder = load_dialect(name).decoder(1 << 20)
    with pytest.raises(Broken):
        decoder.feed(b"".join(frames), [])


MORE = {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"a":'}
WHOLE = {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": '{"a":'}
COMPLETED = {"type": "response.completed", "response": {"status": "completed", "output": []}}


def told(*values: dict[str, Any]) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    decoder = load_dialect(RESPONSES).decoder(1 << 20)
    for value in values:
        decoder.feed(f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode(), events)
    return events


def test_an_answer_is_not_complete_inside_of_a_call() -> None:
    with pytest.raises(Broken, match="inside a call of the tool 'f'"):
        told({**ADDED, "item": CALL}, MORE, COMPLETED)


def test_a_call_is_whole_whoever_says_so() -> None:
    done = {"type": "response.output_item.done", "output_index": 0, "item": {**CALL, "arguments": '{"a":'}}
    output = {**COMPLETED, "response": {"status": "completed", "output": [done["item"]]}}
    cut = {"type": "response.incomplete", "response": {"status": "incomplete", "output": []}}
    for ending in ([WHOLE, COMPLETED], [done, COMPLETED], [output], [cut]):
        assert isinstance(told({**ADDED, "item": CALL}, MORE, *ending)[-1], End)


@pytest.mark.parametrize("part", [{"thought": True}, {"text": []}, {"thought": True, "text": None}])
def test_a_part_of_gemini_without_words_is_shown_as_it_is(part: dict[str, Any]) -> None:
    gemini = load_dialect("gemini")
    candidate = {"content": {"parts": [{"text": "a"}, part, {"text": "b"}]}, "finishReason": "STOP"}
    events: list[AnyEvent] = []
    gemini.decoder(1 << 20).whole(json.dumps({"candidates": [candidate]}).encode(), events)
    body = gemini.renderer(header_for(gemini, stream=False)).render(events)
    parts = json.loads(body)["candidates"][0]["content"]["parts"]
    assert parts == [{"text": "a"}, part, {"text": "b"}]
