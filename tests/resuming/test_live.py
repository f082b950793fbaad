"""Readers of a stream that is still produced: each gets all of it, at its own speed, and counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.chat import chunk, frame, frames, text_chunks
from tests.chat_stream import LiveAnswer, body_for
from tests.gateway import Gateway, eventually
from tests.raw_http import RawConnection, ResponseHead, fetch, request_bytes
from tests.resuming.asking import WAYS, stream_id
from tests.script import End, Gate, Head, Send, Stall, Step, WaitFor
from tests.upstream import Upstream

CHAT = WAYS["chat"]
REST = frames([chunk(" and more"), chunk(finish="stop")]) + b"data: [DONE]\n\n"


class Watching:
    """A reader that is read step by step."""

    def __init__(
        self, gateway: Gateway, name: str, query: str = "", receive_buffer: int | None = None
    ) -> None:
        self.connection = RawConnection(gateway.address, 10.0, receive_buffer)
        host = f"{gateway.address[0]}:{gateway.address[1]}"
        self.connection.send(request_bytes("GET", f"/v1/streams/{name}{query}", host=host))
        self.body = b""
        self._head: ResponseHead | None = None

    @property
    def head(self) -> ResponseHead:
        if self._head is None:
            self._head = self.connection.read_head()
            assert self._head.status == 200
        return self._head

    def past(self, mark: bytes) -> Watching:
        assert self.head.chunked
        while mark not in self.body:
            data = self.connection.read_chunk()
            assert data, self.body
            self.body += data
        return self

    def rest(self) -> bytes:
        assert self.head.chunked
        self.body += b"".join(self.connection.chunks())
        return self.body


Watch = Callable[..., Watching]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Opens readers, and closes them at the end."""
    opened: list[Watching] = []

    def begin(gateway: Gateway, name: str, query: str = "", receive_buffer: int | None = None) -> Watching:
        opened.append(Watching(gateway, name, query, receive_buffer))
        return opened[-1]

    yield begin
    for each in opened:
        each.connection.close()


@contextmanager
def held(
    gateway: Gateway, upstream: Upstream, gate: Gate, **headers: str
) -> Iterator[tuple[LiveAnswer, str]]:
    """A stream that has said "Half" and says the rest when the gate is opened."""
    upstream.play([Head(), Send(frame(chunk("Half"))), WaitFor(gate), Send(REST), End()])
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with LiveAnswer(gateway.address, body_for(), named) as live:
        live.read_past("Half")
        yield live, live.head.get("tidegate-stream") or ""


def test_a_second_reader_gets_what_was_and_what_comes(
    gateway: Gateway, upstream: Upstream, watch: Watch
) -> None:
    gate = Gate()
    with held(gateway, upstream, gate) as (live, name):
        watching = [
            watch(gateway, name),
            watch(gateway, name, "?after=2"),
            watch(gateway, name, "?skip=1"),
        ]
        watching[0].past(b"Half")
        watching[2].past(b"Half")
        assert watching[1].head.chunked
        gate.open()
        first = live.rest().response.body
        whole, after, behind = (each.rest() for each in watching)
    assert whole == first
    assert first.endswith(after)
    assert after.startswith(b"data: ")
    assert b"Half" not in after
    assert first.endswith(behind)
    assert len(upstream.requests) == 1


def test_every_dialect_tails_the_same_stream(gateway: Gateway, upstream: Upstream, watch: Watch) -> None:
    gate = Gate()
    dialects = ("openai-responses", "anthropic-messages", "gemini", "openai-completions", "events")
    with held(gateway, upstream, gate) as (live, name):
        watching = [watch(gateway, name, f"?dialect={each}").past(b"Half") for each in dialects]
        gate.open()
        live.rest().succeeded()
        for each in watching:
            assert b" and more" in each.rest()
        for each, dialect in zip(watching, dialects, strict=True):
            assert fetch(gateway.address, "GET", f"/v1/streams/{name}?dialect={dialect}").body == each.body


def test_the_last_reader_to_leave_cancels(gateway: Gateway, upstream: Upstream, watch: Watch) -> None:
    stays, leaves = Gate(), Gate()
    still: list[Step] = [WaitFor(stays), Send(frame(chunk(" still"))), WaitFor(leaves)]
    upstream.play([Head(), Send(frame(chunk("Half"))), *still, Send(REST), End()])
    with LiveAnswer(gateway.address, body_for()) as live:
        live.read_past("Half")
        name = live.head.get("tidegate-stream") or ""
        watching = watch(gateway, name).past(b"Half")
        before = gateway.descriptors
        live.connection.close()
        eventually(lambda: gateway.descriptors < before, "the first reader's leaving is noticed")
        stays.open()
        watching.past(b" still")
        connection = upstream.request().connection
        assert connection.closed_at is None, "it goes on for the second reader"
        watching.connection.close()
        connection.wait_closed(2)
    found = fetch(gateway.address, "GET", f"/v1/streams/{name}", headers={"Accept": "application/json"}).json
    assert found["status"] == "cancelled"


def test_a_reader_that_stays_keeps_the_stream_for_one_that_leaves(
    gateway: Gateway, upstream: Upstream, watch: Watch
) -> None:
    gate = Gate()
    with held(gateway, upstream, gate) as (live, name):
        watching = watch(gateway, name).past(b"Half")
        live.connection.close()
        gate.open()
        body = watching.rest()
    assert body.endswith(b"data: [DONE]\n\n")


def test_a_detached_stream_goes_on_and_is_read_later(
    gateway: Gateway, upstream: Upstream, watch: Watch
) -> None:
    gate = Gate()
    with held(gateway, upstream, gate, Tidegate_On_Disconnect="detach") as (live, name):
        live.connection.close()
    watch(gateway, name).past(b"Half").connection.close()
    gate.open()
    assert watch(gateway, name).rest().endswith(b"data: [DONE]\n\n")


def test_silence_is_filled_for_a_reader_that_came_later(
    eager_gateway: Gateway, upstream: Upstream, watch: Watch
) -> None:
    gate = Gate()
    with held(eager_gateway, upstream, gate) as (live, name):
        for dialect, mark in {
            "openai-chat": b'"delta":{},"finish_reason":null',
            "anthropic-messages": b"event: ping",
            "openai-responses": b"event: keepalive",
            "events": b'data: {"event":"keep_alive"}',
        }.items():
            watching = watch(eager_gateway, name, f"?dialect={dialect}&event_ids=1").past(mark)
            assert b"id: " + mark not in watching.body
            watching.connection.close()
        gate.open()
        live.rest().succeeded()


def test_a_reader_of_a_silent_stream_gets_its_head_at_once_and_its_start(
    eager_gateway: Gateway, upstream: Upstream, watch: Watch
) -> None:
    """Of an answer that was asked for whole nobody else has it begin."""
    gate = Gate()
    upstream.play([Head(), WaitFor(gate), Send(frame(chunk("Half"))), Send(REST), End()])
    with RawConnection(eager_gateway.address) as asked:
        host = f"{eager_gateway.address[0]}:{eager_gateway.address[1]}"
        asked.send(request_bytes("POST", CHAT.path, body_for(stream=False), host=host))
        upstream.request()
        listed = fetch(eager_gateway.address, "GET", "/v1/streams?status=running").json["data"]
        watching = watch(eager_gateway, listed[0]["id"])
        assert watching.head.chunked
        watching.past(b'"role":"assistant"').past(b'"delta":{},"finish_reason":null')
        assert watching.body.startswith(b"data: ")
        assert json.loads(watching.body[6:].partition(b"\n")[0])["choices"][0]["delta"]["role"] == "assistant"
        gate.open()
        assert b"Half" in watching.rest()
        assert asked.read_response().json["choices"][0]["message"]["content"] == "Half and more"


def test_a_place_is_waited_for_by_nobody_else(gateway: Gateway, upstream: Upstream, watch: Watch) -> None:
    """A reader that hangs up while its place is looked for leaves the stream as it was."""
    gate = Gate()
    with held(gateway, upstream, gate) as (live, name):
        for _ in range(20):
            watch(gateway, name, "?skip=1").connection.reset()
        gate.open()
        live.rest().succeeded()


def test_a_slow_reader_hinders_no_other(gateway: Gateway, upstream: Upstream, watch: Watch) -> None:
    gate = Gate()
    words = ["x" * 2000] * 2000
    more = frames(text_chunks(words)) + b"data: [DONE]\n\n"
    upstream.play([Head(), Send(frame(chunk("Half"))), WaitFor(gate), Send(more), End()])
    before = gateway.memory
    with LiveAnswer(gateway.address, body_for()) as live:
        live.read_past("Half")
        slow = watch(gateway, live.head.get("tidegate-stream") or "", receive_buffer=4096)
        gate.open()
        live.rest()
        assert gateway.memory - before < 48 * 2**20
        assert slow.rest() == b"".join(live.chunks)


def test_pipelined_readers_are_answered_one_after_another_in_bounded_memory(
    gateway: Gateway, upstream: Upstream
) -> None:
    upstream.play([Head(), Send(frames(text_chunks(["y" * 1000] * 4000)) + b"data: [DONE]\n\n"), End()])
    first = CHAT.ask(gateway.address)
    before = gateway.memory
    host = f"{gateway.address[0]}:{gateway.address[1]}"
    ask = request_bytes("GET", f"/v1/streams/{stream_id(first)}", host=host)
    with RawConnection(gateway.address, receive_buffer=4096) as connection:
        connection.send(ask * 6)
        assert connection.read_head().status == 200
        connection.read_exactly(1)
        assert gateway.memory - before < 32 * 2**20


@pytest.mark.parametrize("form", ["?stream=false", ""])
def test_a_reader_that_leaves_a_stream_alone_lets_go_of_its_upstream(
    gateway: Gateway, upstream: Upstream, form: str
) -> None:
    upstream.play([Head(), Send(frame(chunk("Half"))), Stall()])
    with LiveAnswer(gateway.address, body_for()) as live:
        live.read_past("Half")
        name = live.head.get("tidegate-stream") or ""
        host = f"{gateway.address[0]}:{gateway.address[1]}"
        other = RawConnection(gateway.address)
        other.send(request_bytes("GET", f"/v1/streams/{name}{form}", host=host))
        if not form:
            assert other.read_head().status == 200
    other.close()
    upstream.request().connection.wait_closed(2)
