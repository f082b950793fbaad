"""What was shown of an answer, and when it cannot be gone on with."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tidegate.core.event import AnyEvent, End, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.request import Reasoning, Request
from tidegate.dialects import load_dialect
from tidegate.routing.shown import Shown, has_shown, lacks_only_its_end, look, why_not

PLAIN: list[AnyEvent] = [Start(), Item(kind="chunk", value={"x": 1}), Text(text="One, "), Text(text="two \n")]
SHOWN = Shown("One, two \n", 4, 0, 2)


def asked(**fields: Any) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": "Count."}], **fields}
    return load_dialect("openai-chat").read_request(msgspec.json.encode(body))


def test_plain_text_is_what_was_shown() -> None:
    shown = look(PLAIN)
    assert shown == SHOWN
    assert isinstance(shown, Shown)
    assert (shown.given, shown.tail, shown.tokens) == ("One, two", " \n", 2)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (Tool(arguments="", name="f"), "more than plain text"),
        (Thinking(text="hm"), "more than plain text"),
        (Item(kind="delta", value={"audio": {}}), "more than plain text"),
        (Item(kind="anthropic-messages", value={}, block=1), "more than plain text"),
        (Text(text="no", refusal=True), "refusal"),
        (Text(text="b", choice=1), "second choice"),
        (Text(text="b", logprobs={"content": []}), "logprobs"),
        (Text(text="", extra={"anthropic-messages": {"delta": {"type": "citations_delta"}}}), "more than"),
        (Finish(reason="stop"), "complete but for its end"),
        (End(outcome="failed"), "had ended"),
    ],
)
def test_anything_else_is_a_reason(more: AnyEvent, why: str) -> None:
    reason = look([*PLAIN, more])
    assert isinstance(reason, str)
    assert why in reason


def test_a_start_shows_nothing() -> None:
    assert not has_shown([])
    assert not has_shown(PLAIN[:2])
    assert has_shown(PLAIN[:3])
    assert has_shown([Start(), Thinking(text="hm")])


CALL = Tool(arguments="{}", call_id="c", name="f")
DONE = Finish(reason="stop")


@pytest.mark.parametrize(
    ("choices", "said", "whole"),
    [
        (1, [*PLAIN, DONE], True),
        (1, [Start(), Thinking(text="hm"), CALL, Finish(reason="tool_calls")], True),
        (2, [*PLAIN, Text(text="b", choice=1), DONE, Finish(reason="length", choice=1)], True),
        (1, PLAIN, False),
        (1, [Start()], False),
        (2, [*PLAIN, DONE], False),
        (2, [*PLAIN, Text(text="b", choice=1), DONE], False),
        (1, [*PLAIN, Text(text="b", choice=1), DONE], False),
    ],
)
def test_an_answer_is_whole_when_every_choice_has_finished(
    choices: int, said: list[AnyEvent], whole: bool
) -> None:
    assert lacks_only_its_end(asked(n=choices), said) is whole


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [TOOL]},
        {"tools": [TOOL], "tool_choice": "auto"},
        {"stop": ["END", "\n\nUser:"]},
        {"reasoning_effort": "none"},
        {"max_tokens": 5, "temperature": 0, "seed": 1},
        {"response_format": {"type": "text"}},
    ],
)
def test_a_request_for_text_may_be_gone_on_with(fields: dict[str, Any]) -> None:
    assert why_not(asked(**fields), SHOWN) is None


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"n": 2}, "several choices"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "JSON"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
            "JSON",
        ),
        ({"guided_regex": "[0-9]+"}, "form of the answer"),
        ({"modalities": ["text", "audio"]}, "form of the answer"),
        ({"reasoning_effort": "low"}, "thinking"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tool call"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool call"),
        ({"tools": [{"type": "web_search"}]}, "tools of its own"),
        ({"stop": ["two \n\nthree"]}, "stop sequence"),
        ({"stop": "o \n."}, "stop sequence"),
        (
            {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "{"}]},
            "itself began",
        ),
    ],
)
def test_what_cannot_be_gone_on_with_says_why(fields: dict[str, Any], why: str) -> None:
    reason = why_not(asked(**fields), SHOWN)
    assert reason is not None
    assert why in reason


def test_thinking_that_was_asked_for_in_the_models_name_counts() -> None:
    request = msgspec.structs.replace(asked(), reasoning=Reasoning(effort="high"))
    assert why_not(request, SHOWN) == "thinking was asked for"


def test_raw_text_must_be_text() -> None:
    read = load_dialect("openai-completions").read_request
    assert why_not(read(b'{"prompt":"Once"}'), SHOWN) is None
    for body in (b'{"prompt":[1,2]}', b'{"prompt":"Once","suffix":"end"}', b'{"prompt":"Once","echo":true}'):
        assert why_not(read(body), SHOWN) is not None
