"""What an upstream's items hold beyond their deltas is shown as well, and nothing of it twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.event import AnyEvent, Text, Thinking, Tool
from tidegate.dialects import load_dialect

RESPONSES = load_dialect("openai-responses")
Json = dict[str, Any]


def decoded(*events: Json) -> list[AnyEvent]:
    found: list[AnyEvent] = []
    decoder = RESPONSES.decoder(1 << 20)
    ended: Json = {"type": "response.completed", "response": {"status": "completed", "output": []}}
    for event in (*events, ended):
        decoder.feed(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode(), found)
    return found


def message(text: str) -> Json:
    return {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": text}]}


def call(arguments: str) -> Json:
    return {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": arguments}


def reasoning(text: str) -> Json:
    return {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text}]}


FORMS: dict[str, tuple[Any, str, Json]] = {
    "text": (message, "response.output_text.delta", {"content_index": 0}),
    "arguments": (call, "response.function_call_arguments.delta", {}),
    "reasoning": (reasoning, "response.reasoning_summary_text.delta", {"summary_index": 0}),
}


def streamed(form: str, deltas: list[str], whole: str) -> list[Json]:
    item, kind, place = FORMS[form]
    at = {"item_id": item("")["id"], "output_index": 0}
    added = {"type": "response.output_item.added", "output_index": 0, "item": item("")}
    more = [{"type": kind, **at, **place, "delta": delta} for delta in deltas]
    return [added, *more, {"type": "response.output_item.done", "output_index": 0, "item": item(whole)}]


def said(events: list[AnyEvent]) -> str:
    text = "".join(event.text for event in events if isinstance(event, (Text, Thinking)))
    return text + "".join(event.arguments for event in events if isinstance(event, Tool))


@pytest.mark.parametrize("form", FORMS)
@given(
    deltas=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5), max_size=12),
    rest=st.text(st.characters(codec="utf-8"), max_size=8),
)
def test_the_rest_of_an_item_is_said(form: str, deltas: list[str], rest: str) -> None:
    """Also where the deltas' frames are so alike that only their text is looked at."""
    whole = "".join(deltas) + rest
    assert said(decoded(*streamed(form, deltas, whole))) == whole


@pytest.mark.parametrize("form", FORMS)
def test_an_item_that_says_otherwise_changes_nothing(form: str) -> None:
    assert said(decoded(*streamed(form, ['{"a":', "1}"], '{ "a" : 1 } '))) == '{"a":1}'
    assert said(decoded(*streamed(form, ["abc"], ""))) == "abc"


def test_items_without_deltas_are_said_whole() -> None:
    items = (reasoning("hm"), message("hello"), call('{"a":1}'))
    events = [
        {"type": "response.output_item.done", "output_index": index, "item": item}
        for index, item in enumerate(items)
    ]
    assert said(decoded(*events)) == 'hmhello{"a":1}'


def test_arguments_that_are_done_say_the_rest() -> None:
    added, delta, _ = streamed("arguments", ['{"a"'], "")
    done = {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": '{"a":1}'}
    assert said(decoded(added, delta, done)) == '{"a":1}'
