"""Codex completes its tasks through the gateway, on an upstream that knows nothing but Chat."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chat import broken_off, error, text_chunks, text_stream
from tests.clients.agents import KEY, NOTE, QUESTION, Desk, Said, codex, desk
from tests.clients.conftest import CLIENTS, HELLO
from tests.clients.scripts import answer_then, calls, needs_engine, one_call, silent
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.upstream import Upstream

pytestmark = [
    pytest.mark.clients,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not CLIENTS.node_is_ready(), reason="Codex is not installed: make test-clients"),
]
ANSWER = ["The word ", "is heliotrope."]
READING = one_call("exec_command", json.dumps({"cmd": "cat note.txt"}))
PATCH = "*** Begin Patch\n*** Add File: made.txt\n+Grüße\n*** End Patch\n"


@pytest.fixture
def at() -> Iterator[Desk]:
    with desk() as place:
        yield place


def messages(said: Said) -> list[str]:
    """What it tells the user, in order."""
    items = [each["item"] for each in said.values if each["type"] == "item.completed"]
    return [item["text"] for item in items if item["type"] == "agent_message"]


def last(said: Said) -> Any:
    assert said.values, said.problems
    return said.values[-1]


def tool_results(upstream: Upstream, number: int = 1) -> list[str]:
    turns = upstream.request(number).json["messages"]
    return [str(each["content"]) for each in turns if each["role"] == "tool"]


def test_it_runs_a_command_and_answers(gateway: Gateway, upstream: Upstream, at: Desk) -> None:
    upstream.answer = answer_then(READING, text_stream(ANSWER))
    said = codex(gateway, at)
    assert (said.code, messages(said)) == (0, ["".join(ANSWER)])
    assert last(said)["type"] == "turn.completed"
    assert (last(said)["usage"]["input_tokens"], last(said)["usage"]["output_tokens"]) == (22, 14)
    asked = upstream.request().json
    assert "exec_command" in {tool["function"]["name"] for tool in asked["tools"]}
    assert QUESTION in json.dumps(asked["messages"])
    (read,) = tool_results(upstream)
    assert NOTE in read


def test_its_own_provider_leaves_the_websocket_at_once(
    gateway: Gateway, upstream: Upstream, at: Desk
) -> None:
    """At anything but 426 it tries the WebSocket six more times, which takes seven seconds."""
    upstream.answer = answer_then(READING, text_stream(ANSWER))
    said = codex(gateway, at, provider=False)
    assert (said.code, messages(said)) == (0, ["".join(ANSWER)])
    assert not [each for each in said.values if "Reconnecting" in json.dumps(each)]
    assert NOTE in tool_results(upstream)[0]


def test_it_runs_several_commands_of_one_turn(gateway: Gateway, upstream: Upstream, at: Desk) -> None:
    first = [("exec_command", json.dumps({"cmd": f"echo {word} > {word}.txt"})) for word in ("one", "two")]
    second = one_call("exec_command", json.dumps({"cmd": "cat one.txt two.txt"}), "call_c")
    upstream.answer = answer_then(calls(*first, text="I write."), second, text_stream(ANSWER))
    said = codex(gateway, at)
    assert messages(said) == ["I write.", "".join(ANSWER)]
    assert "one\ntwo\n" in tool_results(upstream, 2)[-1]


def test_a_tool_of_free_text_is_called(start_gateway: StartGateway, upstream: Upstream, at: Desk) -> None:
    """For a model that it knows, patches are no JSON; Chat has functions only, so one stands for it."""
    config = gateway_config(upstream.url)
    config["models"]["gpt-5.5"] = config["models"]["m"]
    patching = one_call("apply_patch", json.dumps({"input": PATCH}))
    upstream.answer = answer_then(patching, text_stream(ANSWER))
    said = codex(start_gateway(config), at, model="gpt-5.5")
    assert messages(said) == ["".join(ANSWER)]
    assert (at.work / "made.txt").read_text(encoding="utf-8") == "Grüße\n"
    assert "Success" in tool_results(upstream)[0]


def test_a_tool_of_a_namespace_is_called(gateway: Gateway, upstream: Upstream, at: Desk) -> None:
    """Its reply shows that it knew which tool was meant; there is no such agent."""
    closing = one_call("multi_agent_v1__close_agent", json.dumps({"target": "nobody"}))
    upstream.answer = answer_then(closing, text_stream(ANSWER))
    said = codex(gateway, at)
    assert messages(said) == ["".join(ANSWER)]
    assert "invalid agent id nobody" in tool_results(upstream)[0]


def test_it_lives_through_silence(gateway: Gateway, upstream: Upstream, at: Desk) -> None:
    upstream.answer = answer_then(silent(READING), silent(text_stream(ANSWER)))
    said = codex(gateway, at)
    assert (said.code, messages(said)) == (0, ["".join(ANSWER)])
    assert len(upstream.requests) == 2, "nothing was asked again"


def test_keep_alives_reset_its_patience(gateway: Gateway, upstream: Upstream, at: Desk) -> None:
    """It gives a stream up when no event came for so long: a comment would not count."""
    upstream.answer = lambda _: silent(text_stream(ANSWER), 2.0)
    said = codex(gateway, at, "-c", "model_providers.tidegate.stream_idle_timeout_ms=1000")
    assert (said.code, messages(said)) == (0, ["".join(ANSWER)])


def test_its_key_is_accepted(start_gateway: StartGateway, upstream: Upstream, at: Desk) -> None:
    strict = start_gateway(gateway_config(upstream.url, auth={"list": [KEY]}))
    upstream.answer = lambda _: text_stream(ANSWER)
    assert messages(codex(strict, at)) == ["".join(ANSWER)]


def test_a_refusal_is_told(gateway: Gateway, upstream: Upstream, at: Desk) -> None:
    upstream.answer = lambda _: error(400, "not like this")
    said = codex(gateway, at)
    assert (said.code, last(said)["type"]) == (1, "turn.failed")
    assert "not like this" in last(said)["error"]["message"]


def test_a_break_in_mid_answer_is_no_answer(gateway: Gateway, upstream: Upstream, at: Desk) -> None:
    upstream.answer = lambda _: broken_off(text_chunks(["The word is"], finish=None))
    said = codex(gateway, at)
    assert (said.code, last(said)["type"]) == (1, "turn.failed")
    assert "in mid-answer" in last(said)["error"]["message"]


@needs_engine
@pytest.mark.timeout(400)
def test_a_local_engine_answers_its_whole_prompt(agents_engine: Gateway, at: Desk) -> None:
    """38 kB, which are 20,000 tokens of this model."""
    said = codex(agents_engine, at, model="hello", patience=360)
    assert messages(said) == [HELLO]
    assert last(said)["usage"]["input_tokens"] > 10_000
