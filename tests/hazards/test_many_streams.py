"""Thousands of idle streams and a huge prompt leave the gateway answering at once."""

from __future__ import annotations

import resource
import statistics
import threading
import time
from collections.abc import Iterator

import pytest

from tests.chat import DONE, chunk, frame, frames, text_chunks, text_stream
from tests.chat_stream import LiveAnswer, body_for, post_chat, start_chat, stream_chat
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.raw_http import fetch
from tests.script import End, Gate, Head, Script, Send, WaitFor
from tests.upstream import Request, Upstream


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Raises this process's limit of open files, because both ends of the test live in it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def run_idle_streams(gateway: Gateway, upstream: Upstream, count: int) -> None:
    """Holds `count` streams open in their middle, sends 10 MB, and measures everyone else meanwhile."""
    gate = Gate()
    beginning, rest = frames(text_chunks(["first"], finish=None)), frame(chunk(finish="stop")) + DONE

    def answer(request: Request) -> Script:
        if b'"idle"' in request.body[:1000]:  # parsing 10 MB here would hold up the measuring thread
            return [Head(), Send(beginning), WaitFor(gate), Send(rest), End()]
        return text_stream()

    upstream.answer = answer
    streams = [LiveAnswer(gateway.address, body_for("idle"), timeout=30) for _ in range(count)]
    try:
        for one in streams:
            one.read_past("first")
        prompt = threading.Thread(target=post_chat, args=(gateway.address, body_for("word " * 2_000_000)))
        prompt.start()
        delays: list[float] = []
        while prompt.is_alive() or len(delays) < 20:
            start = time.monotonic()
            assert fetch(gateway.address, "GET", "/healthz").status == 200
            delays.append(time.monotonic() - start)
        prompt.join()
        gate.open()
        for one in streams:
            assert one.rest().succeeded().text() == "first"
    finally:
        gate.open()
        for one in streams:
            one.connection.close()
    assert statistics.median(delays) < 0.05
    assert max(delays) < 0.5


@pytest.mark.usefixtures("many_descriptors")
def test_three_hundred_idle_streams_and_a_huge_prompt(
    upstream: Upstream, start_gateway: StartGateway
) -> None:
    """hazard 39: health and the other streams are not held up."""
    run_idle_streams(start_gateway(gateway_config(upstream.url)), upstream, 300)


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("many_descriptors")
def test_two_thousand_idle_streams_and_a_huge_prompt(upstream: Upstream, start_gateway: StartGateway) -> None:
    """hazard 39: at full size."""
    run_idle_streams(start_gateway(gateway_config(upstream.url)), upstream, 2000)


def test_a_full_gateway_refuses_politely(upstream: Upstream, start_gateway: StartGateway) -> None:
    """hazard 39: 503 with Retry-After before the machine suffers, and room again when a stream ends."""
    gateway = start_gateway(gateway_config(upstream.url, server={"max_streams": 3}))
    gate = Gate()
    held: Script = [Head(), Send(frame(chunk("x"))), WaitFor(gate), Send(frame(chunk(finish="stop"))), End()]
    upstream.play(*[held] * 3)
    streams = [LiveAnswer(gateway.address, body_for()) for _ in range(3)]
    for one in streams:
        one.read_past('"x"')
    refused = post_chat(gateway.address, body_for())
    assert refused.status == 503
    assert int(refused.head.get("retry-after") or 0) >= 1
    assert refused.json["error"]["message"]
    assert post_chat(gateway.address, body_for(stream=False)).status == 503
    assert fetch(gateway.address, "GET", "/healthz").status == 200
    gate.open()
    for one in streams:
        assert one.rest().succeeded()
        one.connection.close()
    assert stream_chat(gateway.address).succeeded()


def test_a_stream_that_was_left_makes_room(upstream: Upstream, start_gateway: StartGateway) -> None:
    """hazards 2, 39: a place is given back on every way out."""
    gateway = start_gateway(gateway_config(upstream.url, server={"max_streams": 1}))
    for _ in range(5):
        held = Gate()
        upstream.play([WaitFor(held)])
        connection = start_chat(gateway.address, body_for())
        upstream.request(len(upstream.requests))
        connection.close()
        upstream.requests[-1].connection.wait_closed()
        assert stream_chat(gateway.address).succeeded()
