"""Owns the tests of the scripted upstream itself: what it says it sends must be what a client gets."""

from __future__ import annotations

import gzip
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import APIError, OpenAI

from tests.chat import (
    DONE,
    broken_off,
    chunk,
    completion,
    error,
    frame,
    plain,
    stream,
    text_chunks,
    text_stream,
)
from tests.raw_http import Address, RawConnection, fetch, request_bytes
from tests.script import (
    Close,
    CutChunk,
    End,
    Flood,
    Gate,
    Head,
    Raw,
    Reach,
    Reset,
    Send,
    Stall,
    Step,
    WaitFor,
)
from tests.upstream import Request, Upstream


@pytest.fixture
def server() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream
        assert upstream.errors == []


def address(server: Upstream) -> Address:
    return "127.0.0.1", server.port


def ask(server: Upstream) -> RawConnection:
    connection = RawConnection(address(server))
    connection.send(request_bytes("POST", "/v1/chat/completions", {"stream": True}))
    return connection


def test_the_sdk_reads_a_text_stream(server: Upstream) -> None:
    server.play(text_stream(["Hel", "lo"]))
    with OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0) as client:
        with client.chat.completions.create(
            model="mock", messages=[{"role": "user", "content": "x"}], stream=True
        ) as answer:
            text = "".join(part.choices[0].delta.content or "" for part in answer if part.choices)
        assert text == "Hello"
        assert server.request().json["messages"] == [{"role": "user", "content": "x"}]
        assert server.request().headers["authorization"] == "Bearer k"


def test_models_are_listed(server: Upstream) -> None:
    assert fetch(address(server), "GET", "/v1/models").json["data"][0]["id"] == "mock"
    assert [probe.path for probe in server.probes] == ["/v1/models"]
    assert server.requests == []


def test_every_piece_is_a_chunk_of_its_own(server: Upstream) -> None:
    server.play([Head(), Send(b"abcdef", each=1), Send(b"ghij", at=(1, 3)), End()])
    with ask(server) as connection:
        answer = connection.read_response()
    assert answer.chunks == [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"hi", b"j"]


def test_raw_bytes_split_the_framing_too(server: Upstream) -> None:
    server.play([Head(), Raw(b"5\r\nhello\r\n0\r\n\r\n", each=1)])
    with ask(server) as connection:
        assert connection.read_response().body == b"hello"


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_each_framing_carries_a_body(server: Upstream, framing: str) -> None:
    head = {
        "chunked": Head(),
        "length": Head(framing="length", length=5),
        "close": Head(framing="close"),
    }[framing]
    server.play([head, Send(b"hello"), End()])
    with ask(server) as connection:
        assert connection.read_response().body == b"hello"


def test_a_gate_holds_a_stream_up(server: Upstream) -> None:
    gate, reached = Gate(), Gate()
    server.play([Head(), Send(b"one"), Reach(reached), WaitFor(gate), Send(b"two"), End()])
    with ask(server) as connection:
        connection.read_head()
        assert connection.read_chunk() == b"one"
        reached.wait()
        connection.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.read_chunk()
        gate.open()
        connection.socket.settimeout(5)
        assert connection.read_chunk() == b"two"


def test_a_compressed_stream_is_flushed_with_every_event(server: Upstream) -> None:
    gate = Gate()
    server.play([Head(gzip=True), Send(b"one "), WaitFor(gate), Send(b"two"), End()])
    with ask(server) as connection:
        assert connection.read_head().get("content-encoding") == "gzip"
        first = connection.read_chunk()
        gate.open()
        rest = b"".join(connection.chunks())
    assert gzip.decompress(first + rest) == b"one two"


def test_a_reset_is_a_reset(server: Upstream) -> None:
    server.play(broken_off([chunk("x")], Reset()))
    with ask(server) as connection, pytest.raises(ConnectionResetError):
        connection.read_response()


def test_a_close_is_clean(server: Upstream) -> None:
    server.play(broken_off([chunk("x")], Close()))
    with ask(server) as connection:
        connection.read_head()
        assert connection.read_chunk() == frame(chunk("x"))
        with pytest.raises(EOFError):
            connection.read_chunk()


def test_a_cut_chunk_ends_inside(server: Upstream) -> None:
    server.play(broken_off([chunk("x")], CutChunk(b"abc", announced=10)))
    with ask(server) as connection:
        connection.read_head()
        connection.read_chunk()
        assert connection.read_to_end() == b"a\r\nabc"


def test_a_hang_up_is_recorded_with_its_time(server: Upstream) -> None:
    server.play([Head(), Send(b"x"), Stall()])
    with ask(server) as connection:
        connection.read_head()
        connection.read_chunk()
        before = time.monotonic()
        connection.close()
    assert before <= server.request().connection.wait_closed() <= time.monotonic()


def test_an_end_by_script_is_no_hang_up(server: Upstream) -> None:
    server.play([Head(framing="close"), Send(b"x"), End()])
    with ask(server) as connection:
        connection.read_response()
    server.wait_until(lambda: server.open_connections == 0, "the end of the connection")
    assert server.request().connection.closed_at is None


def test_requests_are_counted_by_connection(server: Upstream) -> None:
    server.play(text_stream(), plain(completion()), error(429, headers={"Retry-After": "7"}))
    with ask(server) as connection:
        assert connection.read_response().body.endswith(DONE)
        for status in (200, 429):
            connection.send(request_bytes("POST", "/v1/chat/completions", {}))
            assert connection.read_response().status == status
    assert len(server.connections) == 1
    assert len(server.connections[0].requests) == 3


@pytest.mark.parametrize("end", [Close(), Reset(), Raw(b"noise")])
def test_a_request_that_meets_the_end_of_its_connection_takes_no_script(server: Upstream, end: Step) -> None:
    """It is sent again elsewhere, and must find there what was meant for it."""
    gate = Gate()
    server.play([*text_stream(), WaitFor(gate), end], plain(b"for whom it was meant"))
    with ask(server) as connection:
        connection.read_response()
        connection.send(request_bytes("POST", "/v1/chat/completions", {}))
        gate.open()
        assert connection.read_to_end() == (b"noise" if isinstance(end, Raw) else b"")
    assert fetch(address(server), "POST", "/v1/chat/completions", {}).body == b"for whom it was meant"
    assert len(server.requests) == 2


def test_an_answer_can_depend_on_the_request(server: Upstream) -> None:
    def answer(request: Request) -> list[End | Head | Send]:
        return [Head(framing="length", length=1), Send(request.body), End()]

    server.answer = answer
    assert fetch(address(server), "POST", "/v1/chat/completions", b"7").body == b"7"


def test_bytes_after_the_body_stay_on_the_connection(server: Upstream) -> None:
    server.play([*stream(text_chunks(["x"])), Raw(b"noise")])
    with ask(server) as connection:
        connection.read_response()
        assert connection.read_exactly(5) == b"noise"


def test_a_flood_is_paused_by_a_reader_that_does_not_read(server: Upstream) -> None:
    sent: list[int] = []
    server.play([Head(), Flood(b"x" * 65536, 1000, sent), End()])
    with RawConnection(address(server), receive_buffer=65536) as connection:
        connection.send(request_bytes("POST", "/v1/chat/completions", {}))
        assert connection.read_until(b"\r\n\r\n")
        server.wait_until(lambda: bool(server.requests), "the request")
        assert sum(map(len, connection.chunks())) == 65_536_000
    assert sum(sent) == 65_536_000


def test_a_frame_of_sixteen_megabytes_arrives(server: Upstream) -> None:
    big = chunk("x" * 16_000_000)
    server.play(stream([big]))
    with ask(server) as connection:
        assert connection.read_response().body == frame(big) + DONE


def test_frames_in_every_spelling() -> None:
    assert frame("x") == b"data: x\n\n"
    assert frame("x", space=False, newline="\r\n") == b"data:x\r\n\r\n"
    assert (
        frame("x", event="error", event_id="7", newline="\r", blank=False)
        == b"event: error\rid: 7\rdata: x\r"
    )
    assert frame({"a": "世"}) == 'data: {"a": "世"}\n\n'.encode()


def test_a_unix_socket_is_served(tmp_path: Path) -> None:
    path = tmp_path / "upstream.sock"
    with Upstream(path) as server, socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(path))
        connection.sendall(request_bytes("POST", "/v1/chat/completions", {"stream": False}))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert server.request().json == {"stream": False}


def test_an_error_in_the_stream_reaches_the_sdk(server: Upstream) -> None:
    server.play(stream([*text_chunks(["x"], finish=None), {"error": {"message": "overloaded"}}]))
    with (
        OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0) as client,
        client.chat.completions.create(
            model="mock", messages=[{"role": "user", "content": "x"}], stream=True
        ) as answer,
        pytest.raises(APIError, match="overloaded"),
    ):
        list(answer)
