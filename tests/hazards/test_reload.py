"""Settings change under running streams without breaking one of them."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.chat import DONE, chunk, frame, frames, one_by_one
from tests.chat_stream import ChatAnswer, LiveAnswer, body_for, post_chat, stream_chat
from tests.fixtures import StartGateway
from tests.gateway import Config, Gateway, eventually, gateway_config
from tests.raw_http import RawConnection, fetch, request_bytes
from tests.script import End, Gate, Head, Send, WaitFor
from tests.upstream import Upstream

STREAMS, RELAYED = 20, 4
FIRST, SECOND = [f"first{n} " for n in range(12)], [f"second{n} " for n in range(4)]


class LiveStreams:
    """Streams that are held open in their middle, where some are relayed, until the gate is opened."""

    def __init__(self, gateway: Gateway, upstream: Upstream) -> None:
        self.gate = Gate()
        end = Send(frame(chunk(finish="stop")) + DONE)
        relayed = one_by_one(FIRST), one_by_one(SECOND)
        others = [Send(frames(map(chunk, FIRST)))], [Send(frames(map(chunk, SECOND)))]
        for first, second in [relayed] * RELAYED + [others] * (STREAMS - RELAYED):
            upstream.play([Head(), *first, WaitFor(self.gate), *second, end, End()])
        self.open = [LiveAnswer(gateway.address, body_for()) for _ in range(STREAMS)]
        for one in self.open:
            one.read_past(FIRST[-1])

    def finish(self) -> list[ChatAnswer]:
        self.gate.open()
        return [one.rest() for one in self.open]

    def close(self) -> None:
        for one in self.open:
            one.connection.close()


@pytest.fixture
def own_gateway(upstream: Upstream, start_gateway: StartGateway) -> Gateway:
    return start_gateway(gateway_config(upstream.url))


@pytest.fixture
def live_streams(own_gateway: Gateway, upstream: Upstream) -> Iterator[LiveStreams]:
    streams = LiveStreams(own_gateway, upstream)
    yield streams
    streams.close()


def reload(gateway: Gateway, config: Config) -> None:
    gateway.write_config(config)
    gateway.signal(signal.SIGHUP)


def assert_whole(answers: list[ChatAnswer]) -> None:
    for answer in answers:
        assert answer.succeeded().text() == "".join(FIRST + SECOND)


def test_a_reload_breaks_no_stream(
    own_gateway: Gateway, upstream: Upstream, live_streams: LiveStreams
) -> None:
    """hazard 30: routes, addresses and keys are replaced under twenty live streams."""
    config = gateway_config(upstream.url)
    config["providers"]["up"]["api_key"] = "sk-rotated"
    config["models"]["fresh"] = {"use": ["up/mock-fresh"]}
    del config["models"]["pair"]
    reload(own_gateway, config)
    eventually(
        lambda: post_chat(own_gateway.address, body_for(model="fresh")).status == 200,
        "the new model answers",
    )
    last = upstream.requests[-1]
    assert last.json["model"] == "mock-fresh"
    assert last.headers["authorization"] == "Bearer sk-rotated"
    assert post_chat(own_gateway.address, body_for(model="pair")).status == 404
    answers = live_streams.finish()
    assert_whole(answers)
    for answer in answers[:RELAYED]:  # what is read from the log was not relayed
        stream = answer.response.head.get("tidegate-stream")
        assert fetch(own_gateway.address, "GET", f"/v1/streams/{stream}").body == answer.response.body


def test_a_bad_reload_changes_nothing(own_gateway: Gateway, live_streams: LiveStreams) -> None:
    """hazard 30: a mistake in the file is told, and the old settings stay."""
    reload(own_gateway, {"modles": {}})
    eventually(lambda: "modles" in own_gateway.output(), "the mistake is told")
    assert_whole(live_streams.finish())
    assert stream_chat(own_gateway.address).succeeded()


def test_many_reloads_in_a_row(own_gateway: Gateway, upstream: Upstream, live_streams: LiveStreams) -> None:
    """hazard 30: pools of connections that are replaced again and again are closed, not leaked."""
    before = own_gateway.descriptors
    for number in range(10):
        config = gateway_config(upstream.url)
        config["models"][f"fresh-{number}"] = {"use": ["up/mock"]}
        reload(own_gateway, config)
        name = f"fresh-{number}"
        eventually(
            lambda name=name: post_chat(own_gateway.address, body_for(model=name)).status == 200,  # type: ignore[misc]
            "the new model answers",
        )
    assert_whole(live_streams.finish())
    eventually(lambda: own_gateway.descriptors <= before + 4, "connections of old pools are closed")


def test_a_stop_lets_streams_finish(own_gateway: Gateway, live_streams: LiveStreams) -> None:
    """hazard 30: SIGTERM refuses newcomers and waits for those who are being served."""
    own_gateway.signal(signal.SIGTERM)
    assert_whole(live_streams.finish())
    assert own_gateway.process.wait(10) == 0


def test_a_stop_waits_for_nobody_who_is_idle(upstream: Upstream, start_gateway: StartGateway) -> None:
    """hazard 30: connections that are only kept open, on either side, do not hold up the exit."""
    gateway = start_gateway(gateway_config(upstream.url))
    with RawConnection(gateway.address) as idle, RawConnection(gateway.address) as silent:
        idle.send(request_bytes("POST", "/v1/chat/completions", body_for()))
        idle.read_response()
        began = time.monotonic()
        gateway.signal(signal.SIGTERM)
        assert gateway.process.wait(10) == 0
        assert time.monotonic() - began < 3
        assert idle.ended()
        assert silent.ended()


def test_newcomers_are_refused_while_it_stops(own_gateway: Gateway, live_streams: LiveStreams) -> None:
    """hazard 30: a stopping gateway says so, or does not answer at all; it takes nothing on."""
    own_gateway.signal(signal.SIGTERM)
    eventually(lambda: newcomer_is_refused(own_gateway), "newcomers are refused")
    assert_whole(live_streams.finish())
    assert own_gateway.process.wait(10) == 0


def newcomer_is_refused(gateway: Gateway) -> bool:
    try:
        return post_chat(gateway.address, body_for(), timeout=1).status == 503
    except (OSError, EOFError):
        return True


def test_a_stop_ends_what_does_not_finish_honestly(upstream: Upstream, start_gateway: StartGateway) -> None:
    """hazard 30: after the deadline every stream that is left ends in one error, and the exit is clean."""
    gateway = start_gateway(gateway_config(upstream.url, server={"shutdown": "300ms"}))
    streams = LiveStreams(gateway, upstream)
    gateway.signal(signal.SIGTERM)
    for one in streams.open:
        answer = one.rest()
        assert answer.text() == "".join(FIRST)
        assert answer.failed()
    streams.close()
    assert gateway.process.wait(10) == 0
    for request in upstream.requests:
        request.connection.wait_closed()
