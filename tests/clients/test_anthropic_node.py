"""Anthropic's SDK for Node reads Messages of the gateway over a Chat upstream."""

from __future__ import annotations

import json

import pytest

from tests.chat import USAGE, broken_off, chunk, error, frame, stream, text_chunks, text_stream, tool
from tests.clients.conftest import HELLO, RunProgram
from tests.clients.scripts import (
    PARIS,
    PIECES,
    ROME,
    WHOLE,
    answer_then,
    needs_engine,
    parallel_calls,
    silent,
    thoughtful,
)
from tests.script import Close, Send
from tests.upstream import Upstream

pytestmark = pytest.mark.clients
PROGRAM = "anthropic_messages.mjs"
CALLS = [["call_a", "look", json.loads(PARIS)], ["call_b", "look", json.loads(ROME)]]


def test_text_arrives_whole(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(text_stream(PIECES))
    read = run_node(PROGRAM, "text")
    assert (read["text"], read["heard"]["text"], read["heard"]["pieces"]) == (WHOLE, WHOLE, len(PIECES))
    assert (read["stop"], read["kinds"]) == ("end_turn", ["text"])
    assert read["usage"] == [USAGE["prompt_tokens"], USAGE["completion_tokens"]]


def test_an_answer_in_one_piece(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(parallel_calls())
    read = run_node(PROGRAM, "whole")
    assert (read["text"], read["calls"], read["stop"]) == ("I look.", CALLS, "tool_use")


def test_parallel_calls_are_blocks_of_their_own(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(parallel_calls())
    read = run_node(PROGRAM, "tools")
    assert (read["calls"], read["stop"]) == (CALLS, "tool_use")
    assert read["kinds"] == ["text", "tool_use", "tool_use"]


def test_thoughts_are_blocks_of_their_own(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(thoughtful(PIECES))
    read = run_node(PROGRAM, "thinking")
    assert (read["thoughts"], read["heard"]["thinking"]) == (["I should greet."], "I should greet.")
    assert (read["text"], read["kinds"]) == (WHOLE, ["thinking", "text"])


def test_results_of_tools_come_back(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.answer = answer_then(parallel_calls(), text_stream(["Sunny."]))
    read = run_node(PROGRAM, "loop")
    assert (read["text"], read["rounds"]) == ("Sunny.", 1)
    messages = upstream.request(1).json["messages"]
    assert [(one["tool_call_id"], one["content"]) for one in messages if one["role"] == "tool"] == [
        ("call_a", "sunny in Paris"),
        ("call_b", "sunny in Rome"),
    ]


def test_it_lives_through_silence(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.answer = answer_then(silent(parallel_calls()), silent(text_stream(PIECES)))
    assert run_node(PROGRAM, "loop")["text"] == WHOLE


def test_the_demo_answers(run_node: RunProgram) -> None:
    assert "Weather in Paris and Rome?" in run_node(PROGRAM, "text", "demo")["text"]


@needs_engine
def test_a_local_engine_answers(run_node: RunProgram) -> None:
    read = run_node(PROGRAM, "text", "hello")
    assert read["text"] == HELLO
    assert read["heard"]["pieces"] > 10
    assert read["usage"][1] > 10


@pytest.mark.parametrize("task", ["error", "helperError"])
def test_an_error_in_mid_answer_raises_with_its_message(
    run_node: RunProgram, upstream: Upstream, task: str
) -> None:
    told = {"error": {"message": "out of memory", "type": "server_error", "code": None, "param": None}}
    upstream.play(broken_off(text_chunks(["Hel"], finish=None), Send(frame(told)), Close()))
    raised = run_node(PROGRAM, task)["raised"]
    assert raised["api"]
    assert raised["type"] == "api_error"
    assert "out of memory" in raised["message"]


def test_a_call_that_breaks_off_is_no_call(run_node: RunProgram, upstream: Upstream) -> None:
    opening = tool(0, '{"place": "Pa', call_id="call_a", name="look")
    upstream.play(broken_off([chunk(tool_calls=[opening])], Close()))
    assert run_node(PROGRAM, "helperError")["raised"]["api"]


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "BadRequestError", "invalid_request_error"),
        (404, "NotFoundError", "not_found_error"),
        (429, "RateLimitError", "rate_limit_error"),
        (500, "InternalServerError", "api_error"),
    ],
)
def test_an_error_before_the_answer_has_its_class(
    run_node: RunProgram, upstream: Upstream, status: int, name: str, kind: str
) -> None:
    upstream.play(error(status, "not like this", kind="some_error"))
    raised = run_node(PROGRAM, "error")["raised"]
    assert (raised["name"] == name, raised["status"] // 100) == (True, status // 100)
    assert raised["type"] == kind
    assert "not like this" in raised["message"]


def test_a_length_is_told(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(stream(text_chunks(["Hel"], finish="length")))
    assert run_node(PROGRAM, "text")["stop"] == "max_tokens"


def test_tokens_are_counted_before(run_node: RunProgram, upstream: Upstream) -> None:
    assert run_node(PROGRAM, "count")["input_tokens"] > 3


def test_models_are_listed_in_its_shape(run_node: RunProgram) -> None:
    assert ["model", "m"] in run_node(PROGRAM, "models")
