"""Tool calls arrive as they were sent: apart, in order, whole, and in a form that strict clients take."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import OpenAI

from tests.chat import Json, chunk, stream, tool
from tests.chat_stream import ChatAnswer, body_for, post_chat, stream_chat
from tests.gateway import Gateway
from tests.script import Script
from tests.upstream import Upstream

ARGUMENTS = ['{"city": "Paris", "unit": "C"}', '{"city": "Tokyo"}', "{}"]
NAMES = ["get_weather", "get_weather", "get_time"]


def pieces(text: str, size: int = 5) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def opening(index: int, arguments: str = "") -> Json:
    return tool(index, arguments, call_id=f"call_{index}", name=NAMES[index])


def one_after_the_other() -> list[Json]:
    parts = []
    for index, arguments in enumerate(ARGUMENTS):
        parts.append(chunk(tool_calls=[opening(index)]))
        parts += [chunk(tool_calls=[tool(index, piece)]) for piece in pieces(arguments)]
    return parts


def interleaved() -> list[Json]:
    cut = [pieces(arguments) for arguments in ARGUMENTS]
    parts = [chunk(tool_calls=[opening(index)]) for index in range(3)]
    for step in range(max(map(len, cut))):
        parts += [chunk(tool_calls=[tool(i, cut[i][step])]) for i in range(3) if step < len(cut[i])]
    return parts


def together() -> list[Json]:
    return [chunk(tool_calls=[opening(index, ARGUMENTS[index]) for index in range(3)])]


SHAPES = {"one after the other": one_after_the_other, "interleaved": interleaved, "together": together}


def calls_script(parts: list[Json], finish: str = "tool_calls") -> Script:
    return stream([chunk(None, role="assistant"), *parts, chunk(finish=finish)])


def assert_clean(answer: ChatAnswer) -> None:
    """Every delta has `function`; id, name and type come once, on the first; later ones are never empty."""
    begun: set[int] = set()
    for call in answer.tool_deltas():
        index = call["index"]
        if index not in begun:
            begun.add(index)
            assert call["id"]
            assert call["type"] == "function"
            assert call["function"]["name"]
            assert isinstance(call["function"]["arguments"], str)
        else:
            assert not call.keys() & {"id", "type"}
            assert call["function"].keys() == {"arguments"}
            assert call["function"]["arguments"]


@pytest.mark.parametrize("shape", SHAPES)
def test_parallel_calls_keep_apart(gateway: Gateway, upstream: Upstream, shape: str) -> None:
    """hazards 7, 12: three calls with indices 0, 1, 2, each with arguments of its own, byte for byte."""
    upstream.play(calls_script(SHAPES[shape]()))
    answer = stream_chat(gateway.address).succeeded()
    assert answer.arguments() == dict(enumerate(ARGUMENTS))
    assert_clean(answer)
    assert answer.finishes() == ["tool_calls"]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_sdk_puts_parallel_calls_together(
    gateway: Gateway, upstream: Upstream, client: OpenAI, shape: str
) -> None:
    """hazard 7: by its own accumulator, and without streaming."""
    upstream.answer = lambda request: calls_script(SHAPES[shape]())
    messages: Any = [{"role": "user", "content": "x"}]
    with client.chat.completions.stream(model="m", messages=messages) as streamed:
        folded = streamed.get_final_completion()
    whole = client.chat.completions.create(model="m", messages=messages)
    for completion in (folded, whole):
        calls: Any = completion.choices[0].message.tool_calls
        assert [call.id for call in calls] == ["call_0", "call_1", "call_2"]
        assert [call.function.name for call in calls] == NAMES
        assert [call.function.arguments for call in calls] == ARGUMENTS


def test_a_call_cut_by_the_limit_says_length(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 11: never `tool_calls`, which would have half a call run; the same without streaming."""
    parts = [chunk(tool_calls=[opening(0)]), chunk(tool_calls=[tool(0, '{"city": "Par')])]
    upstream.answer = lambda request: calls_script(parts, finish="length")
    answer = stream_chat(gateway.address).succeeded()
    assert answer.finishes() == ["length"]
    assert answer.arguments() == {0: '{"city": "Par'}
    whole = post_chat(gateway.address, body_for(stream=False)).json["choices"][0]
    assert whole["finish_reason"] == "length"
    assert whole["message"]["tool_calls"][0]["function"]["arguments"] == '{"city": "Par'


def test_empty_and_repeated_parts_are_tidied(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 12: id, type and name on every delta, and deltas whose arguments are empty or null."""
    function = {"name": "get_weather", "arguments": None}
    parts = [
        chunk(tool_calls=[{"index": 0, "id": "call_0", "type": "function", "function": function}]),
        chunk(tool_calls=[tool(0, "")]),
    ]
    for piece in pieces(ARGUMENTS[0]):
        parts.append(chunk(tool_calls=[tool(0, piece, call_id="call_0", name="get_weather")]))
        parts.append(chunk(tool_calls=[tool(0, "")]))
    upstream.play(calls_script(parts))
    answer = stream_chat(gateway.address).succeeded()
    assert answer.arguments() == {0: ARGUMENTS[0]}
    assert_clean(answer)


def test_arguments_are_not_parsed_on_the_way(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 12: spaces, escapes, big numbers and broken JSON stay as they are."""
    odd = '{ "n": 12345678901234567890.10,\t"s": "\\u4e16 世 \\ud83d\\ude00 😀 data: x", "x": [1,]'
    parts = [chunk(tool_calls=[opening(0)])] + [
        chunk(tool_calls=[tool(0, piece)]) for piece in pieces(odd, 1)
    ]
    upstream.play(calls_script(parts))
    answer = stream_chat(gateway.address).succeeded()
    assert answer.arguments() == {0: odd}


def test_calls_without_an_index_keep_apart(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 7: upstreams that send whole calls and number none of them."""
    parts = []
    for index, arguments in enumerate(ARGUMENTS):
        call = tool(0, arguments, call_id=f"call_{index}", name=NAMES[index])
        del call["index"]
        parts.append(chunk(tool_calls=[call]))
    upstream.play(calls_script(parts))
    answer = stream_chat(gateway.address).succeeded()
    assert answer.arguments() == dict(enumerate(ARGUMENTS))


def test_calls_that_share_an_index_keep_apart(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 7: upstreams that number every call 0, but give each an id."""
    parts = []
    for index, arguments in enumerate(ARGUMENTS):
        parts.append(chunk(tool_calls=[tool(0, "", call_id=f"call_{index}", name=NAMES[index])]))
        parts += [chunk(tool_calls=[tool(0, piece)]) for piece in pieces(arguments)]
    upstream.play(calls_script(parts))
    answer = stream_chat(gateway.address).succeeded()
    assert answer.arguments() == dict(enumerate(ARGUMENTS))


def test_text_and_calls_in_one_delta_are_parted(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 12: a reader that looks at tool calls first would miss the text beside them."""
    part = chunk("Let me look. ", tool_calls=[opening(0, ARGUMENTS[0])])
    upstream.play(stream([part, chunk(finish="tool_calls")]))
    answer = stream_chat(gateway.address).succeeded()
    assert answer.text() == "Let me look. "
    assert answer.arguments() == {0: ARGUMENTS[0]}


def test_a_call_on_the_finish_chunk_is_not_lost(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 12: the last arguments ride on the chunk that carries the reason."""
    last = chunk(tool_calls=[tool(0, ARGUMENTS[0][10:])], finish="tool_calls")
    upstream.play(stream([chunk(tool_calls=[opening(0, ARGUMENTS[0][:10])]), last]))
    answer = stream_chat(gateway.address).succeeded()
    assert json.loads(answer.arguments()[0]) == json.loads(ARGUMENTS[0])
    assert answer.finishes() == ["tool_calls"]


def test_each_argument_delta_leaves_at_once(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 24: tool deltas are streamed and not collected."""
    upstream.play(calls_script(one_after_the_other()))
    answer = stream_chat(gateway.address).succeeded()
    assert len(answer.tool_deltas()) == len(one_after_the_other())
