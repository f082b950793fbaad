"""Claude Code completes its tasks through the gateway, on an upstream that knows nothing but Chat."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.chat import broken_off, error, text_chunks, text_stream
from tests.clients.agents import KEY, NOTE, QUESTION, Desk, Said, claude, desk
from tests.clients.conftest import CLIENTS, HELLO
from tests.clients.scripts import answer_then, calls, needs_engine, one_call, silent
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.upstream import Upstream

pytestmark = [
    pytest.mark.clients,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not CLIENTS.node_is_ready(), reason="Claude Code is not installed: make test-clients"),
]
ANSWER = ["The word ", "is heliotrope."]


@pytest.fixture
def at() -> Iterator[Desk]:
    with desk() as place:
        yield place


def result(said: Said) -> Any:
    """What it says at the end of its turn."""
    assert said.values, said.problems
    assert said.values[-1]["type"] == "result", said.values[-1]
    return said.values[-1]


def tool_results(upstream: Upstream, number: int = 1) -> list[str]:
    messages = upstream.request(number).json["messages"]
    return [str(each["content"]) for each in messages if each["role"] == "tool"]


def test_it_reads_a_file_and_answers(gateway: Gateway, upstream: Upstream, at: Desk) -> None:
    reading = one_call("Read", json.dumps({"file_path": str(at.note)}))
    upstream.answer = answer_then(reading, text_stream(ANSWER))
    said = result(claude(gateway, at, "--allowedTools", "Read"))
    assert (said["result"], said["is_error"], said["num_turns"]) == ("".join(ANSWER), False, 2)
    assert (said["usage"]["input_tokens"], said["usage"]["output_tokens"]) == (22, 14)
    asked = upstream.request().json
    assert {"Read", "Bash", "Edit"} <= {tool["function"]["name"] for tool in asked["tools"]}
    assert asked["messages"][0]["role"] == "system"
    assert QUESTION in json.dumps(asked["messages"])
    (read,) = tool_results(upstream)
    assert NOTE in read


def test_it_runs_several_commands_of_one_turn(gateway: Gateway, upstream: Upstream, at: Desk) -> None:
    first = [("Bash", json.dumps({"command": f"echo {word} > {word}.txt"})) for word in ("one", "two")]
    second = one_call("Bash", json.dumps({"command": "cat one.txt two.txt"}), "call_c")
    upstream.answer = answer_then(calls(*first, text="I write."), second, text_stream(ANSWER))
    said = result(claude(gateway, at, "--allowedTools", "Bash"))
    assert (said["result"], said["is_error"]) == ("".join(ANSWER), False)
    assert sorted(path.name for path in at.work.glob("???.txt")) == ["one.txt", "two.txt"]
    assert tool_results(upstream, 2)[-1].split() == ["one", "two"]


def test_a_tool_that_fails_is_told_to_the_model(gateway: Gateway, upstream: Upstream, at: Desk) -> None:
    reading = one_call("Read", json.dumps({"file_path": str(at.work / "none.txt")}))
    upstream.answer = answer_then(reading, text_stream(ANSWER))
    assert result(claude(gateway, at, "--allowedTools", "Read"))["result"] == "".join(ANSWER)
    assert "does not exist" in tool_results(upstream)[0]


def test_a_model_that_thinks_adaptively(start_gateway: StartGateway, upstream: Upstream, at: Desk) -> None:
    """By its name Claude Code takes it for one that is told how much effort to make."""
    config = gateway_config(upstream.url)
    config["models"]["claude-opus-4-7"] = config["models"]["m"]
    reading = one_call("Read", json.dumps({"file_path": str(at.note)}))
    upstream.answer = answer_then(reading, text_stream(ANSWER))
    said = claude(start_gateway(config), at, "--allowedTools", "Read", model="claude-opus-4-7")
    assert result(said)["result"] == "".join(ANSWER)
    assert upstream.request().json["reasoning_effort"]


def test_it_lives_through_silence(gateway: Gateway, upstream: Upstream, at: Desk) -> None:
    reading = one_call("Read", json.dumps({"file_path": str(at.note)}))
    upstream.answer = answer_then(silent(reading), silent(text_stream(ANSWER)))
    said = result(claude(gateway, at, "--allowedTools", "Read"))
    assert (said["result"], said["is_error"]) == ("".join(ANSWER), False)
    assert len(upstream.requests) == 2, "nothing was asked again"


@pytest.mark.parametrize(
    "key", [{"ANTHROPIC_API_KEY": KEY}, {"ANTHROPIC_AUTH_TOKEN": KEY}], ids=["x-api-key", "bearer"]
)
def test_its_keys_are_accepted(
    start_gateway: StartGateway, upstream: Upstream, at: Desk, key: Mapping[str, str]
) -> None:
    strict = start_gateway(gateway_config(upstream.url, auth={"list": [KEY]}))
    upstream.answer = lambda _: text_stream(ANSWER)
    assert result(claude(strict, at, key=key))["result"] == "".join(ANSWER)


def test_a_wrong_key_is_an_error_that_it_knows(
    start_gateway: StartGateway, upstream: Upstream, at: Desk
) -> None:
    strict = start_gateway(gateway_config(upstream.url, auth={"list": [KEY]}))
    said = claude(strict, at, key={"ANTHROPIC_API_KEY": "sk-of-nobody"})
    assert said.code == 1
    assert result(said)["api_error_status"] == 401


def test_a_refusal_is_told_in_its_words(gateway: Gateway, upstream: Upstream, at: Desk) -> None:
    upstream.answer = lambda _: error(400, "not like this")
    said = claude(gateway, at)
    assert said.code == 1
    assert (result(said)["api_error_status"], result(said)["is_error"]) == (400, True)
    assert "not like this" in result(said)["result"]


def test_a_break_in_mid_answer_is_no_answer(gateway: Gateway, upstream: Upstream, at: Desk) -> None:
    upstream.answer = lambda _: broken_off(text_chunks(["The word is"], finish=None))
    said = claude(gateway, at)
    assert said.code == 1
    assert result(said)["is_error"]
    assert "in mid-answer" in result(said)["result"]


@needs_engine
@pytest.mark.timeout(400)
def test_a_local_engine_answers_its_whole_prompt(agents_engine: Gateway, at: Desk) -> None:
    """76 kB, which are 42,000 tokens of this model: most of the time goes into reading them."""
    said = result(claude(agents_engine, at, model="hello", patience=360))
    assert (said["result"], said["is_error"]) == (HELLO, False)
    assert said["usage"]["input_tokens"] + said["usage"]["cache_read_input_tokens"] > 20_000
