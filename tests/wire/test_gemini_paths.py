"""Google's paths over plain sockets: keys, forms of a stream, silence, and errors in Google's envelope."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.chat import broken_off, chunk, error, stream, text_chunks, text_stream
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.raw_http import fetch
from tests.script import Pause
from tests.upstream import Upstream

BODY = {"contents": [{"parts": [{"text": "Hi"}]}]}
PATH = "/v1beta/models/m"


def words(chunks: list[Any]) -> str:
    return "".join(part["text"] for each in chunks for part in each["candidates"][0]["content"]["parts"])


def test_a_stream_without_alt_is_an_array(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(text_stream(["Hello", " world"]))
    answer = fetch(gateway.address, "POST", f"{PATH}:streamGenerateContent", BODY)
    assert answer.head.get("content-type") == "application/json; charset=utf-8"
    assert answer.head.chunked
    assert words(answer.json) == "Hello world"
    assert answer.json[-1]["candidates"][0]["finishReason"] == "STOP"


def test_an_array_lives_through_silence_and_tells_its_failure(
    eager_gateway: Gateway, upstream: Upstream
) -> None:
    steps = stream([chunk("Hel"), chunk("lo"), chunk(finish="stop")])
    upstream.play([Pause(0.4), *steps[:2], Pause(0.4), *steps[2:]])
    answer = fetch(eager_gateway.address, "POST", f"{PATH}:streamGenerateContent", BODY)
    assert words(answer.json) == "Hello"
    assert answer.body.startswith(b"\n")
    upstream.play([Pause(0.3), *broken_off(text_chunks(["Hel"], finish=None))])
    answer = fetch(eager_gateway.address, "POST", f"{PATH}:streamGenerateContent", BODY)
    assert answer.status == 200
    assert answer.json[-1]["error"]["status"] == "UNAVAILABLE"


def test_headers_are_sent_while_an_upstream_is_silent(eager_gateway: Gateway, upstream: Upstream) -> None:
    upstream.play([Pause(0.5), *text_stream(["Hello"])])
    answer = fetch(eager_gateway.address, "POST", f"{PATH}:streamGenerateContent?alt=sse", BODY)
    chunks = [json.loads(each.removeprefix("data: ")) for each in answer.body.decode().split("\n\n")[:-1]]
    assert len(chunks) > 3
    assert words(chunks) == "Hello"
    assert answer.at[1] - answer.at[0] < 0.4


def test_errors_are_in_googles_envelope(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(error(429, "slow down", headers={"Retry-After": "7"}))
    for verb in ("generateContent", "streamGenerateContent", "streamGenerateContent?alt=sse"):
        upstream.play(error(400, "no"))
        answer = fetch(gateway.address, "POST", f"{PATH}:{verb}", {"contents": []})
        assert answer.status == 400
        assert answer.json["error"]["status"] == "INVALID_ARGUMENT"
    answer = fetch(gateway.address, "POST", f"{PATH}:generateContent", BODY)
    assert (answer.status, answer.head.get("retry-after")) == (429, "7")
    assert answer.json["error"]["details"][0]["retryDelay"] == "7s"


@pytest.mark.parametrize("version", ["/v1beta", "/v1alpha", "/v1", ""])
@pytest.mark.parametrize("verb", ["generateContent", "streamGenerateContent"])
def test_a_generation_is_asked_for_with_post(gateway: Gateway, version: str, verb: str) -> None:
    answer = fetch(gateway.address, "GET", f"{version}/models/a/b:{verb}")
    assert (answer.status, answer.head.get("allow")) == (405, "POST, OPTIONS")
    assert answer.json["error"]["status"] == "UNIMPLEMENTED"


@pytest.mark.parametrize("verb", ["generateContent", "streamGenerateContent"])
def test_keys_in_header_and_query(start_gateway: StartGateway, upstream: Upstream, verb: str) -> None:
    gateway = start_gateway(gateway_config(upstream.url, auth={"list": ["sk-right"]}))
    path = f"{PATH}:{verb}"
    assert fetch(gateway.address, "POST", path, BODY).status == 401
    assert fetch(gateway.address, "POST", f"{path}?key=sk-wrong", BODY).status == 401
    assert fetch(gateway.address, "POST", f"{path}?alt=sse&key=sk-right", BODY).status == 200
    assert fetch(gateway.address, "POST", path, BODY, {"x-goog-api-key": "sk-right"}).status == 200
    assert fetch(gateway.address, "GET", "/v1beta/models?key=sk-right").status == 200
    assert fetch(gateway.address, "GET", "/v1beta/models?key=sk-wrong").status == 401
    assert fetch(gateway.address, "GET", "/v1/models?key=sk-right").status == 401
    assert "sk-right" not in gateway.output()
