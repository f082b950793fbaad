"""The gateway's own fields in a body, and how much to think in a name, for callers of every dialect."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chat import chunk, error, stream, text_stream
from tests.gateway import Gateway
from tests.raw_http import Response, fetch
from tests.upstream import Upstream

ASKED: Any = [{"role": "user", "content": "Hi"}]
PATHS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-chat": ("/v1/chat/completions", {"messages": ASKED}),
    "openai-completions": ("/v1/completions", {"prompt": "Hi"}),
    "openai-responses": ("/v1/responses", {"input": "Hi"}),
    "anthropic-messages": ("/v1/messages", {"messages": ASKED, "max_tokens": 5000}),
    "gemini": ("/v1beta/models/{model}:generateContent", {"contents": [{"parts": [{"text": "Hi"}]}]}),
}
THINKS = stream([chunk(reasoning="hm"), chunk("So"), chunk(finish="stop")])


def ask(gateway: Gateway, dialect: str, model: str = "m", **more: Any) -> Response:
    path, body = PATHS[dialect]
    named = {} if dialect == "gemini" else {"model": model}
    return fetch(gateway.address, "POST", path.replace("{model}", model), {**body, **named, **more})


@pytest.mark.parametrize("dialect", PATHS)
def test_fallback_models_answer_callers_of_every_dialect(
    gateway: Gateway, upstream: Upstream, dialect: str
) -> None:
    down = error(503, "no capacity")
    upstream.answer = lambda request: down if request.json["model"] == "mock" else text_stream(["from b"])
    response = ask(gateway, dialect, fallback_models=["pair"])
    assert response.status == 200
    assert b"from b" in response.body
    assert not [each for each in upstream.requests if "fallback_models" in each.json]


@pytest.mark.parametrize("dialect", PATHS)
def test_unknown_fallback_models_are_told_in_every_dialect(gateway: Gateway, dialect: str) -> None:
    response = ask(gateway, dialect, fallback_models=["demmo"])
    assert response.status == 400
    assert b"did you mean 'demo'?" in response.body


@pytest.mark.parametrize("dialect", PATHS)
def test_thinking_is_text_in_every_dialect(gateway: Gateway, upstream: Upstream, dialect: str) -> None:
    upstream.answer = lambda request: error(404) if request.path == "/v1/completions" else THINKS
    response = ask(gateway, dialect, thinking_to_content=True)
    assert rb"<think>\nhm\n</think>\nSo" in response.body
    assert not [each for each in upstream.requests if "thinking_to_content" in each.json]


@pytest.mark.parametrize("dialect", [name for name in PATHS if name != "openai-completions"])
def test_a_suffix_asks_for_thinking_in_every_dialect(
    gateway: Gateway, upstream: Upstream, dialect: str
) -> None:
    assert ask(gateway, dialect, "m-high").status == 200
    assert upstream.request().json["reasoning_effort"] == "high"
