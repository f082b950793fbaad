"""Upstreams whose HTTP or whose chunks are odd yet readable: the client gets a clean answer all the same."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.chat import DONE, Json, chunk, completion, envelope, frame, frames, stream, text_chunks
from tests.chat_stream import body_for, post_chat, stream_chat
from tests.gateway import Gateway
from tests.script import Close, End, Head, Raw, Script, Send, as_chunk
from tests.upstream import Upstream

BODY = frames(text_chunks(["Hello", " world"])) + DONE
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

ODD_HTTP: dict[str, Script] = {
    "an interim answer first": [
        Raw(b"HTTP/1.1 103 Early Hints\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\n"),
        *stream(text_chunks(["Hello", " world"])),
    ],
    "extensions on chunks": [
        Raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x;q=1\r\n%b\r\n0;last\r\n\r\n" % (len(BODY), BODY)),
        Close(),
    ],
    "trailers": [
        Raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + as_chunk(BODY) + b"0\r\nX-Cost: 1\r\n\r\n"),
        Close(),
    ],
    "no reason phrase": [Raw(b"HTTP/1.1 200\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY), Close()],
    "HTTP/1.0": [Raw(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + BODY), Close()],
    "no content type": [
        Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + as_chunk(BODY)),
        Close(),
    ],
    "plain text as its type": [Head(headers={"Content-Type": "text/plain"}), Send(BODY), End()],
}


@pytest.mark.parametrize("kind", ODD_HTTP)
def test_http_in_odd_forms(gateway: Gateway, upstream: Upstream, kind: str) -> None:
    upstream.play(ODD_HTTP[kind])
    assert stream_chat(gateway.address).succeeded().text() == "Hello world"
    assert stream_chat(gateway.address).succeeded().text() == "Hello world"


def test_compression_is_not_asked_for(gateway: Gateway, upstream: Upstream) -> None:
    """A compressed stream only costs both sides; what clients accept is no business of the upstream's."""
    post_chat(gateway.address, body_for(), {"Accept-Encoding": "gzip, br, zstd"})
    assert upstream.request().headers.get("accept-encoding", "identity") == "identity"


COMPRESSED = {
    "gzip": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY),
    "deflate": zlib.compress(BODY),
}


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_compression_that_nobody_asked_for(gateway: Gateway, upstream: Upstream, encoding: str) -> None:
    data = COMPRESSED[encoding]
    upstream.play([Head(headers={"Content-Encoding": encoding}), Send(data, each=10), End()])
    assert stream_chat(gateway.address).succeeded().text() == "Hello world"


def test_a_compressed_whole_answer(gateway: Gateway, upstream: Upstream) -> None:
    data = gzip.compress(json.dumps(completion("Hello world")).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    upstream.play([Head(headers=headers, framing="length", length=len(data)), Send(data), End()])
    whole = post_chat(gateway.address, body_for(stream=False)).json
    assert whole["choices"][0]["message"]["content"] == "Hello world"


BROKEN_ENCODINGS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "an encoding that nobody knows": ("br", lambda: b"\x0b\x02\x80"),
    "gzip that is none": ("gzip", lambda: b"not compressed"),
    "gzip that is cut off": ("gzip", lambda: gzip.compress(BODY)[:40]),
    "a bomb": ("gzip", lambda: gzip.compress(b"data: " + b"x" * 200_000_000, 1)),
}


@pytest.mark.parametrize("kind", BROKEN_ENCODINGS)
def test_compression_that_cannot_be_read(gateway: Gateway, upstream: Upstream, kind: str) -> None:
    """One clean error, and the memory of the machine is left alone."""
    encoding, data = BROKEN_ENCODINGS[kind]
    upstream.play([Head(headers={"Content-Encoding": encoding}), Send(data()), End()])
    response = post_chat(gateway.address, body_for())
    assert response.status == 502
    assert response.json["error"]["message"]
    assert stream_chat(gateway.address).succeeded()


NULLS: Json = {
    "id": None,
    "object": None,
    "created": None,
    "model": None,
    "system_fingerprint": None,
    "usage": None,
}


def with_nulls(text: str | None, finish: str | None) -> Json:
    """A chunk as typed servers dump it, with every field there is."""
    delta = {"content": text, "role": None, "function_call": None, "tool_calls": None, "refusal": None}
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return {**NULLS, "choices": [choice]}


ODD_CHUNKS: dict[str, list[Json]] = {
    "nulls in every field": [
        with_nulls("", None),
        with_nulls("Hello", None),
        with_nulls(" world", None),
        with_nulls(None, "stop"),
    ],
    "an empty reason on every chunk": [
        chunk("Hello", finish=""),
        chunk(" world", finish=""),
        chunk(finish="stop"),
    ],
    "empty lists of calls": [
        chunk("Hello", tool_calls=[]),
        chunk(" world", tool_calls=[]),
        chunk(finish="stop"),
    ],
    "a delta of null at the end": [
        chunk("Hello"),
        chunk(" world"),
        chunk(choice={"delta": None, "finish_reason": "stop"}),
    ],
    "no delta at the end": [
        chunk("Hello"),
        chunk(" world"),
        envelope([{"index": 0, "finish_reason": "stop"}]),
    ],
    "no index": [
        envelope([{"delta": {"content": "Hello"}}]),
        envelope([{"delta": {"content": " world"}}]),
        envelope([{"delta": {}, "finish_reason": "stop"}]),
    ],
    "choices of null in between": [
        chunk("Hello"),
        {**envelope([]), "choices": None},
        chunk(" world"),
        chunk(finish="stop"),
    ],
    "no choices field in between": [chunk("Hello"), {"id": "x"}, chunk(" world"), chunk(finish="stop")],
    "text in parts": [
        chunk(delta={"content": [{"type": "text", "text": "Hello"}]}),
        chunk(delta={"content": [{"type": "text", "text": " world"}]}),
        chunk(finish="stop"),
    ],
    "another role on every chunk": [
        chunk("Hello", role="assistant"),
        chunk(" world", role="assistant"),
        chunk(role="assistant", finish="stop"),
    ],
    "chunks that say nothing": [
        chunk(""),
        chunk(delta={}),
        chunk("Hello"),
        chunk(""),
        chunk(" world"),
        chunk(delta={}),
        chunk("", finish="stop"),
    ],
    "ids that change": [
        chunk("Hello", id="a", created=1),
        chunk(" world", id="b", created=2),
        chunk(finish="stop", id="c", created=3),
    ],
    "everything in one chunk": [chunk("Hello world", role="assistant", finish="stop")],
}


@pytest.mark.parametrize("kind", ODD_CHUNKS)
@pytest.mark.parametrize("streamed", [True, False])
def test_chunks_in_odd_forms(gateway: Gateway, upstream: Upstream, kind: str, streamed: bool) -> None:
    upstream.play(stream(ODD_CHUNKS[kind]))
    if streamed:
        answer = stream_chat(gateway.address).succeeded()
        assert (answer.text(), answer.finishes()) == ("Hello world", ["stop"])
        assert all(isinstance(answer.chunks[0][name], str) for name in ("id", "model", "object"))
        deltas = [choice["delta"].get("content") for choice in answer.choices()]
        assert all(text is None or isinstance(text, str) for text in deltas)
    else:
        whole = post_chat(gateway.address, body_for(stream=False)).json
        (choice,) = whole["choices"]
        assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello world", "stop")
        assert all(isinstance(whole[name], str) for name in ("id", "model", "object"))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have(gateway: Gateway, upstream: Upstream, number: str) -> None:
    """Python servers write them into logprobs; strict clients must be able to read what leaves here."""
    value = frame(chunk("Hello", choice={"logprobs": {"content": [{"logprob": "@"}]}})).decode()
    event = value.replace('"@"', number).encode()
    upstream.play([Head(), Send(event + frame(chunk(finish="stop")) + DONE), End()])
    response = post_chat(gateway.address, body_for())

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    for line in response.body.decode().splitlines():
        if line.startswith("data: {"):
            json.loads(line[6:], parse_constant=refuse)
    if response.status != 200:
        json.loads(response.body, parse_constant=refuse)
