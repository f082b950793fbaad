"""Hours of streams, aborts and errors leave memory and descriptors where they were."""

from __future__ import annotations

import os
import threading
import time

import pytest

from tests.chat import broken_off, chunk, error, frame, text_chunks, text_stream
from tests.chat_stream import LiveAnswer, body_for, post_chat, stream_chat
from tests.fixtures import StartGateway
from tests.gateway import Gateway, eventually, gateway_config
from tests.raw_http import fetch
from tests.script import Head, Reset, Script, Send, Stall
from tests.upstream import Request, Upstream

# Of ten requests, one is left by its client, one breaks off, and one is refused.
WISHES = ["text"] * 7 + ["stall", "break", "refuse"]


def answer(request: Request) -> Script:
    wish = request.json["messages"][0]["content"]
    if wish == "stall":
        return [Head(), Send(frame(chunk("x"))), Stall()]
    if wish == "break":
        return broken_off(text_chunks(["x"], finish=None), Reset())
    return error(500, "no") if wish == "refuse" else text_stream(["word "] * 50)


def one_request(gateway: Gateway, number: int) -> None:
    wish = WISHES[number % len(WISHES)]
    if wish == "text":
        assert stream_chat(gateway.address, wish, stream=True).succeeded().text() == "word " * 50
    elif wish == "break":
        assert stream_chat(gateway.address, wish).failed()
    elif wish == "refuse":
        assert post_chat(gateway.address, body_for(wish)).status == 500
    else:
        with LiveAnswer(gateway.address, body_for(wish)) as live:
            live.read()


class Load:
    """Several clients that ask one after the other until the count or the time is up."""

    def __init__(self, gateway: Gateway, clients: int) -> None:
        self._gateway = gateway
        self._clients = clients
        self._lock = threading.Lock()
        self._problems: list[BaseException] = []
        self.done = 0

    def run(self, requests: int, until: float = float("inf")) -> None:
        goal = self.done + requests
        threads = [threading.Thread(target=self._ask, args=(goal, until)) for _ in range(self._clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._problems:
            raise self._problems[0]

    def _ask(self, goal: int, until: float) -> None:
        while not self._problems and time.monotonic() < until:
            with self._lock:
                if self.done >= goal:
                    return
                self.done += 1
                number = self.done
            try:
                one_request(self._gateway, number)
            except (AssertionError, OSError, EOFError) as problem:
                self._problems.append(problem)


def test_thousands_of_requests_leave_nothing_behind(upstream: Upstream, start_gateway: StartGateway) -> None:
    """hazard 5: with one in ten left, one broken and one refused, memory settles and descriptors stay.

    A process grows while it warms up, so this waits for a round that adds next to nothing."""
    gateway = start_gateway(gateway_config(upstream.url), copied=False)
    upstream.answer = answer
    load = Load(gateway, clients=8)
    descriptors = gateway.descriptors
    load.run(200)
    for _ in range(8):
        before = gateway.memory
        load.run(600)
        if gateway.memory - before < 0.6 * 2**20:
            break
    else:
        pytest.fail("memory grew by more than 1 MB for a thousand requests in every round")
    # What may stay is the pool: an idle connection to the upstream for each client that there was at a time.
    eventually(lambda: gateway.descriptors <= descriptors + 8 + 4, "descriptors are back to where they were")


def test_what_others_say_does_not_grow_the_metrics(upstream: Upstream, start_gateway: StartGateway) -> None:
    """hazard 5: codes from upstreams and model names from callers are endless, time series must not be."""
    gateway = start_gateway(gateway_config(upstream.url))
    for number in range(40):
        upstream.play(error(400, "no", kind=f"type_{number}", code=f"code_{number}"))
        post_chat(gateway.address, body_for())
        post_chat(gateway.address, body_for(model=f"unknown-{number}"))
        post_chat(gateway.address, body_for(model=f"up/unknown-{number}"))
    text = fetch(gateway.address, "GET", "/metrics").body.decode()
    assert "code_39" not in text
    assert "type_39" not in text
    assert "unknown-39" not in text


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_an_hour_of_two_hundred_streams(upstream: Upstream, start_gateway: StartGateway) -> None:
    """hazard 5: SOAK_SECONDS sets another length; memory grows by less than 1 MB per thousand requests."""
    gateway = start_gateway(gateway_config(upstream.url), copied=False)
    upstream.answer = answer
    load = Load(gateway, clients=200)
    descriptors = gateway.descriptors
    load.run(5000)
    memory, begun = gateway.memory, load.done
    load.run(10**9, until=time.monotonic() + float(os.environ.get("SOAK_SECONDS", "3600")))
    eventually(
        lambda: gateway.descriptors <= descriptors + 200 + 8, "descriptors are back to where they were"
    )
    thousands = (load.done - begun) / 1000
    assert (gateway.memory - memory) / thousands < 2**20
