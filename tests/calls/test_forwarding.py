"""Images, audio and moderations go to an upstream as they are, and its answer comes back as it comes."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from openai import APIStatusError, NotFoundError, OpenAI

from tests.chat import error, plain
from tests.fixtures import OpenClient, StartGateway
from tests.gateway import Gateway, eventually, gateway_config
from tests.raw_http import RawConnection, fetch, request_bytes
from tests.script import CutChunk, End, Flood, Gate, Head, Reset, Script, Send, Stall, WaitFor
from tests.upstream import Upstream
from tidegate.config import Provider
from tidegate.core.call import Call
from tidegate.core.clock import Clock
from tidegate.dialects import Dialect
from tidegate.errors import Unsupported
from tidegate.net import Pool
from tidegate.server.urls import CALLS
from tidegate.sources.server import upstream as upstream_of
from tidegate.sources.upstream import UpstreamSource

AUDIO = os.urandom(300_000)
BODY = {"model": "m", "input": "hi", "query": "q", "documents": ["d"], "prompt": "p"}
SPEECH = {"model": "m", "input": "hi", "voice": "alloy"}
OURS = ("/embeddings", "/rerank")


@pytest.mark.parametrize("path", [path for path in CALLS if CALLS[path] not in OURS])
def test_body_and_answer_are_passed_on(gateway: Gateway, upstream: Upstream, path: str) -> None:
    upstream.play(plain(b'{"any": [1.50, "\xe4\xb8\x96"]}', headers={"Content-Type": "application/x-mine"}))
    body = {**BODY, "unknown": {"kept": True}}
    response = fetch(gateway.address, "POST", "/v1" + path, body, {"X-Request-Id": "mine"})
    assert response.status == 200
    assert response.head.get("x-request-id") == "mine"
    assert response.body == b'{"any": [1.50, "\xe4\xb8\x96"]}'
    assert response.head.get("content-type") == "application/x-mine"
    asked = upstream.request()
    assert asked.path == "/v1" + path
    assert asked.json == {**BODY, "model": "mock", "unknown": {"kept": True}}
    assert asked.headers["authorization"] == "Bearer sk-up"


def test_speech_streams_as_it_comes(client: OpenAI, upstream: Upstream) -> None:
    gate = Gate()
    head = Head(headers={"Content-Type": "audio/mpeg"})
    upstream.play([head, Send(AUDIO[:1000]), WaitFor(gate), Send(AUDIO[1000:], each=7777), End()])
    with client.audio.speech.with_streaming_response.create(model="m", input="hi", voice="alloy") as answer:
        assert answer.headers["content-type"] == "audio/mpeg"
        pieces = answer.iter_bytes(1000)
        first = next(pieces)
        gate.open()
        assert first + b"".join(pieces) == AUDIO


def test_transcription_form_names_the_upstream_model(client: OpenAI, upstream: Upstream) -> None:
    upstream.play(plain({"text": "hello"}))
    heard = client.audio.transcriptions.create(
        model="m", file=("model.wav", AUDIO), prompt='name="model"', language="en"
    )
    assert heard.text == "hello"
    asked = upstream.request()
    assert asked.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert AUDIO in asked.body
    assert b'name="model"\r\n\r\nmock\r\n' in asked.body
    assert b'\r\n\r\nname="model"\r\n' in asked.body


def test_image_edit_form_is_passed_on(client: OpenAI, upstream: Upstream) -> None:
    upstream.play(plain({"created": 1, "data": [{"b64_json": "AA=="}]}))
    made = client.images.edit(model="m", image=("a.png", AUDIO, "image/png"), prompt="p")
    assert made.data
    assert made.data[0].b64_json == "AA=="
    assert upstream.request().path == "/v1/images/edits"


def test_moderation_without_a_model_names_none(client: OpenAI, upstream: Upstream) -> None:
    """The default model's upstream then takes its own."""
    upstream.play(plain({"id": "modr", "model": "omni", "results": []}))
    assert client.moderations.create(input="hi").model == "omni"
    assert "model" not in upstream.request().json


@pytest.mark.parametrize("body", [b"--x\r\n", b"--y\r\n\r\n", b""])
def test_broken_form_is_refused(gateway: Gateway, upstream: Upstream, body: bytes) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    response = fetch(gateway.address, "POST", "/v1/audio/transcriptions", body, headers=kind)
    assert (response.status, response.json["error"]["type"]) == (400, "invalid_request_error")
    assert not upstream.requests


# Failures.


def test_errors_are_those_of_the_sdk(client: OpenAI, upstream: Upstream) -> None:
    upstream.play(error(429, "slow down", headers={"Retry-After": "7"}))
    with pytest.raises(APIStatusError) as raised:
        client.moderations.create(model="m", input="hi")
    assert raised.value.status_code == 429
    assert "slow down" in raised.value.message
    assert raised.value.response.headers["retry-after"] == "7"
    with pytest.raises(NotFoundError, match="no model"):
        client.moderations.create(model="nothing-like-it", input="hi")


def test_credential_of_ours_is_never_blamed_on_the_caller(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(error(401, "bad key"))
    response = fetch(gateway.address, "POST", "/v1/moderations", BODY)
    assert (response.status, response.json["error"]["code"]) == (502, "upstream_authentication")


def test_failure_is_retried_before_anything_was_sent(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(error(500, "no"), [Reset()], plain({"ok": True}))
    assert fetch(gateway.address, "POST", "/v1/moderations", {**BODY, "model": "again"}).json == {"ok": True}
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("status", [404, 405, 501])
def test_deployment_that_lacks_the_endpoint_is_passed_over(
    gateway: Gateway, upstream: Upstream, status: int
) -> None:
    upstream.play(error(status, "no such thing"), plain({"ok": True}))
    assert fetch(gateway.address, "POST", "/v1/rerank", {**BODY, "model": "pair"}).status == 502
    assert [each.json["model"] for each in upstream.requests] == ["mock-a", "mock-b"]


def test_blamed_request_is_not_repeated(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(error(400, "no such voice"))
    response = fetch(gateway.address, "POST", "/v1/audio/speech", {**SPEECH, "model": "again"})
    assert (response.status, response.json["error"]["message"]) == (400, "no such voice")
    assert len(upstream.requests) == 1


def test_answer_that_breaks_off_has_no_end(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play([Head(), Send(b"x" * 100), CutChunk(b"y" * 10)])
    with RawConnection(gateway.address) as connection:
        connection.send(request_bytes("POST", "/v1/audio/speech", json.dumps(SPEECH).encode()))
        seen = b""
        while data := connection.socket.recv(65536):
            seen += data
    assert b" 200 " in seen
    assert b"x" * 100 in seen
    assert not seen.endswith(b"0\r\n\r\n")


def test_silent_upstream_times_out(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play([Stall()])
    response = fetch(gateway.address, "POST", "/v1/moderations", {**BODY, "model": "hasty"})
    assert (response.status, response.json["error"]["code"]) == (504, "first_token")


def test_demo_has_no_images(gateway: Gateway) -> None:
    response = fetch(gateway.address, "POST", "/v1/images/generations", {**BODY, "model": "demo"})
    assert (response.status, response.json["error"]["param"]) == (400, "model")


def test_upstream_of_another_dialect_has_none() -> None:
    """It has no such endpoint at all, so it is not even asked."""
    pool, clock = Pool(lambda: 0.0), cast(Clock, None)
    server = upstream_of(Provider(name="up", base_url="http://localhost"), 1, pool, clock)
    dialect = cast(Dialect, SimpleNamespace(name="other", target=lambda _: "/"))
    source = UpstreamSource(replace(server, dialect=dialect), "m", 1.0)
    with pytest.raises(Unsupported, match="speaks other, which has no images/edits"):
        asyncio.run(source.call(Call("/images/edits", "application/json", str.encode)))


# Leaving.


@pytest.mark.parametrize("script", [[Stall()], [Head(), Send(b"x"), Stall()]], ids=["before", "within"])
def test_hang_up_closes_the_upstream(gateway: Gateway, upstream: Upstream, script: Script) -> None:
    upstream.play(script)
    with RawConnection(gateway.address) as connection:
        connection.send(request_bytes("POST", "/v1/audio/speech", json.dumps(SPEECH).encode()))
        asked = upstream.request()
        if len(script) > 1:
            connection.read_head()
    asked.connection.wait_closed(2)


def settled(sent: list[int]) -> int:
    """How many writes there were when nothing had been written for a while."""
    before = -1
    while before != len(sent):
        before = len(sent)
        threading.Event().wait(0.2)
    return before


def test_slow_reader_holds_the_upstream_back(gateway: Gateway, upstream: Upstream) -> None:
    sent: list[int] = []
    upstream.play([Head(), Flood(b"z" * 65536, 2000, sent), End()])
    with RawConnection(gateway.address, receive_buffer=4096) as connection:
        connection.send(request_bytes("POST", "/v1/audio/speech", json.dumps(SPEECH).encode()))
        upstream.request()
        eventually(lambda: len(sent) > 3, "the upstream has begun")
        assert settled(sent) < 500


def test_connection_is_used_again(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(plain({"ok": 1}), plain({"ok": 2}))
    for _ in range(2):
        assert fetch(gateway.address, "POST", "/v1/moderations", BODY).status == 200
    assert upstream.requests[0].connection is upstream.requests[1].connection


# Limits.


def test_large_body_is_refused(
    start_gateway: StartGateway, upstream: Upstream, open_client: OpenClient
) -> None:
    small = start_gateway(gateway_config(upstream.url, server={"max_body": "10KiB"}))
    with pytest.raises(APIStatusError) as raised:
        open_client(small).audio.transcriptions.create(model="m", file=("a.wav", AUDIO))
    assert raised.value.status_code == 413
    with RawConnection(small.address) as connection:
        head = request_bytes("POST", "/v1/moderations", b"", {"Transfer-Encoding": "chunked"})
        chunk = b"2801\r\n" + b" " * 0x2801 + b"\r\n0\r\n\r\n"
        connection.send(head.replace(b"Content-Length: 0\r\n", b"") + chunk)
        assert connection.read_response().status == 413
    assert not upstream.requests
