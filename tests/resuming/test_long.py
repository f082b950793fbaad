"""A stream of 100,000 deltas is read on from any event of it in milliseconds."""

from __future__ import annotations

import re
import time
from statistics import median

import pytest

from tests.chat import chunk, frame
from tests.chat_stream import LiveAnswer, body_for
from tests.gateway import Gateway, eventually
from tests.raw_http import RawConnection, fetch, request_bytes
from tests.script import End, Gate, Head, Send, WaitFor
from tests.upstream import Upstream

DELTAS = 100_000
PLACES = (1, 999, 25_000, 50_001, 77_777, 99_999)
MOST_SECONDS = 0.020


def seconds_to(word: bytes, gateway: Gateway, name: str, query: str) -> float:
    """Seconds until the word is there with which the rest begins; not much more is taken."""
    host = f"{gateway.address[0]}:{gateway.address[1]}"
    with RawConnection(gateway.address, 60, receive_buffer=4096) as connection:
        began = time.monotonic()
        connection.send(request_bytes("GET", f"/v1/streams/{name}{query}", host=host))
        assert connection.read_head().status == 200
        before = connection.read_until(word)
        assert len(re.findall(rb'"t[0-9]', before)) == 1
        return time.monotonic() - began


def check(gateway: Gateway, name: str, dialects: tuple[str, ...]) -> None:
    for dialect in dialects:
        took = []
        before = gateway.cpu_seconds
        for place in PLACES:
            word = f'"t{place - 1} '.encode()  # event 1 is the start, so event N has the word N - 2
            took.append(seconds_to(word, gateway, name, f"?after={place}&dialect={dialect}"))
        spent = (gateway.cpu_seconds - before) / len(PLACES)
        # Others may use the processor meanwhile, which is no fault of the gateway's.
        assert min(median(took), spent) < MOST_SECONDS, (dialect, took, spent)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_any_place_of_a_long_stream_is_reached_at_once(gateway: Gateway, upstream: Upstream) -> None:
    gate = Gate()
    parts = [
        Send(b"".join(frame(chunk(f"t{number} ")) for number in range(first, first + 1000)))
        for first in range(0, DELTAS, 1000)
    ]
    last = frame(chunk(finish="stop")) + b"data: [DONE]\n\n"
    upstream.play([Head(), *parts, WaitFor(gate), Send(last), End()])
    with LiveAnswer(gateway.address, body_for(), {"Tidegate-On-Disconnect": "detach"}) as live:
        name = live.head.get("tidegate-stream") or ""
        live.read_past(f"t{DELTAS - 1} ", 500)
        check(gateway, name, ("openai-chat", "openai-responses"))
        gate.open()
        while live.read():
            pass
    state = {"Accept": "application/json"}
    eventually(
        lambda: fetch(gateway.address, "GET", f"/v1/streams/{name}", headers=state).json["last_seq"] > DELTAS,
        "it has ended",
        30,
    )
    eventually(lambda: name in {each["id"] for each in completed(gateway)}, "it is archived", 30)
    check(gateway, name, ("openai-chat", "anthropic-messages", "openai-responses", "gemini", "events"))


def completed(gateway: Gateway) -> list[dict[str, str]]:
    found: list[dict[str, str]] = fetch(gateway.address, "GET", "/v1/streams?status=completed").json["data"]
    return found
