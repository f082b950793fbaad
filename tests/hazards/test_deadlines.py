"""Every wait has an end that can be set, and a trickle without content does not put it off."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from openai import APIStatusError, OpenAI

from tests.chat import DONE, Json, chunk, envelope, frame, frames, text_chunks
from tests.chat_stream import LiveAnswer, body_for, parse, post_chat, stream_chat
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.script import End, Head, Pause, Script, Send, Stall, Step
from tests.upstream import Request, Upstream

Case = TypeVar("Case")

# What the model `hasty` allows, in seconds.
FIRST_TOKEN = IDLE = 0.6
TOTAL = 2.5
SLACK = 1.2

ROLE = chunk("", role="assistant")
TRICKLES: dict[str, bytes] = {
    "comments": b": ping\n\n",
    "empty deltas": frame(chunk(delta={})),
    "empty texts": frame(chunk("")),
    "role chunks": frame(ROLE),
    "chunks without choices": frame(envelope([])),
    "ping events": b'event: ping\ndata: {"type": "ping"}\n\n',
    "blank lines": b"\n",
    "usage": frame(envelope([], usage={"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1})),
}


def trickle(event: bytes, beginning: bytes = b"") -> Script:
    """An event every 50 ms, for five seconds, as a hung engine behind a lively proxy sends them."""
    steps: list[Step] = [Head(), *([Send(beginning)] if beginning else [])]
    for _ in range(100):
        steps += [Send(event), Pause(0.05)]
    return [*steps, Stall()]


def asked(request: Request) -> str:
    """What the client said: tests that wait for the same time do so side by side."""
    said: str = request.json["messages"][0]["content"]
    return said


def at_once(check: Callable[[Case], None], cases: Collection[Case]) -> None:
    with ThreadPoolExecutor(len(cases)) as pool:
        list(pool.map(check, cases))


def seconds_since(start: float) -> float:
    return time.monotonic() - start


def test_silence_before_the_first_token(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 26: a true status, in time, and the upstream is let go."""
    upstream.play([Stall()])
    start = time.monotonic()
    response = post_chat(gateway.address, body_for(model="hasty"))
    assert FIRST_TOKEN <= seconds_since(start) < FIRST_TOKEN + SLACK
    assert response.status == 504
    assert "first" in response.json["error"]["message"] or response.json["error"]["code"] == "first_token"
    upstream.request().connection.wait_closed()


def test_a_trickle_is_no_first_token(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 26: pings and role chunks are not what the client waits for."""
    upstream.answer = lambda request: trickle(TRICKLES[asked(request)])

    def check(kind: str) -> None:
        start = time.monotonic()
        response = post_chat(gateway.address, body_for(kind, model="hasty"))
        assert seconds_since(start) < FIRST_TOKEN + SLACK, kind
        assert response.status == 504, kind

    at_once(check, TRICKLES)
    for request in upstream.requests:
        request.connection.wait_closed()


@pytest.mark.parametrize("kind", ["reasoning", "tool call"])
def test_reasoning_and_calls_are_first_tokens(gateway: Gateway, upstream: Upstream, kind: str) -> None:
    """hazard 26, the other way round: what a model thinks and calls is content."""
    call: Json = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    first = chunk(reasoning="hmm") if kind == "reasoning" else chunk(tool_calls=[call])
    rest = frame(chunk(finish="stop")) + DONE
    upstream.play([Head(), Send(frame(first)), Pause(IDLE * 0.4), Send(frame(first)), Send(rest), End()])
    assert stream_chat(gateway.address, model="hasty").succeeded()


def test_a_stall_in_mid_stream(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 26: what came is kept, and the error says what ran out."""
    upstream.play([Head(), Send(frames(text_chunks(["some"], finish=None))), Stall()])
    start = time.monotonic()
    answer = stream_chat(gateway.address, model="hasty")
    assert IDLE <= seconds_since(start) < IDLE + SLACK
    assert answer.text() == "some"
    error = answer.failed()
    assert error["type"] == "timeout_error"
    upstream.request().connection.wait_closed()


def test_a_trickle_in_mid_stream_is_a_stall(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 26: pings do not reset the idle timer."""
    some = frames(text_chunks(["some"], finish=None))
    upstream.answer = lambda request: trickle(TRICKLES[asked(request)], some)

    def check(kind: str) -> None:
        start = time.monotonic()
        answer = stream_chat(gateway.address, kind, model="hasty")
        assert seconds_since(start) < IDLE + SLACK, kind
        assert answer.text() == "some", kind
        assert answer.failed(), kind

    at_once(check, TRICKLES)


def test_tokens_put_the_idle_deadline_off(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 26, the other way round: a slow model that goes on is not cut."""
    steps = [step for word in "abcd" for step in (Pause(IDLE * 0.4), Send(frame(chunk(word))))]
    upstream.play([Head(), *steps, Send(frame(chunk(finish="stop")) + DONE), End()])
    assert stream_chat(gateway.address, model="hasty").succeeded().text() == "abcd"


def test_the_total_has_an_end_too(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 26: a stream that never ends, one token after the other."""
    upstream.answer = lambda _: trickle(frame(chunk("on ")))

    def check(streamed: bool) -> None:
        start = time.monotonic()
        response = post_chat(gateway.address, body_for(model="hasty", stream=streamed))
        assert TOTAL - 0.1 <= seconds_since(start) < TOTAL + SLACK
        if streamed:
            assert parse(response).failed()["type"] == "timeout_error"
        else:
            assert response.status == 504

    at_once(check, (True, False))
    for request in upstream.requests:
        request.connection.wait_closed()


def test_a_timeout_behind_committed_headers(upstream: Upstream, start_gateway: StartGateway) -> None:
    """hazard 26: keep-alives run, the deadline still holds, and the end is an error chunk."""
    gateway = start_gateway(
        gateway_config(upstream.url, server={"header_hold": "50ms", "keep_alive": "100ms"})
    )
    upstream.play([Stall()])
    with LiveAnswer(gateway.address, body_for(model="hasty")) as live:
        answer = live.rest()
    assert answer.text() == ""
    assert answer.failed()["type"] == "timeout_error"


def test_a_first_token_timeout_tries_again(upstream: Upstream, start_gateway: StartGateway) -> None:
    """hazard 26: a hung deployment is given up for the next one."""
    config = gateway_config(upstream.url)
    config["models"]["pair"]["timeouts"] = {"first_token": "300ms"}
    gateway = start_gateway(config)
    answers: dict[str, Script] = {
        "mock-a": trickle(TRICKLES["role chunks"]),
        "mock-b": [Head(), Send(frames(text_chunks(["b"])) + DONE), End()],
    }
    upstream.answer = lambda request: answers[request.json["model"]]
    assert stream_chat(gateway.address, model="pair").succeeded().text() == "b"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux drops a SYN when a listener's queue is full")
def test_a_host_that_does_not_answer(start_gateway: StartGateway) -> None:
    """hazard 26: connecting has a deadline of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        gateway = start_gateway(gateway_config(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            start = time.monotonic()
            response = post_chat(gateway.address, body_for(model="hasty"))
            assert seconds_since(start) < 1 + SLACK + SLACK
            assert response.status in {502, 504}
            assert response.json["error"]["message"]
        finally:
            for filler in fillers:
                filler.close()


def test_the_sdk_gets_a_gateway_timeout(gateway: Gateway, upstream: Upstream, client: OpenAI) -> None:
    """hazard 26: as a status that SDKs know and retry."""
    upstream.play([Stall()])
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(
            model="hasty", messages=[{"role": "user", "content": "x"}], stream=True
        )
    assert caught.value.status_code == 504
