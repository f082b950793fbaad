"""What errors tell callers: which request it was, and which provider failed, but not where that is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chat import error
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.raw_http import fetch
from tests.script import Close, Head, Script, Send
from tests.upstream import Upstream

MESSAGES: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "x"}],
}


@pytest.mark.parametrize("asked", [{}, {"X-Request-Id": "mine-7"}])
@pytest.mark.parametrize("streamed", [True, False])
def test_messages_errors_name_the_request(
    gateway: Gateway, upstream: Upstream, asked: dict[str, str], streamed: bool
) -> None:
    upstream.answer = lambda request: error(429, "slow down")
    for body in ({**MESSAGES, "stream": streamed}, {"model": "m"}):
        response = fetch(gateway.address, "POST", "/v1/messages", body, headers=asked)
        assert response.status in (400, 429)
        assert response.json["request_id"] == response.head.get("x-request-id")
        assert response.json["request_id"] == asked.get("X-Request-Id", response.json["request_id"])


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/v1/messages/nothing"])
def test_errors_beside_messages_name_the_request(gateway: Gateway, path: str) -> None:
    response = fetch(gateway.address, "POST", path, {"model": "m"})
    assert response.status in (400, 404)
    assert response.json["request_id"] == response.head.get("x-request-id")


BROKEN: dict[str, Script] = {
    "no answer": [Close()],
    "half an answer": [Head(), Send(b"data: {"), Close()],
    "no HTTP": [Send(b"x"), Close()],
}


@pytest.mark.parametrize("what", BROKEN)
def test_errors_name_the_provider_and_not_its_address(
    start_gateway: StartGateway, upstream: Upstream, what: str
) -> None:
    gateway = start_gateway(gateway_config(upstream.url))
    upstream.answer = lambda request: BROKEN[what]
    response = fetch(gateway.address, "POST", "/v1/messages", MESSAGES)
    assert response.status == 502
    assert "127.0.0.1" not in response.body.decode()
    if what != "half an answer":
        assert response.json["error"]["message"].startswith("up ")
        assert f"up: {upstream.url}" in gateway.output()


def test_errors_of_connecting_name_the_provider(start_gateway: StartGateway, upstream: Upstream) -> None:
    nowhere = {"up": {"base_url": "http://127.0.0.1:9/v1", "api_key": "none"}}
    gateway = start_gateway(gateway_config(upstream.url, providers=nowhere))
    body = {"model": "m", "input": "x"}
    for path, sent in (("/v1/messages", MESSAGES), ("/v1/embeddings", body)):
        response = fetch(gateway.address, "POST", path, sent)
        assert response.status == 502
        assert response.json["error"]["message"].startswith("cannot connect to up: ")
    assert "up: cannot connect to http://127.0.0.1:9" in gateway.output()
