"""The AI SDK, which parses every data line as JSON, reads three dialects over a Chat upstream."""

from __future__ import annotations

import json

import pytest

from tests.chat import USAGE, broken_off, error, frame, text_chunks, text_stream
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

PROGRAM = "ai_sdk.mjs"
pytestmark = [pytest.mark.clients, pytest.mark.parametrize("dialect", ["chat", "messages", "responses"])]
COUNTED = [USAGE["prompt_tokens"], USAGE["completion_tokens"]]


def test_text_arrives_whole(run_node: RunProgram, upstream: Upstream, dialect: str) -> None:
    upstream.play(text_stream(PIECES))
    read = run_node(PROGRAM, f"{dialect}-text")
    assert (read["text"], read["pieces"], read["errors"]) == (WHOLE, len(PIECES), [])
    assert (read["finish"], read["usage"]) == ("stop", COUNTED)


def test_an_answer_in_one_piece(run_node: RunProgram, upstream: Upstream, dialect: str) -> None:
    upstream.play(text_stream(PIECES))
    assert run_node(PROGRAM, f"{dialect}-whole") == {"text": WHOLE, "finish": "stop"}


def test_reasoning_is_kept_apart(run_node: RunProgram, upstream: Upstream, dialect: str) -> None:
    upstream.play(thoughtful(PIECES))
    read = run_node(PROGRAM, f"{dialect}-text")
    assert (read["reasoning"], read["text"]) == ("I should greet.", WHOLE)


def test_tools_are_executed_and_answered(run_node: RunProgram, upstream: Upstream, dialect: str) -> None:
    upstream.answer = answer_then(parallel_calls(), text_stream(["Sunny."]))
    read = run_node(PROGRAM, f"{dialect}-tools")
    assert read["asked"] == [["look", json.loads(PARIS)], ["look", json.loads(ROME)]]
    assert (read["text"], read["finish"], read["steps"]) == ("I look.Sunny.", "stop", 2)
    messages = upstream.request(1).json["messages"]
    assert [(one["tool_call_id"], one["content"]) for one in messages if one["role"] == "tool"] == [
        ("call_a", "sunny in Paris"),
        ("call_b", "sunny in Rome"),
    ]


def test_it_lives_through_silence(run_node: RunProgram, upstream: Upstream, dialect: str) -> None:
    upstream.answer = answer_then(silent(parallel_calls()), silent(text_stream(PIECES)))
    read = run_node(PROGRAM, f"{dialect}-tools")
    assert (read["text"], read["errors"]) == (f"I look.{WHOLE}", [])


def test_the_demo_answers(run_node: RunProgram, dialect: str) -> None:
    read = run_node(PROGRAM, f"{dialect}-text", "demo")
    assert "Weather in Paris and Rome?" in read["text"]
    assert read["errors"] == []


@needs_engine
def test_a_local_engine_answers(run_node: RunProgram, dialect: str) -> None:
    read = run_node(PROGRAM, f"{dialect}-text", "hello")
    assert (read["text"], read["errors"]) == (HELLO, [])
    assert read["pieces"] > 10


def test_a_break_in_mid_answer_is_an_error_part(
    run_node: RunProgram, upstream: Upstream, dialect: str
) -> None:
    told = {"error": {"message": "out of memory", "type": "server_error", "code": None, "param": None}}
    upstream.play(broken_off(text_chunks(["Hel"], finish=None), Send(frame(told)), Close()))
    read = run_node(PROGRAM, f"{dialect}-text")
    assert (read["text"], read["finish"]) == ("Hel", "error")
    assert "out of memory" in read["errors"][0]["message"]


def test_an_error_before_the_answer_has_its_status(
    run_node: RunProgram, upstream: Upstream, dialect: str
) -> None:
    upstream.play(error(429, "slow down", kind="rate_limit_error"))
    (problem,) = run_node(PROGRAM, f"{dialect}-text")["errors"]
    assert problem["status"] == 429
    assert "slow down" in problem["message"]
