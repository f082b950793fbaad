"""Parallel tool calls in a stream: right for strict accumulators, the first call for naive ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import OpenAI

from tests.chat import chunk, stream, tool
from tests.upstream import Upstream

CALLS = [
    [tool(0, "", call_id="a", name="get_weather")],
    [tool(0, '{"loc":')],
    [tool(1, "", call_id="b", name="get_time")],
    [tool(1, '{"tz":')],
    [tool(0, '"Paris"}')],
    [tool(1, '"UTC"}')],
    [tool(2, "{}", call_id="c", name="get_news")],
]
SCRIPT = stream(
    [chunk("Let me look. "), *(chunk(tool_calls=each) for each in CALLS), chunk(finish="tool_calls")]
)
ASKED: Any = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("get_weather", "get_time", "get_news")
]
EXPECTED = [
    ("a", "get_weather", '{"loc":"Paris"}'),
    ("b", "get_time", '{"tz":"UTC"}'),
    ("c", "get_news", "{}"),
]


def test_strict_accumulators_get_all_calls(client: OpenAI, upstream: Upstream) -> None:
    upstream.play(SCRIPT)
    with client.chat.completions.stream(**ASKED, tools=TOOLS) as answer:
        for _ in answer:
            pass
        message = answer.get_final_completion().choices[0].message
    calls: Any = message.tool_calls
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == EXPECTED
    assert message.content == "Let me look. "


def test_accumulators_by_index_get_all_calls(client: OpenAI, upstream: Upstream) -> None:
    """What OpenAI's documentation shows."""
    upstream.play(SCRIPT)
    found: dict[int, list[str]] = {}
    for part in client.chat.completions.create(**ASKED, tools=TOOLS, stream=True):
        for call in part.choices[0].delta.tool_calls or []:
            assert call.function is not None
            parts = found.setdefault(call.index, ["", "", ""])
            parts[0] += call.id or ""
            parts[1] += call.function.name or ""
            parts[2] += call.function.arguments or ""
    assert [tuple(found[index]) for index in sorted(found)] == EXPECTED


def test_a_naive_accumulator_gets_the_first_call_whole(client: OpenAI, upstream: Upstream) -> None:
    """It looks at element 0 and not at its index; text that comes beside a call would be lost to it."""
    upstream.play(SCRIPT)
    name, arguments, text = "", "", ""
    for part in client.chat.completions.create(**ASKED, tools=TOOLS, stream=True):
        delta = part.choices[0].delta
        if delta.tool_calls:
            function: Any = delta.tool_calls[0].function
            if function.name:
                name = function.name
            if function.arguments:
                arguments += function.arguments
        elif delta.content:
            text += delta.content
    assert (name, json.loads(arguments), text) == ("get_weather", {"loc": "Paris"}, "Let me look. ")


@pytest.mark.parametrize("stream_it", [True, False])
def test_a_gateway_behind_a_gateway_changes_nothing(
    client: OpenAI, upstream: Upstream, stream_it: bool
) -> None:
    padded = [
        [tool(0, ""), *each] if number and each[0]["index"] else each for number, each in enumerate(CALLS)
    ]
    upstream.play(stream([*(chunk(tool_calls=each) for each in padded), chunk(finish="tool_calls")]))
    if stream_it:
        with client.chat.completions.stream(**ASKED, tools=TOOLS) as answer:
            message: Any = answer.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(**ASKED, tools=TOOLS).choices[0].message
    found = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls]
    assert found == EXPECTED
