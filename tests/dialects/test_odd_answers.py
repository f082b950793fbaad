"""What an upstream says in a shape that makes no sense is its fault, before a renderer stumbles over it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.recorded import header_for
from tidegate.core.event import AnyEvent, End, Finish, Start, Text
from tidegate.dialects import load_dialect, renderer
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


@pytest.mark.parametrize("name", [RESPONSES, MESSAGES])
@pytest.mark.parametrize("kind", ["\ud800", "événement", "x\ndata: {}", "x\r", "\u2028"])
def test_an_event_whose_name_cannot_stand_in_a_line_is_passed_on_without(name: str, kind: str) -> None:
    dialect = load_dialect(name)
    events: list[AnyEvent] = []
    decoder = dialect.decoder(1 << 20)
    for value in BEGUN[name], {"type": kind, "more": 1}:
        decoder.feed(f"data: {json.dumps(value)}\n\n".encode(), events)
    shown = renderer(dialect, header_for(dialect)).render([Start(), *events])
    frames = [each.split(b"\n") for each in shown.split(b"\n\n")[:-1]]
    lines = next(lines for lines in frames if b'"more":1' in lines[-1])
    assert len(lines) == 1
    assert json.loads(lines[0].removeprefix(b"data: "))["type"] == kind
    assert all(line.startswith((b"event: ", b"data: ")) for each in frames for line in each)


BEGUN: dict[str, dict[str, Any]] = {
    RESPONSES: {"type": "response.created", "response": {"status": "in_progress", "output": []}},
    MESSAGES: {"type": "message_start", "message": {"role": "assistant", "content": [], "usage": {}}},
}


@pytest.mark.parametrize("name", ["openai-chat", RESPONSES, MESSAGES, "gemini"])
@pytest.mark.parametrize(
    "logprobs",
    [[None], ["x"], 5, "x", {"a": 1}, [{"token": "x", "top_logprobs": [None]}], [{"top_logprobs": 5}]],
)
def test_probabilities_that_make_no_sense_end_no_rendering(name: str, logprobs: Any) -> None:
    """They are passed on from an upstream, which may tell anything."""
    events: list[AnyEvent] = [
        Start(),
        Text(text="a", logprobs={"content": logprobs}),
        Text(text="b", logprobs={"content": logprobs}),
        Finish(reason="stop"),
        End(outcome="completed"),
    ]
    dialect = load_dialect(name)
    shown = renderer(dialect, header_for(dialect)).render(events)
    assert b'"a"' in shown
    assert b'"b"' in shown
