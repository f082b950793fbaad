"""A client that hangs up must stop the upstream, whatever the generation was doing."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest
from openai import OpenAI

from tests.chat import DONE, chunk, frame, text_chunks, text_stream
from tests.chat_stream import LiveAnswer, body_for, post_chat, start_chat
from tests.gateway import Gateway, eventually
from tests.raw_http import RawConnection
from tests.script import End, Flood, Gate, Head, Reach, Send, Stall, WaitFor
from tests.upstream import Upstream

LIMIT = 1.0
"""Seconds within which the upstream's socket must be closed after the client's."""

Leave = Callable[[RawConnection], None]
WAYS_TO_LEAVE = pytest.mark.parametrize("leave", [RawConnection.close, RawConnection.reset])


def assert_cancelled(upstream: Upstream, since: float) -> None:
    assert upstream.request().connection.wait_closed() - since < LIMIT


@WAYS_TO_LEAVE
@pytest.mark.parametrize("stream", [True, False])
def test_hang_up_before_the_upstream_answers(
    gateway: Gateway, upstream: Upstream, stream: bool, leave: Leave
) -> None:
    """hazard 2: nothing has come, not even a head."""
    upstream.play([Stall()])
    connection = start_chat(gateway.address, body_for(stream=stream))
    upstream.request()
    leave(connection)
    assert_cancelled(upstream, time.monotonic())


@WAYS_TO_LEAVE
@pytest.mark.parametrize("stream", [True, False])
def test_hang_up_before_the_first_token(
    gateway: Gateway, upstream: Upstream, stream: bool, leave: Leave
) -> None:
    """hazard 2: head and role chunk have come, no token yet (prefill)."""
    begun = Gate()
    upstream.play([Head(), Send(frame(chunk("", role="assistant"))), Reach(begun), Stall()])
    connection = start_chat(gateway.address, body_for(stream=stream))
    begun.wait()
    leave(connection)
    assert_cancelled(upstream, time.monotonic())


@WAYS_TO_LEAVE
def test_hang_up_in_mid_stream(gateway: Gateway, upstream: Upstream, leave: Leave) -> None:
    """hazard 2: tokens have been read, and the upstream is silent just then."""
    upstream.play([Head(), *(Send(frame(part)) for part in text_chunks(["one"], finish=None)), Stall()])
    with LiveAnswer(gateway.address, body_for()) as live:
        live.read_past("one")
        leave(live.connection)
        assert_cancelled(upstream, time.monotonic())


def test_hang_up_under_a_running_stream(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 2: tokens keep coming while the client leaves."""
    upstream.play([Head(), Flood(frame(chunk("word ")), 10**9)])
    with LiveAnswer(gateway.address, body_for()) as live:
        live.read_past("word ")
    assert_cancelled(upstream, time.monotonic())


def send_fin(connection: RawConnection) -> None:
    """What reaches the gateway when the client sits behind something that passes on a FIN."""
    connection.socket.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("leave", [RawConnection.close, RawConnection.reset, send_fin])
def test_hang_up_of_a_client_that_does_not_read(gateway: Gateway, upstream: Upstream, leave: Leave) -> None:
    """hazard 2: megabytes wait for this client, in the gateway and before it."""
    sent, totals = list[int](), [-1]

    def paused() -> bool:
        totals.append(sum(sent))
        return len(totals) > 20 and totals[-1] == totals[-20]

    upstream.play([Head(), Flood(frame(chunk("x" * 10_000)), 10**9, sent)])
    with start_chat(gateway.address, body_for(), receive_buffer=4096) as connection:
        eventually(paused, "the upstream is paused", 20)
        leave(connection)
        assert_cancelled(upstream, time.monotonic())


def test_hang_up_in_the_middle_of_a_whole_answer(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 2: a call without streaming is cancelled while its answer is collected."""
    begun = Gate()
    parts = text_chunks(["one"], finish=None)
    upstream.play([Head(), *(Send(frame(part)) for part in parts), Reach(begun), Stall()])
    connection = start_chat(gateway.address, body_for(stream=False))
    begun.wait()
    connection.close()
    assert_cancelled(upstream, time.monotonic())


def test_hang_up_between_two_tries(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 2: a client that has left is not tried again for."""
    held = Gate()
    upstream.play([WaitFor(held)], text_stream(), text_stream())
    connection = start_chat(gateway.address, body_for(model="again"))
    upstream.request()
    connection.close()
    upstream.request().connection.wait_closed()
    held.open()
    with LiveAnswer(gateway.address, body_for()) as live:
        live.rest()
    assert len(upstream.requests) == 2


def test_hang_up_behind_keep_alives(eager_gateway: Gateway, upstream: Upstream) -> None:
    """hazard 2: headers and keep-alives have been sent when the client leaves."""
    upstream.play([Stall()])
    with LiveAnswer(eager_gateway.address, body_for()) as live:
        live.read()
        live.read()
    assert_cancelled(upstream, time.monotonic())


def test_closing_the_sdk_stream_stops_the_upstream(
    gateway: Gateway, upstream: Upstream, client: OpenAI
) -> None:
    """hazard 2: what a user's `break` does."""
    upstream.play(
        [Head(), *(Send(frame(part)) for part in text_chunks(["one", "two"], finish=None)), Stall()]
    )
    with client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "x"}], stream=True
    ) as answer:
        for part in answer:
            if part.choices[0].delta.content:
                break
    assert_cancelled(upstream, time.monotonic())


def test_hang_up_releases_what_it_held(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 2: sockets of both sides are closed, so that nothing leaks."""
    with LiveAnswer(gateway.address, body_for()) as live:
        live.rest()
    before = gateway.descriptors
    upstream.answer = lambda request: [Head(), Send(frame(chunk("x"))), Stall()]
    for _ in range(20):
        with LiveAnswer(gateway.address, body_for()) as live:
            live.read()
    eventually(lambda: gateway.descriptors <= before, "descriptors are back to where they were")


@pytest.mark.parametrize("policy", ["drain", "detach"])
def test_a_hang_up_may_let_the_upstream_finish(gateway: Gateway, upstream: Upstream, policy: str) -> None:
    """hazard 2, the other way round: a caller who asks for it pays for the whole answer."""
    left, sent = Gate(), Gate()
    rest = frame(chunk(" two")) + frame(chunk(finish="stop")) + DONE
    upstream.play([Head(), Send(frame(chunk("one"))), WaitFor(left), Send(rest), End(), Reach(sent)])
    with LiveAnswer(gateway.address, body_for(), {"Tidegate-On-Disconnect": policy}) as live:
        live.read_past("one")
    left.open()
    sent.wait()
    with LiveAnswer(gateway.address, body_for()) as live:
        live.rest().succeeded()
    assert upstream.request(0).connection is upstream.request(1).connection


def test_an_unknown_policy_is_refused(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 2: a misspelt wish must not become the default in silence."""
    response = post_chat(gateway.address, body_for(), {"Tidegate-On-Disconnect": "stay"})
    assert response.status == 400
    assert "drain" in response.json["error"]["message"]


def test_reading_to_the_end_is_no_hang_up(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 2: a client that leaves at [DONE] has finished, and the upstream's connection is kept."""
    upstream.play(text_stream(), text_stream())
    for _ in range(2):
        with LiveAnswer(gateway.address, body_for()) as live:
            live.read_past("[DONE]")
    assert upstream.request(1).connection is upstream.request(0).connection
