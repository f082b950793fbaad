"""LangChain and pydantic-ai read three dialects of the gateway over a Chat upstream."""

from __future__ import annotations

import pytest

from tests.chat import USAGE, broken_off, frame, text_chunks, text_stream
from tests.clients.conftest import HELLO, RunProgram
from tests.clients.scripts import PIECES, WHOLE, answer_then, needs_engine, parallel_calls, silent
from tests.script import Close, Send
from tests.upstream import Upstream

pytestmark = [
    pytest.mark.clients,
    pytest.mark.timeout(180),
    pytest.mark.parametrize("dialect", ["chat", "messages", "responses"]),
    pytest.mark.parametrize("program", ["langchain.py", "pydantic_agents.py"]),
]


def test_text_arrives_whole(run_python: RunProgram, upstream: Upstream, program: str, dialect: str) -> None:
    upstream.play(text_stream(PIECES))
    read = run_python(program, f"{dialect}-text")
    assert (read["text"], read["pieces"]) == (WHOLE, len(PIECES))
    assert read["usage"] == [USAGE["prompt_tokens"], USAGE["completion_tokens"]]


def test_tools_are_executed_and_answered(
    run_python: RunProgram, upstream: Upstream, program: str, dialect: str
) -> None:
    upstream.answer = answer_then(parallel_calls(), text_stream(["Sunny."]))
    read = run_python(program, f"{dialect}-tools")
    assert (read["text"], read["asked"]) == ("Sunny.", ["Paris", "Rome"])
    messages = upstream.request(1).json["messages"]
    assert [(one["tool_call_id"], one["content"]) for one in messages if one["role"] == "tool"] == [
        ("call_a", "sunny in Paris"),
        ("call_b", "sunny in Rome"),
    ]


def test_it_lives_through_silence(
    run_python: RunProgram, upstream: Upstream, program: str, dialect: str
) -> None:
    upstream.answer = answer_then(silent(parallel_calls()), silent(text_stream(PIECES)))
    assert run_python(program, f"{dialect}-tools")["text"] == WHOLE


def test_an_error_in_mid_answer_raises(
    run_python: RunProgram, upstream: Upstream, program: str, dialect: str
) -> None:
    told = {"error": {"message": "out of memory", "type": "server_error", "code": None, "param": None}}
    upstream.play(broken_off(text_chunks(["Hel"], finish=None), Send(frame(told)), Close()))
    read = run_python(program, f"{dialect}-broken")
    assert read["raised"] is not None
    assert "out of memory" in read["message"]


@needs_engine
def test_a_local_engine_answers(run_python: RunProgram, program: str, dialect: str) -> None:
    read = run_python(program, f"{dialect}-text", "hello")
    assert read["text"] == HELLO
    assert read["usage"][1] > 10
