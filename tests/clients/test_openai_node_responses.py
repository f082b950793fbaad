"""The openai SDK for Node reads Responses of the gateway over a Chat upstream; its helper forgives no gap."""

from __future__ import annotations

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
PROGRAM = "openai_responses.mjs"
CALLS = [["call_a", "look", PARIS], ["call_b", "look", ROME]]


def test_text_arrives_whole_in_numbered_events(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(text_stream(PIECES))
    read = run_node(PROGRAM, "text")
    assert (read["text"], read["folded"], read["pieces"]) == (WHOLE, WHOLE, len(PIECES))
    assert read["dense"]
    assert (read["kinds"][0], read["kinds"][-1]) == ("response.created", "response.completed")
    assert (read["status"], read["usage"]) == (
        "completed",
        [USAGE["prompt_tokens"], USAGE["completion_tokens"]],
    )


def test_the_helper_reads_text(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(text_stream(PIECES))
    read = run_node(PROGRAM, "helper")
    assert (read["text"], read["heard"]["text"], read["kinds"]) == (WHOLE, WHOLE, ["message"])


def test_the_helper_reads_parallel_calls(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(parallel_calls())
    read = run_node(PROGRAM, "helper")
    assert (read["text"], read["calls"]) == ("I look.", CALLS)
    assert read["kinds"] == ["message", "function_call", "function_call"]


def test_the_helper_reads_reasoning(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(thoughtful(PIECES))
    read = run_node(PROGRAM, "helper")
    assert (read["text"], read["kinds"]) == (WHOLE, ["reasoning", "message"])


def test_an_answer_in_one_piece(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(parallel_calls())
    read = run_node(PROGRAM, "whole")
    assert (read["text"], read["calls"], read["status"]) == ("I look.", CALLS, "completed")


def test_results_of_tools_come_back(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.answer = answer_then(parallel_calls(), text_stream(["Sunny."]))
    read = run_node(PROGRAM, "loop")
    assert (read["text"], read["rounds"]) == ("Sunny.", 1)
    messages = upstream.request(1).json["messages"]
    assert [(one["tool_call_id"], one["content"]) for one in messages if one["role"] == "tool"] == [
        ("call_a", "sunny in Paris"),
        ("call_b", "sunny in Rome"),
    ]


@pytest.mark.parametrize("task", ["text", "helper", "loop"])
def test_it_lives_through_silence(run_node: RunProgram, upstream: Upstream, task: str) -> None:
    upstream.answer = answer_then(silent(parallel_calls()), silent(text_stream(PIECES)))
    if task != "loop":
        upstream.play(silent(text_stream(PIECES)))
    assert run_node(PROGRAM, task)["text"] == WHOLE


def test_the_demo_answers(run_node: RunProgram) -> None:
    assert "Weather in Paris and Rome?" in run_node(PROGRAM, "text", "demo")["text"]


@needs_engine
@pytest.mark.parametrize("task", ["text", "helper"])
def test_a_local_engine_answers(run_node: RunProgram, task: str) -> None:
    read = run_node(PROGRAM, task, "hello")
    assert read["text"] == HELLO
    assert read["usage"][1] > 10


def test_an_error_in_mid_answer_is_told_and_fails_the_response(
    run_node: RunProgram, upstream: Upstream
) -> None:
    """The raw iterator does not raise by design: it hands the event over."""
    told = {"error": {"message": "out of memory", "type": "server_error", "code": None, "param": None}}
    upstream.play(broken_off(text_chunks(["Hel"], finish=None), Send(frame(told)), Close()))
    read = run_node(PROGRAM, "error")
    assert read["text"] == "Hel"
    assert read["kinds"][-1] == "response.failed"
    assert "out of memory" in read["told"]["message"]


def test_the_helper_raises_on_an_error_in_mid_answer(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(broken_off(text_chunks(["Hel"], finish=None), Close()))
    assert "in mid-answer" in run_node(PROGRAM, "helperError")["raised"]["message"]


def test_a_call_that_breaks_off_is_no_call(run_node: RunProgram, upstream: Upstream) -> None:
    opening = tool(0, '{"place": "Pa', call_id="call_a", name="look")
    upstream.play(broken_off([chunk(tool_calls=[opening])], Close()))
    assert run_node(PROGRAM, "helperError")["raised"] is not None


def test_an_error_before_the_answer_has_its_class(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(error(429, "slow down", kind="rate_limit_error"))
    raised = run_node(PROGRAM, "error")["raised"]
    assert (raised["name"], raised["status"]) == ("RateLimitError", 429)
    assert "slow down" in raised["message"]


def test_a_length_is_told(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(stream(text_chunks(["Hel"], finish="length")))
    read = run_node(PROGRAM, "text")
    assert (read["status"], read["kinds"][-1]) == ("incomplete", "response.incomplete")
