"""A client that does not read costs bounded memory, pauses its own upstream, and hurts nobody else.

The streams are bigger than what the kernel's socket buffers hold on the way, which is several megabytes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.chat import DONE, chunk, frame, text_stream
from tests.chat_stream import LiveAnswer, body_for, stream_chat
from tests.fixtures import StartGateway
from tests.gateway import Gateway, eventually, gateway_config
from tests.script import End, Flood, Head, Script, Send
from tests.upstream import Connection, Request, Upstream

EVENT = frame(chunk("x" * 10_000))
EVENTS = 2500
STREAM_BYTES = len(EVENT) * EVENTS


def flood(sent: list[int]) -> Script:
    return [Head(), Flood(EVENT, EVENTS, sent), Send(frame(chunk(finish="stop")) + DONE), End()]


def small_reader(gateway: Gateway, **more: Any) -> LiveAnswer:
    """A client with a small window that has sent its request and read nothing yet."""
    return LiveAnswer(gateway.address, body_for("flood", **more), receive_buffer=4096, timeout=30)


def run_slow_readers(gateway: Gateway, upstream: Upstream, count: int) -> None:
    """Opens `count` streams of 25 MB that nobody reads, and checks what they cost the others."""
    sent: list[list[int]] = []
    flooded: list[Connection] = []

    def answer(request: Request) -> Script:
        if request.json["messages"][0]["content"] != "flood":
            return text_stream()
        sent.append([])
        flooded.append(request.connection)
        return flood(sent[-1])

    upstream.answer = answer
    stream_chat(gateway.address).succeeded()
    before = gateway.memory
    readers = [small_reader(gateway) for _ in range(count)]
    try:
        eventually(lambda: len(sent) == count, "all requests have come", 20 + count)
        totals = [-1]

        def settled() -> bool:
            """Whether upstreams have stopped sending, because nobody takes more."""
            totals.append(sum(map(sum, sent)))
            return len(totals) > 20 and totals[-1] == totals[-20]

        eventually(settled, "the upstreams are paused", 20)
        assert all(sum(one) < STREAM_BYTES for one in sent), "an upstream was read to its end for nobody"
        assert gateway.memory - before < count * 2 * 2**20
        delays = []
        for _ in range(10):
            start = time.monotonic()
            assert stream_chat(gateway.address).succeeded().text() == "Hello world"
            delays.append(time.monotonic() - start)
        assert min(delays) < 0.1
        assert readers[0].rest().succeeded().text() == "x" * 10_000 * EVENTS
        before_leaving = sum(map(sum, sent))
    finally:
        for reader in readers:
            reader.connection.close()
    # The connection of the one who read to the end may be used again.
    eventually(lambda: sum(not each.gone for each in flooded) <= 1, "the others' upstreams are let go")
    assert sum(map(sum, sent)) - before_leaving < count * 2**20, "upstreams were read for nobody"


def test_a_dozen_slow_readers(upstream: Upstream, start_gateway: StartGateway) -> None:
    """hazard 27: upstreams are paused, memory is bounded, others go on, and the reader still gets it all."""
    run_slow_readers(start_gateway(gateway_config(upstream.url), copied=False), upstream, 12)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_two_hundred_slow_readers(upstream: Upstream, start_gateway: StartGateway) -> None:
    """hazard 27: at full size."""
    run_slow_readers(start_gateway(gateway_config(upstream.url)), upstream, 200)


def test_a_paused_upstream_is_not_idle(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 27: the idle timer stops while it is the client who is slow."""
    sent: list[int] = []
    upstream.play(flood(sent))
    with small_reader(gateway, model="restless") as reader:
        reader.read()
        totals = [-1]

        def paused_for_longer_than_idle() -> bool:
            totals.append(sum(sent))
            return len(totals) > 80 and totals[-1] == totals[-80]

        eventually(paused_for_longer_than_idle, "the upstream is paused for longer than its idle timeout", 20)
        assert reader.rest().succeeded().text() == "x" * 10_000 * EVENTS
