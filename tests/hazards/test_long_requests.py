"""What is too long for one model leads on to one that may have a longer context."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chat import error, text_stream
from tests.chat_stream import body_for, post_chat, stream_chat
from tests.gateway import Gateway
from tests.raw_http import fetch
from tests.script import Script
from tests.upstream import Upstream
from tidegate.dialects import load_dialect
from tidegate.errors import TooLong

VLLM = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."
CHAT = {
    "OpenAI": error(400, "too long", code="context_length_exceeded"),
    "vLLM": error(400, VLLM, kind="BadRequestError", code=400),
    "llama.cpp": error(400, "the request exceeds it", kind="exceed_context_size_error", code=400),
}


@pytest.mark.parametrize("vendor", CHAT)
@pytest.mark.parametrize("streamed", [True, False])
def test_another_deployment_is_asked(
    gateway: Gateway, upstream: Upstream, vendor: str, streamed: bool
) -> None:
    scripts: dict[str, Script] = {"mock-a": CHAT[vendor], "mock-b": text_stream(["from ", "b"])}
    upstream.answer = lambda request: scripts[request.json["model"]]
    response = post_chat(gateway.address, body_for(model="pair", stream=streamed))
    assert response.status == 200
    assert "from " in response.body.decode()
    assert [request.json["model"] for request in upstream.requests] == ["mock-a", "mock-b"]


def test_a_fallback_model_is_asked(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(CHAT["vLLM"], text_stream(["longer"]))
    answer = stream_chat(gateway.address, model="again", fallback_models=["m"])
    assert answer.succeeded().text() == "longer"
    assert len(upstream.requests) == 2  # what is too long is not tried again


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_where_nobody_has_room_the_code_says_so(gateway: Gateway, upstream: Upstream, path: str) -> None:
    upstream.answer = lambda request: CHAT["vLLM"]
    asked: dict[str, Any] = {"model": "pair", "input": "x", "messages": [{"role": "user", "content": "x"}]}
    response = fetch(gateway.address, "POST", path, asked)
    assert response.status == 400
    assert response.json["error"]["message"] == VLLM
    assert response.json["error"]["code"] == "context_length_exceeded"


def test_what_is_too_long_is_no_failure_of_the_deployment(gateway: Gateway, upstream: Upstream) -> None:
    scripts: dict[str, Script] = {"mock-a": CHAT["OpenAI"], "mock-b": text_stream()}
    upstream.answer = lambda request: scripts[request.json["model"]]
    for _ in range(4):
        stream_chat(gateway.address, model="pair").succeeded()
    assert [request.json["model"] for request in upstream.requests] == ["mock-a", "mock-b"] * 4


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (
            "anthropic-messages",
            b'{"type":"error","error":{"type":"invalid_request_error",'
            b'"message":"prompt is too long: 210000 tokens > 200000 maximum"}}',
        ),
        (
            "gemini",
            b'{"error":{"code":400,"status":"INVALID_ARGUMENT","message":'
            b'"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}}',
        ),
        ("openai-responses", b'{"error":{"message":"x","code":"context_length_exceeded"}}'),
        ("openai-completions", b'{"object":"error","message":"maximum context length is 4096 tokens"}'),
    ],
)
def test_every_dialect_knows_what_is_too_long(dialect: str, body: bytes) -> None:
    error = load_dialect(dialect).read_error(400, body, None)
    assert isinstance(error, TooLong)
    assert (error.code, error.retryable) == ("context_length_exceeded", False)


def test_other_mistakes_are_not_taken_for_it() -> None:
    body = b'{"error":{"message":"max_tokens must be a number","type":"invalid_request_error"}}'
    assert not isinstance(load_dialect("openai-chat").read_error(400, body, None), TooLong)
    assert not isinstance(load_dialect("openai-chat").read_error(500, CHAT_500, None), TooLong)


CHAT_500 = b'{"error":{"message":"failed to allocate for this context length"}}'
