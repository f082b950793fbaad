"""One event may be as big as an image; nothing may be lost, and memory stays in proportion."""

from __future__ import annotations

import pytest

from tests.chat import DONE, chunk, frame, frames, stream, streamed_bytes, text_chunks
from tests.chat_stream import body_for, post_chat, stream_chat
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.script import Flood, Head, Send, Stall
from tests.upstream import Upstream

SIZE = 16_000_000


def test_sixteen_megabytes_in_one_event(upstream: Upstream, start_gateway: StartGateway) -> None:
    """hazard 16: delivered whole, and the events around it too; memory grows by less than three events."""
    gateway = start_gateway(gateway_config(upstream.url), copied=False)
    stream_chat(gateway.address).succeeded()
    before = gateway.memory
    picture = "data:image/png;base64," + "iVBORw0KGgo+" * (SIZE // 12)
    upstream.play(stream([chunk("before "), chunk(picture), chunk(" after"), chunk(finish="stop")]))
    answer = stream_chat(gateway.address, timeout=30).succeeded()
    assert answer.text() == f"before {picture} after"
    assert gateway.peak_memory - before < 3 * len(picture) + 16 * 2**20
    assert stream_chat(gateway.address).succeeded()


@pytest.mark.parametrize("size", [4096, 65_536, 2**20])
@pytest.mark.parametrize("each", [None, 4096])
def test_sizes_at_which_line_readers_break(
    gateway: Gateway, upstream: Upstream, size: int, each: int | None
) -> None:
    """hazard 16: just under, at and over the usual buffers, arriving at once or in pages."""
    sizes = [size - 200, size - 1, size, size + 1]
    parts = [chunk(str(digit) * length) for digit, length in enumerate(sizes)]
    upstream.play(streamed_bytes(frames([*parts, chunk(finish="stop")]) + DONE, each=each))
    answer = stream_chat(gateway.address).succeeded()
    assert answer.text() == "".join(str(digit) * length for digit, length in enumerate(sizes))


def test_an_event_over_the_cap_is_a_clean_error(upstream: Upstream, start_gateway: StartGateway) -> None:
    """hazard 16: the cap is a setting; an endless line ends in one error, not in all memory."""
    gateway = start_gateway(gateway_config(upstream.url, server={"max_frame": "1MiB"}), copied=False)
    begun = frames(text_chunks(["before"], finish=None))
    upstream.play([Head(), Send(begun), Send(b'data: {"x": "'), Flood(b"y" * 65536, 10**6), Stall()])
    before = gateway.memory
    answer = stream_chat(gateway.address)
    assert answer.text() == "before"
    assert answer.failed()
    assert gateway.peak_memory - before < 64 * 2**20
    upstream.request().connection.wait_closed()
    assert stream_chat(gateway.address).succeeded()


def test_a_huge_whole_answer(upstream: Upstream, start_gateway: StartGateway) -> None:
    """hazard 16: the same without streaming."""
    gateway = start_gateway(gateway_config(upstream.url))
    upstream.play(streamed_bytes(frame(chunk("x" * SIZE)) + frame(chunk(finish="stop")) + DONE, each=100_000))
    response = post_chat(gateway.address, body_for(stream=False), timeout=30)
    assert len(response.json["choices"][0]["message"]["content"]) == SIZE
