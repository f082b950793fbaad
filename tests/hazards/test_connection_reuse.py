"""Connections to upstreams are reused, and nothing that happened on one may hurt the next request."""

from __future__ import annotations

import time

import pytest

from tests.chat import DONE, broken_off, chunk, error, frame, frames, stream, text_chunks, text_stream
from tests.chat_stream import LiveAnswer, body_for, post_chat, stream_chat
from tests.gateway import Gateway, eventually
from tests.script import Close, End, Gate, Head, Raw, Reset, Script, Send, Stall, WaitFor
from tests.upstream import Request, Upstream

AFTERMATHS: dict[str, list[Script]] = {
    "events after [DONE]": [
        [Head(), Send(frames(text_chunks(["Hello world"])) + DONE + frame(chunk("ghost"))), End()]
    ],
    "events after [DONE] in a chunk of their own": [
        [Head(), Send(frames(text_chunks(["Hello world"])) + DONE), Send(frame(chunk("ghost")) + DONE), End()]
    ],
    "bytes after the body": [[*text_stream(), Raw(b"\r\nghost")]],
    "a second answer that nobody asked for": [
        [*text_stream(), Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nghost")]
    ],
    "bytes after a body with a length": [
        [
            Head(framing="length", length=len(frames(text_chunks(["Hello world"])) + DONE)),
            Send(frames(text_chunks(["Hello world"])) + DONE),
            Raw(b"ghost"),
        ]
    ],
    "a FIN after the body": [[*text_stream(), Close()]],
    "a RST after the body": [[*text_stream(), Reset()]],
}


@pytest.mark.parametrize("aftermath", AFTERMATHS)
def test_what_follows_an_answer_hurts_nobody(gateway: Gateway, upstream: Upstream, aftermath: str) -> None:
    """hazard 37: neither this answer nor the next ones on a pooled connection see the rest."""
    for _ in range(4):
        upstream.play(*AFTERMATHS[aftermath], text_stream(["fine"]))
        assert stream_chat(gateway.address).succeeded().text() == "Hello world"
        assert stream_chat(gateway.address).succeeded().text() == "fine"


def test_the_end_mark_ends_the_answer_at_once(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 37: an upstream that keeps its body open after [DONE] keeps no client waiting."""
    held = Gate()
    upstream.play([Head(), Send(frames(text_chunks(["Hello"])) + DONE), WaitFor(held), End()])
    assert stream_chat(gateway.address).succeeded().text() == "Hello"
    assert not held.is_open
    assert stream_chat(gateway.address).succeeded().text() == "Hello world"
    held.open()


def test_connections_are_reused(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 6, the other way round: a good answer leaves a connection to use again."""
    for _ in range(5):
        stream_chat(gateway.address).succeeded()
    assert len({request.connection for request in upstream.requests}) <= 2


def test_many_bad_answers_leave_a_free_pool(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 6: after 150 refusals, breaks and hang-ups the next request starts at once."""

    def misbehave(request: Request) -> Script:
        wish = request.json["messages"][0]["content"]
        if wish == "refuse":
            return error(429, "too many requests", kind="rate_limit_error")
        if wish == "break":
            return broken_off(text_chunks(["half"], finish=None))
        if wish == "stall":
            return [Head(), Send(frame(chunk("half"))), Stall()]
        return text_stream()

    upstream.answer = misbehave
    stream_chat(gateway.address).succeeded()
    before = gateway.descriptors
    for _ in range(50):
        assert post_chat(gateway.address, body_for("refuse")).status == 429
        assert stream_chat(gateway.address, "break").failed()
        with LiveAnswer(gateway.address, body_for("stall")) as live:
            live.read_past("half")
    delays = []
    for _ in range(5):
        sent = time.monotonic()
        with LiveAnswer(gateway.address, body_for("hello")) as live:
            live.read()
            delays.append(time.monotonic() - sent)
            assert live.rest().succeeded()
    assert min(delays) < 0.1
    eventually(lambda: gateway.descriptors <= before + 2, "descriptors are back to where they were")


def test_a_connection_that_died_in_the_pool_is_not_told(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 6: a request that meets a closed pooled connection is sent again on a new one."""
    for _ in range(5):
        upstream.play([*text_stream(), Close()])
        assert stream_chat(gateway.address).succeeded()
    upstream.answer = lambda request: (
        [Reset()] if len(request.connection.requests) > 1 else stream(text_chunks(["fresh"]))
    )
    for _ in range(3):
        assert stream_chat(gateway.address).succeeded().text() == "fresh"
