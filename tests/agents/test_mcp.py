"""Tools of MCP servers: real ones, started by the gateway or reached over HTTP."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.agents.asking import send
from tests.agents.test_tools import calling, results
from tests.chat import text_stream
from tests.chat_stream import ChatAnswer, LiveAnswer, body_for, post_chat, stream_chat
from tests.gateway import Config, Gateway, eventually, gateway_config
from tests.script import Script
from tests.upstream import Request, Upstream

pytestmark = pytest.mark.skipif(
    find_spec("mcp") is None, reason="the official SDK is not installed (extra agents)"
)

SERVER = Path(__file__).with_name("mcp_server.py")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def remote() -> Iterator[int]:
    """A server of tools that is there already."""
    port = free_port()
    with subprocess.Popen([sys.executable, str(SERVER), str(port)], stderr=subprocess.DEVNULL) as process:
        eventually(lambda: listens(port), "the MCP server listens", 30)
        yield port
        process.terminate()


def config(upstream: Upstream, port: int) -> Config:
    local = {"command": [sys.executable, str(SERVER)], "env": {"GIVEN": "yes"}}
    servers = {
        "tides": local,
        "other": local,
        "remote": {"url": f"http://127.0.0.1:{port}/mcp"},
        "bounded": local | {"allow": ["tide", "open_gate"], "approve": "none"},
        "missing": {"command": ["there-is-no-such-server"]},
        "silent": {"command": [sys.executable, "-c", "import sys; sys.exit('no licence')"]},
    }
    assistants = {
        f"with-{name}": {"agent": "assistant", "options": {"mcp": [name], "system": "Be brief."}}
        for name in (*servers, "nobody")
    }
    both = {"with-both": {"agent": "assistant", "options": {"mcp": ["tides", "bounded"]}}}
    research = {"researcher": {"agent": "research", "options": {"mcp": ["tides"]}}}
    found = gateway_config(upstream.url, mcp=servers)
    found["models"] |= assistants | both | research
    return found


@pytest.fixture(scope="module")
def _served(
    tmp_path_factory: pytest.TempPathFactory, _shared_upstream: Upstream, remote: int
) -> Iterator[Gateway]:
    secret = {"OPENAI_API_KEY": "sk-secret"}
    folder = tmp_path_factory.mktemp("mcp")
    running = Gateway(folder, config(_shared_upstream, remote), environment=secret)
    yield running
    running.stop()


@pytest.fixture
def served(_served: Gateway) -> Gateway:
    return _served


def ask(gateway: Gateway, model: str, **more: Any) -> ChatAnswer:
    return stream_chat(gateway.address, "When is high water?", model=model, **more).succeeded()


@pytest.mark.parametrize("model", ["with-tides", "with-remote"])
def test_tools_of_a_server_are_called(served: Gateway, upstream: Upstream, model: str) -> None:
    upstream.play(calling(("tide", '{"port": "Brest"}')), text_stream(["In six hours."]))
    assert ask(served, model).text() == "In six hours."
    described = {each["function"]["name"]: each["function"] for each in upstream.requests[0].json["tools"]}
    assert described["tide"]["description"] == "The tide at a port."
    assert described["tide"]["parameters"]["required"] == ["port"]
    assert upstream.requests[0].json["messages"][0] == {"role": "system", "content": "Be brief."}
    assert results(upstream.requests[1]) == {"call_0": "Brest: high water in 6 hours"}


def test_a_server_gets_no_credentials_of_the_gateway(served: Gateway, upstream: Upstream) -> None:
    upstream.play(calling(("environment", "{}")), text_stream(["."]))
    ask(served, "with-tides")
    told = results(upstream.requests[1])["call_0"]
    assert "GIVEN=yes" in told
    assert "sk-secret" not in told


@pytest.mark.parametrize(
    ("model", "tool", "arguments", "told"),
    [
        ("with-tides", "fail", "{}", "Error: "),
        ("with-tides", "tide", "{}", "Error: "),
        ("with-bounded", "open_gate", '{"name": "x"}', "x is open"),
        ("with-bounded", "crash", "{}", "Error: there is no tool 'crash'; there are: tide, open_gate"),
        ("with-both", "bounded-tide", '{"port": "Brest"}', "Brest: high water"),
    ],
)
def test_what_a_tool_may_do_is_what_the_settings_allow(
    served: Gateway, upstream: Upstream, model: str, tool: str, arguments: str, told: str
) -> None:
    upstream.play(calling((tool, arguments)), text_stream(["."]))
    ask(served, model)
    assert results(upstream.requests[1])["call_0"].startswith(told)


def test_a_person_is_asked_before_something_is_changed(served: Gateway, upstream: Upstream) -> None:
    upstream.play(calling(("open_gate", '{"name": "x"}')), text_stream(["."]))
    with LiveAnswer(served.address, body_for("Open it", model="with-tides")) as answer:
        answer.read_past("input_required")
        assert send(served, str(answer.head.get("tidegate-stream")), {"approve": True}).status == 200
        answer.rest().succeeded()
    assert results(upstream.requests[1])["call_0"] == "x is open"


def test_a_server_that_dies_is_started_again(served: Gateway, upstream: Upstream) -> None:
    upstream.play(calling(("crash", "{}")), text_stream(["Oh."]))
    ask(served, "with-other")
    assert results(upstream.requests[1])["call_0"].startswith("Error: ")

    def works() -> bool:
        upstream.reset()
        upstream.play(calling(("tide", '{"port": "Brest"}')), text_stream(["."]))
        response = post_chat(served.address, body_for("x", model="with-other", stream=False))
        return response.status == 200 and "Brest: high" in results(upstream.requests[1])["call_0"]

    eventually(works, "the server is started again", 20)


@pytest.mark.parametrize(
    ("model", "status", "told"),
    [
        ("with-missing", 503, "the MCP server missing"),
        ("with-silent", 503, "the MCP server silent"),
        ("with-nobody", 400, "no MCP server 'nobody'"),
    ],
)
def test_a_server_that_cannot_be_had_is_told(served: Gateway, model: str, status: int, told: str) -> None:
    response = post_chat(served.address, body_for("x", model=model, stream=False))
    assert response.status == status
    assert told in response.json["error"]["message"]


def test_callers_choose_no_tools(served: Gateway, upstream: Upstream) -> None:
    upstream.play(text_stream(["."]))
    ask(served, "with-bounded", mcp=["tides"], system="Obey.")
    request = upstream.requests[0].json
    assert {each["function"]["name"] for each in request["tools"]} == {"tide", "open_gate"}
    assert request["messages"][0]["content"] == "Be brief."


def test_a_request_may_lower_the_steps_and_not_raise_them(served: Gateway, upstream: Upstream) -> None:
    turns = 0

    def answer(request: Request) -> Script:
        nonlocal turns
        turns += 1
        if request.json.get("tool_choice") == "none":
            return text_stream(["Enough."])
        return calling(("tide", '{"port": "Brest"}'))

    upstream.answer = answer
    for asked, made in ((2, 3), (25, 11), (-1, 11)):
        turns = 0
        assert ask(served, "with-bounded", max_steps=asked, max_tokens=5).text() == "Enough."
        assert turns == made


def test_research_searches_for_each_question_and_reports(served: Gateway, upstream: Upstream) -> None:
    upstream.play(
        text_stream([json.dumps({"questions": ["tides of Brest", "locks of Brest"]})]),
        calling(("search", '{"query": "tides of Brest"}')),
        text_stream(["High at six (https://example.com/tides)."]),
        text_stream(["Nothing was found."]),
        text_stream(["# Brest\n\n", "High at six [1]."]),
    )
    answer = ask(served, "researcher")
    assert answer.text() == "# Brest\n\nHigh at six [1]."
    assert results(upstream.requests[2])["call_0"].startswith("https://example.com/tides: all about")
    notes = upstream.requests[4].json["messages"][0]["content"]
    assert "Question: tides of Brest\nHigh at six" in notes
    assert "Question 2 of 2: locks of Brest" in answer.text(name="reasoning_content")


def test_research_without_tools_says_what_to_set(served: Gateway) -> None:
    response = post_chat(served.address, body_for("x", model="research", stream=False))
    assert response.status == 400
    assert "options: {mcp: [SERVER]}" in response.json["error"]["message"]
