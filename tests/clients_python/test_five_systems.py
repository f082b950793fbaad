"""The clients of five systems, unchanged but for address, key and model, get whole answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest
import requests

from tests.chat import DONE, USAGE, broken_off, chunk, frames, stream, text_chunks, text_stream, tool
from tests.chat_stream import ChatAnswer, body_for, parse, post_chat, stream_chat
from tests.clients_python import programs
from tests.clients_python.programs import QUESTION, Program, Target
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.raw_http import Response, ResponseHead
from tests.script import End, Head, Pause, Script, Send
from tests.upstream import Upstream

PIECES = ["# Streams\n\n", "data: flows, ", "世界 😀 ", "\u2028and it ", "ends."]
WHOLE = "".join(PIECES)

TEXT_PROGRAMS = [*programs.SDK_PROGRAMS, *programs.LINE_PROGRAMS]


def named(functions: Iterable[Program]) -> list[object]:
    return [pytest.param(function, id=function.__name__) for function in functions]


needs_curl = pytest.mark.skipif(programs.CURL is None, reason="curl is not installed")


def target(gateway: Gateway, model: str) -> Target:
    return Target(gateway.base_url, "sk-any", model)


def parse_printed(text: str) -> ChatAnswer:
    """The strict reading of a stream that curl printed."""
    head = ResponseHead("HTTP/1.1", 200, (("content-type", "text/event-stream"),))
    return parse(Response(head, text.encode()))


# From a scripted upstream.


@pytest.mark.parametrize("program", named(TEXT_PROGRAMS))
def test_a_program_prints_the_whole_answer(
    gateway: Gateway, upstream: Upstream, capsys: pytest.CaptureFixture[str], program: Program
) -> None:
    upstream.play(text_stream(PIECES))
    program(target(gateway, "m"))
    assert WHOLE in capsys.readouterr().out
    assert upstream.request().json["messages"] == [{"role": "user", "content": QUESTION}]


@needs_curl
@pytest.mark.parametrize("program", named(programs.CURL_PROGRAMS))
def test_curl_prints_the_whole_stream(
    gateway: Gateway, upstream: Upstream, capsys: pytest.CaptureFixture[str], program: Program
) -> None:
    upstream.play(text_stream(PIECES))
    program(target(gateway, "m"))
    printed = capsys.readouterr().out
    assert printed.endswith(DONE.decode())
    assert parse_printed(printed).succeeded().text() == WHOLE
    assert upstream.request().json["model"] == "mock"


def slow_and_odd() -> Script:
    """What breaks naive readers elsewhere: pings, usage, odd framing, silence at the start and later."""
    first = frames(text_chunks(PIECES[:2], finish=None, usage=None)).replace(b"\n\n", b"\r\n\r\n")
    second = frames([*map(chunk, PIECES[2:]), chunk(finish="stop")])
    usage = frames([{"choices": [], "usage": USAGE}])
    beats = b": ping\n\nretry: 100\n\nid: 7\n\n"
    return [
        Pause(0.4),
        Head(),
        Send(beats + first),
        Pause(0.4),
        Send(beats + second + usage + DONE, each=3),
        End(),
    ]


@pytest.mark.parametrize("program", named(TEXT_PROGRAMS))
def test_a_program_lives_through_a_slow_and_odd_upstream(
    eager_gateway: Gateway, upstream: Upstream, capsys: pytest.CaptureFixture[str], program: Program
) -> None:
    upstream.play(slow_and_odd())
    program(target(eager_gateway, "m"))
    assert WHOLE in capsys.readouterr().out


def test_reasoning_disturbs_no_program(
    gateway: Gateway, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [chunk("", role="assistant"), chunk(reasoning="hm"), *map(chunk, PIECES), chunk(finish="stop")]
    upstream.answer = lambda request: stream(parts)
    for program in TEXT_PROGRAMS:
        program(target(gateway, "m"))
        assert WHOLE in capsys.readouterr().out


def test_tools_are_called_with_their_arguments(
    gateway: Gateway, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    pieces = ['{"loc', 'ation": "Pa', 'ris"}']
    opening = tool(0, "", call_id="call_1", name="get_weather")
    calls = [chunk(tool_calls=[opening])] + [chunk(tool_calls=[tool(0, piece)]) for piece in pieces]
    upstream.play(stream([chunk("Let me see. "), *calls, chunk(finish="tool_calls")]))
    programs.megallm_tools(target(gateway, "m"))
    printed = capsys.readouterr().out
    assert printed.startswith("Let me see. ")
    assert 'get_weather({"location": "Paris"})' in printed


def test_a_broken_answer_is_continued_by_the_client(
    gateway: Gateway, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    """The retry loop sends what it has as an assistant message, then `continue`, on the same list."""
    upstream.play(
        broken_off(text_chunks(["One, "], finish=None)),
        broken_off(text_chunks(["two, "], finish=None)),
        text_stream(["three."]),
    )
    programs.megallm_retry(target(gateway, "m"))
    printed = capsys.readouterr().out
    assert "[whole: One, two, three.]" in printed
    assert printed.count("failed") == 2
    assert upstream.request(2).json["messages"] == [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "One, "},
        {"role": "user", "content": "continue"},
        {"role": "assistant", "content": "two, "},
        {"role": "user", "content": "continue"},
    ]


def test_an_empty_partial_answer_is_accepted(
    eager_gateway: Gateway, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loop may have got nothing at all before the break."""
    upstream.play([Pause(0.3), *broken_off([chunk("", role="assistant")])], text_stream(["Now."]))
    programs.megallm_retry(target(eager_gateway, "m"))
    assert "[whole: Now.]" in capsys.readouterr().out
    assert upstream.request(1).json["messages"][1] == {"role": "assistant", "content": ""}


@pytest.mark.parametrize("program", named(programs.LINE_PROGRAMS))
def test_line_readers_live_through_a_failure(
    gateway: Gateway, upstream: Upstream, capsys: pytest.CaptureFixture[str], program: Program
) -> None:
    """What came is printed, and the error chunk crashes nobody."""
    upstream.play(broken_off(text_chunks(PIECES, finish=None)))
    program(target(gateway, "m"))
    assert WHOLE in capsys.readouterr().out


# From the demo.


@pytest.mark.parametrize("program", named(TEXT_PROGRAMS))
def test_the_demo_answers_every_program(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], program: Program
) -> None:
    program(target(gateway, "demo"))
    printed = capsys.readouterr().out
    assert "demo" in printed.lower()
    assert QUESTION in printed


@needs_curl
@pytest.mark.parametrize("program", named(programs.CURL_PROGRAMS[:3]))
def test_the_demo_answers_curl(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], program: Program
) -> None:
    program(target(gateway, "demo"))
    assert QUESTION in parse_printed(capsys.readouterr().out).succeeded().text()


def test_the_demo_calls_the_tool_of_the_example(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    programs.megallm_tools(target(gateway, "demo"))
    assert re.search(r"^get_weather\(\{.*\}\)$", capsys.readouterr().out, re.MULTILINE)


@needs_curl
def test_without_a_file_the_demo_is_the_default(
    start_gateway: StartGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """A body without a model, a server without a configuration: the first model that was found answers."""
    gateway = start_gateway(None)
    programs.open_llm_without_model(target(gateway, ""))
    answer = parse_printed(capsys.readouterr().out).succeeded()
    assert answer.chunks[0]["model"] in {row["id"] for row in gateway.get("/v1/models")["data"]}


def test_a_file_without_a_default_says_so(upstream: Upstream, start_gateway: StartGateway) -> None:
    config = gateway_config(upstream.url)
    del config["default_model"]
    gateway = start_gateway(config)
    body = body_for()
    del body["model"]
    response = post_chat(gateway.address, body)
    assert response.status == 400
    assert "default_model" in response.json["error"]["message"]
    assert response.json["error"]["param"] == "model"


def test_the_demo_is_deterministic(gateway: Gateway) -> None:
    texts = {stream_chat(gateway.address, "Hello there?", model="demo").succeeded().text() for _ in range(3)}
    assert len(texts) == 1
    (text,) = texts
    assert "Hello there?" in text
    whole = post_chat(gateway.address, body_for("Hello there?", model="demo", stream=False)).json
    assert whole["choices"][0]["message"]["content"] == text


FIRST, SECOND = programs.WEATHER, {"type": "function", "function": {"name": "get_time"}}


def test_the_demo_calls_a_tool_only_when_it_should(gateway: Gateway) -> None:
    """One tool offered, or a call required; not with several, with `none`, or after a result."""

    def called(**more: Any) -> list[str]:
        answer = stream_chat(gateway.address, model="demo", **more).succeeded()
        names = [call["function"]["name"] for call in answer.tool_deltas() if call.get("id")]
        assert answer.finishes() == (["tool_calls"] if names else ["stop"])
        return names

    assert called(tools=[FIRST]) == ["get_weather"]
    assert called(tools=[FIRST, SECOND]) == []
    assert called(tools=[FIRST, SECOND], tool_choice="auto") == []
    assert called(tools=[FIRST, SECOND], tool_choice="required") == ["get_weather"]
    named_choice = {"type": "function", "function": {"name": "get_time"}}
    assert called(tools=[FIRST, SECOND], tool_choice=named_choice) == ["get_time"]
    assert called(tools=[FIRST], tool_choice="none") == []
    assert called(tools=[]) == []


def test_the_demo_answers_after_a_tool_result(gateway: Gateway) -> None:
    """Never a second call, or a loop of an agent would never end."""
    call = tool(0, "{}", call_id="call_1", name="get_weather")
    messages = [
        {"role": "user", "content": "What is the weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny, 21 degrees"},
    ]
    for choice in ("auto", "required"):
        body = {
            "model": "demo",
            "messages": messages,
            "tools": [FIRST],
            "tool_choice": choice,
            "stream": True,
        }
        answer = parse(post_chat(gateway.address, body)).succeeded()
        assert answer.tool_deltas() == []
        assert answer.text()


def test_the_demo_counts_its_tokens(gateway: Gateway) -> None:
    answer = stream_chat(gateway.address, model="demo", stream_options={"include_usage": True}).succeeded()
    (usage,) = answer.usages
    assert usage["completion_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_requests_reads_lines_as_they_come(gateway: Gateway, upstream: Upstream) -> None:
    """Chunked framing is what lets requests hand lines out before its block is full."""
    upstream.play(text_stream(PIECES))
    with requests.post(
        f"{gateway.base_url}/chat/completions", json=body_for(), stream=True, timeout=10
    ) as response:
        assert response.raw.chunked
        assert list(response.iter_lines())[-2] == b"data: [DONE]"
