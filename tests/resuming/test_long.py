"""A stream of 100,000 deltas is read on from any event of it in milliseconds, and by many without harm."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
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
READERS = 6
PROBES = 300
CHAT = "/v1/chat/completions"
WORD = re.compile(rb"(?<=\"content\":\")t[0-9]+ ")
KEEP_ALIVE = re.compile(rb'"delta":\{\},"[^{]*"finish_reason":null')


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


def played(upstream: Upstream) -> Gate:
    """Has the next answer be of so many deltas; it ends when the gate is opened."""
    gate = Gate()
    parts = [
        Send(b"".join(frame(chunk(f"t{number} ")) for number in range(first, first + 1000)))
        for first in range(0, DELTAS, 1000)
    ]
    last = frame(chunk(finish="stop")) + b"data: [DONE]\n\n"
    upstream.play([Head(), *parts, WaitFor(gate), Send(last), End()])
    return gate


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_any_place_of_a_long_stream_is_reached_at_once(gateway: Gateway, upstream: Upstream) -> None:
    gate = played(upstream)
    with LiveAnswer(gateway.address, body_for(), {"Tidegate-On-Disconnect": "detach"}) as live:
        name = live.head.get("tidegate-stream") or ""
        live.read_past(f"t{DELTAS - 1} ", 500)
        check(gateway, name, ("openai-chat", "openai-responses"))
        gate.open()
        while live.read():
            pass
    wait_until_kept(gateway, name)
    check(gateway, name, ("openai-chat", "anthropic-messages", "openai-responses", "gemini", "events"))


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_many_late_readers_of_a_long_stream_get_it_once_and_hold_up_nobody(
    gateway: Gateway, upstream: Upstream
) -> None:
    gate = played(upstream)
    key = {"Idempotency-Key": "long"}
    with LiveAnswer(gateway.address, body_for(), key) as live:
        name = live.head.get("tidegate-stream") or ""
        live.read_past(f"t{DELTAS - 1} ", 500)
        with ThreadPoolExecutor(READERS + 1) as pool:
            readers = [pool.submit(read, gateway, name) for _ in range(READERS)]
            again = pool.submit(fetch, gateway.address, "POST", CHAT, body_for(), key, timeout=300)
            waits = probed(gateway, lambda: again.done() and all(reader.done() for reader in readers), gate)
        while live.read():
            pass
    shown = without_keep_alives(b"".join(live.chunks))
    assert WORD.findall(shown) == [b"t%d " % number for number in range(DELTAS)]
    assert {digest(shown)} == {digest(without_keep_alives(each.result())) for each in readers}
    assert without_keep_alives(again.result().body) == shown
    assert waits[len(waits) * 9 // 10] < MOST_SECONDS, waits[-10:]
    wait_until_kept(gateway, name)
    with ThreadPoolExecutor(READERS) as pool:
        readers = [pool.submit(read, gateway, name) for _ in range(READERS)]
        waits = probed(gateway, lambda: all(reader.done() for reader in readers))
    assert {digest(shown)} == {digest(without_keep_alives(each.result())) for each in readers}
    assert waits[len(waits) * 9 // 10] < MOST_SECONDS, waits[-10:]
    assert fetch(gateway.address, "POST", CHAT, body_for(), key, timeout=300).body == shown
    assert len(upstream.requests) == 1


def read(gateway: Gateway, name: str) -> bytes:
    return fetch(gateway.address, "GET", f"/v1/streams/{name}", timeout=300).body


def without_keep_alives(body: bytes) -> bytes:
    return b"".join(part + b"\n\n" for part in body.split(b"\n\n")[:-1] if not KEEP_ALIVE.search(part))


def digest(body: bytes) -> str:
    return sha256(body).hexdigest()


def probed(gateway: Gateway, over: Callable[[], bool], gate: Gate | None = None) -> list[float]:
    """Seconds that a small request takes beside what goes on, shortest first; then the gate is opened.

    With a gate what goes on ends only behind it, so it is opened when so much was measured.
    """
    took: list[float] = []
    with RawConnection(gateway.address, 60) as connection:
        request = request_bytes("GET", "/healthz", host=f"{gateway.address[0]}:{gateway.address[1]}")
        while not over():
            began = time.monotonic()
            connection.send(request)
            assert connection.read_response("GET").status == 200
            took.append(time.monotonic() - began)
            if gate is not None and len(took) == PROBES:
                gate.open()
    return sorted(took)


def wait_until_kept(gateway: Gateway, name: str) -> None:
    state = {"Accept": "application/json"}
    eventually(
        lambda: fetch(gateway.address, "GET", f"/v1/streams/{name}", headers=state).json["last_seq"] > DELTAS,
        "it has ended",
        30,
    )
    eventually(lambda: name in {each["id"] for each in completed(gateway)}, "it is archived", 30)


def completed(gateway: Gateway) -> list[dict[str, str]]:
    found: list[dict[str, str]] = fetch(gateway.address, "GET", "/v1/streams?status=completed").json["data"]
    return found
