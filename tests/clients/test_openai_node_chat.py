"""The openai SDK for Node reads Chat Completions of the gateway, with its strict helpers too."""

from __future__ import annotations

import pytest

from tests.chat import USAGE, broken_off, chunk, error, frame, stream, text_chunks, text_stream, tool
from tests.clients.conftest import HELLO, RunProgram
from tests.clients.scripts import PIECES, WHOLE, answer_then, needs_engine, parallel_calls, silent
from tests.script import Close, Send
from tests.upstream import Upstream

pytestmark = pytest.mark.clients
PROGRAM = "openai_chat.mjs"


def test_text_arrives_whole_with_the_usage_that_was_asked_for(
    run_node: RunProgram, upstream: Upstream
) -> None:
    upstream.play(text_stream(PIECES))
    read = run_node(PROGRAM, "text")
    assert (read["text"], read["pieces"], read["finish"], read["ids"]) == (WHOLE, len(PIECES), "stop", 1)
    assert read["usage"]["total_tokens"] == USAGE["total_tokens"]


def test_a_naive_loop_meets_no_chunk_without_choices(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(text_stream(PIECES))
    assert run_node(PROGRAM, "naive")["text"] == WHOLE


def test_an_answer_in_one_piece(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(text_stream(PIECES))
    read = run_node(PROGRAM, "whole")
    assert read["text"] == WHOLE
    assert read["usage"]["completion_tokens"] == USAGE["completion_tokens"]


def test_the_demo_answers(run_node: RunProgram) -> None:
    read = run_node(PROGRAM, "text", "demo")
    assert "Weather in Paris and Rome?" in read["text"]
    assert read["pieces"] > 5


@needs_engine
def test_a_local_engine_answers(run_node: RunProgram) -> None:
    read = run_node(PROGRAM, "text", "hello")
    assert read["text"] == HELLO
    assert read["pieces"] > 10
    assert read["usage"]["completion_tokens"] > 10


def test_parallel_calls_are_added_up_by_the_helper(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(parallel_calls())
    read = run_node(PROGRAM, "tools")
    assert read["calls"] == [
        ["call_a", "look", '{"place": "Paris"}'],
        ["call_b", "look", '{"place": "Rome"}'],
    ]
    assert read["done"] == [[0, "look", '{"place": "Paris"}'], [1, "look", '{"place": "Rome"}']]
    assert (read["text"], read["finish"]) == ("I look.", "tool_calls")


def test_results_of_tools_come_back(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.answer = answer_then(parallel_calls(), text_stream(["Sunny."]))
    assert run_node(PROGRAM, "loop") == {"text": "Sunny.", "asked": ["Paris", "Rome"]}
    messages = upstream.request(1).json["messages"]
    assert [(one["tool_call_id"], one["content"]) for one in messages if one["role"] == "tool"] == [
        ("call_a", "sunny in Paris"),
        ("call_b", "sunny in Rome"),
    ]


@pytest.mark.parametrize("task", ["text", "naive", "tools"])
def test_it_lives_through_silence(run_node: RunProgram, upstream: Upstream, task: str) -> None:
    """Before the first event, between deltas of text and between those of a call."""
    if task == "tools":
        upstream.play(silent(parallel_calls()))
        assert len(run_node(PROGRAM, task)["calls"]) == 2
    else:
        upstream.play(silent(text_stream(PIECES)))
        assert run_node(PROGRAM, task)["text"] == WHOLE


def test_a_break_in_mid_answer_raises_with_its_message(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(broken_off(text_chunks(["Hel"], finish=None), Close()))
    read = run_node(PROGRAM, "error")
    assert read["text"] == "Hel"
    assert read["raised"]["api"]
    assert "in mid-answer" in read["raised"]["message"]


def test_an_error_of_the_upstream_in_mid_answer_raises_with_its_message(
    run_node: RunProgram, upstream: Upstream
) -> None:
    told = {"error": {"message": "out of memory", "type": "server_error", "code": None, "param": None}}
    for task in ("error", "helperError"):
        upstream.play(broken_off(text_chunks(["Hel"], finish=None), Send(frame(told)), Close()))
        raised = run_node(PROGRAM, task)["raised"]
        assert raised["api"]
        assert "out of memory" in raised["message"]


def test_an_error_before_the_answer_has_its_class(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(error(429, "slow down", kind="rate_limit_error"))
    raised = run_node(PROGRAM, "error")["raised"]
    assert (raised["name"], raised["status"]) == ("RateLimitError", 429)
    assert "slow down" in raised["message"]


def test_a_call_that_breaks_off_is_no_call(run_node: RunProgram, upstream: Upstream) -> None:
    opening = tool(0, '{"place": "Pa', call_id="call_a", name="look")
    upstream.play(broken_off([chunk(tool_calls=[opening])], Close()))
    assert run_node(PROGRAM, "helperError")["raised"]["api"]


def test_a_length_is_no_call(run_node: RunProgram, upstream: Upstream) -> None:
    upstream.play(stream(text_chunks(["Hel"], finish="length")))
    assert run_node(PROGRAM, "text")["finish"] == "length"
