"""The very shape of AnythingLLM, for clients that depend on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chat import broken_off, text_chunks, text_stream
from tests.gateway import Gateway, gateway_config
from tests.raw_http import fetch
from tests.upstream import Upstream
from tests.workspaces.test_answers import Desk


@pytest.fixture(scope="module")
def _gateway(tmp_path_factory: pytest.TempPathFactory, _shared_upstream: Upstream) -> Iterator[Gateway]:
    config = gateway_config(_shared_upstream.url, strict="anythingllm")
    running = Gateway(tmp_path_factory.mktemp("strict"), config)
    yield running
    running.stop()


@pytest.fixture
def desk(_gateway: Gateway, request: pytest.FixtureRequest) -> Desk:
    return Desk(_gateway, request.node.name[:60])


def ask(desk: Desk, *, stream: bool) -> Any:
    body = {"model": desk.slug, "stream": stream, "messages": [{"role": "user", "content": "Open?"}]}
    response = fetch(desk.gateway.address, "POST", "/api/v1/openai/chat/completions", body)
    assert response.status == 200, response
    return response


def test_chunks_are_called_completions_and_nothing_follows_the_last(desk: Desk, upstream: Upstream) -> None:
    upstream.answer = lambda _: text_stream(["At ", "six."])
    lines = [line for line in ask(desk, stream=True).body.split(b"\n") if line]
    chunks = [json.loads(line.removeprefix(b"data: ")) for line in lines]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion"}
    assert {chunk["model"] for chunk in chunks} == {desk.slug}
    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks] == ["At ", "six.", ""]
    assert [chunk["choices"][0]["delta"]["role"] for chunk in chunks] == ["assistant"] * 3
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, "stop"]
    assert [bool(chunk["usage"]) for chunk in chunks] == [False, False, True]


def test_a_whole_answer_has_metrics_for_its_usage(desk: Desk, upstream: Upstream) -> None:
    upstream.answer = lambda _: text_stream(["At six."])
    told = ask(desk, stream=False).json
    assert list(told) == ["id", "object", "created", "model", "choices", "usage"]
    assert told["choices"][0]["message"] == {"role": "assistant", "content": "At six."}
    assert told["usage"]["model"] == "m"


def test_an_abort_is_followed_by_an_end(desk: Desk, upstream: Upstream) -> None:
    upstream.answer = lambda _: broken_off(text_chunks(["At "]))
    types = [frame["type"] for frame in desk.ask("Open?", mode="chat")]
    assert types[-2:] == ["abort", "finalizeResponseStream"]
