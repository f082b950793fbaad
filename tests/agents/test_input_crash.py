"""Questions to a person outlive the process that asked them, and answers the one that took them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.agents.asking import asking_home, question_of, reading, send, with_agents
from tests.chat_stream import ChatAnswer, parse
from tests.crash.killing import crash_config, frames_of
from tests.gateway import Gateway
from tests.hazards.test_buffering import free_port
from tests.raw_http import fetch
from tests.upstream import Upstream
from tidegate.client import Patience, resilient

pytestmark = pytest.mark.timeout(120)


def items(answer: ChatAnswer) -> list[str]:
    """The kinds of items, in their order."""
    deltas = [choice["delta"] for choice in answer.choices()]
    return [delta["tidegate"]["kind"] for delta in deltas if "tidegate" in delta]


def test_an_open_question_is_open_after_a_kill(upstream: Upstream, tmp_path: Path) -> None:
    with asking_home(tmp_path / "home", crash_config(upstream)) as home:
        begun = reading(home, "asks-name", "What is your name?")
        before = question_of(home.gateway, begun.stream, "What is your name?")
        home.kill()
        shown = frames_of(begun.ended())
        home.start()
        assert question_of(home.gateway, begun.stream, "What is your name?") == before
        assert send(home.gateway, begun.stream, {"id": before["id"], "text": "Ada"}).status == 200
        rest = fetch(home.gateway.address, "GET", f"/v1/streams/{begun.stream}")
        answer = parse(rest).succeeded()
        assert answer.text() == "Welcome. Hello Ada."
        assert items(answer) == ["input_required", "input_received"]
        assert frames_of(rest.body)[: len(shown)] == shown


def test_a_stop_does_not_wait_for_a_person_who_can_answer_later(upstream: Upstream, tmp_path: Path) -> None:
    config = crash_config(upstream)
    config["server"] = {**config.get("server", {}), "shutdown": "10m"}
    with asking_home(tmp_path / "home", config) as home:
        begun = reading(home, "asks-name", "What is your name?")
        home.gateway.stop()
        begun.ended()
        home.start()
        question_of(home.gateway, begun.stream, "What is your name?")
        assert send(home.gateway, begun.stream, {"text": "Ada"}).status == 200
        answer = parse(fetch(home.gateway.address, "GET", f"/v1/streams/{begun.stream}")).succeeded()
        assert answer.text() == "Welcome. Hello Ada."


def test_what_was_answered_is_not_asked_again(upstream: Upstream, tmp_path: Path) -> None:
    with asking_home(tmp_path / "home", crash_config(upstream)) as home:
        begun = reading(home, "asks-twice", "First?")
        assert send(home.gateway, begun.stream, {"text": "one"}).status == 200
        begun.has("Second?")
        home.kill()
        begun.ended()
        home.start()
        question_of(home.gateway, begun.stream, "Second?")
        assert send(home.gateway, begun.stream, {"text": "two"}).status == 200
        answer = parse(fetch(home.gateway.address, "GET", f"/v1/streams/{begun.stream}")).succeeded()
        assert answer.text() == "one and two."
        assert items(answer) == ["input_required", "input_received"] * 2


def test_an_answer_that_was_taken_when_the_process_died_is_kept(upstream: Upstream, tmp_path: Path) -> None:
    """200 means that it is kept: the kill may come at once."""
    with asking_home(tmp_path / "home", crash_config(upstream)) as home:
        begun = reading(home, "asks-twice", "First?")
        assert send(home.gateway, begun.stream, {"text": "one"}).status == 200
        home.kill()
        begun.ended()
        home.start()
        question_of(home.gateway, begun.stream, "Second?")
        send(home.gateway, begun.stream, {"text": "two"})
        answer = parse(fetch(home.gateway.address, "GET", f"/v1/streams/{begun.stream}")).succeeded()
        assert answer.text() == "one and two."


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_an_sdk_that_waits_for_an_answer_reads_on_after_a_kill(
    upstream: Upstream, tmp_path: Path, sdk: str
) -> None:
    arguments = ("--port", str(free_port()))
    folder, config = with_agents(tmp_path / "home"), crash_config(upstream)
    gateway = Gateway(folder, config, arguments)
    try:
        reading_on = sdk_of_openai if sdk == "openai" else sdk_of_anthropic
        with reading_on(gateway) as (stream, texts):
            question_of(gateway, stream, "What is your name?")
            gateway.kill()
            gateway = Gateway(folder, config, arguments)
            question_of(gateway, stream, "What is your name?")
            assert send(gateway, stream, {"text": "Ada"}).status == 200
            assert "".join(texts) == "Welcome. Hello Ada."
    finally:
        gateway.kill()


PATIENT = Patience(20.0, 0.02, 0.3, silence=5.0)


@contextmanager
def sdk_of_openai(gateway: Gateway) -> Iterator[tuple[str, Iterator[str]]]:
    """A stream that the SDK reads, and its texts."""
    http = resilient(patience=PATIENT)
    with (
        OpenAI(base_url=gateway.base_url, api_key="k", max_retries=0, http_client=http) as client,
        client.chat.completions.with_streaming_response.create(
            model="asks-name", stream=True, messages=[{"role": "user", "content": "go"}]
        ) as response,
    ):
        chunks = response.parse()
        yield (
            response.headers["tidegate-stream"],
            (chunk.choices[0].delta.content or "" for chunk in chunks),
        )


@contextmanager
def sdk_of_anthropic(gateway: Gateway) -> Iterator[tuple[str, Iterator[str]]]:
    http = resilient(patience=PATIENT)
    with (
        Anthropic(base_url=gateway.url, api_key="k", max_retries=0, http_client=http) as client,
        client.messages.stream(
            model="asks-name", max_tokens=99, messages=[{"role": "user", "content": "go"}]
        ) as stream,
    ):
        yield stream.response.headers["tidegate-stream"], iter(stream.text_stream)
