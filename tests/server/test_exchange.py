"""The bytes of a response, and what becomes of the connection after it."""

from __future__ import annotations

import asyncio

import httptools
import pytest

from tests.loops import in_virtual_time
from tidegate.server.exchange import Exchange, status_line

HEADERS = b"content-type: text/event-stream\r\n"


class Wire(asyncio.Transport):
    """A client's transport that keeps each write."""

    def __init__(self, *, half_close: bool = True) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.ended: list[str] = []
        self._half_close = half_close

    @property
    def sent(self) -> bytes:
        return b"".join(self.writes)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "written after the end"
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.ended.append("close")

    def abort(self) -> None:
        self.ended.append("abort")

    def can_write_eof(self) -> bool:
        return self._half_close

    def write_eof(self) -> None:
        self.ended.append("eof")


class Paused:
    """What a transport with a full buffer is known by."""

    write_paused = True


class Made:
    """An exchange, and what it did to those around it."""

    def __init__(
        self,
        *,
        http_1_0: bool = False,
        keep_alive: bool = True,
        max_body: int = 100,
        headers: list[tuple[bytes, bytes]] | None = None,
        wire: Wire | None = None,
    ) -> None:
        self.wire = wire or Wire()
        self.served: list[bytes] = []
        self.completed = 0
        self.exchange = Exchange(
            "openai-chat",
            headers or [],
            self.wire,
            http_1_0=http_1_0,
            keep_alive=keep_alive,
            max_body=max_body,
            serve=lambda exchange: self.served.append(exchange.body),
            on_complete=self._on_complete,
        )

    def _on_complete(self) -> None:
        self.completed += 1

    def ask(self, *parts: bytes) -> Exchange:
        """The request arrives whole, and its turn has come."""
        self.exchange.begin()
        for part in parts:
            assert self.exchange.receive(part)
        self.exchange.received()
        return self.exchange


class Read:
    """What a client makes of the bytes."""

    def __init__(self, sent: bytes) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.chunks = 0
        self.complete = False
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(sent)
        self.status: int = self._parser.get_status_code()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name] = value

    def on_body(self, body: bytes) -> None:
        self.body += body
        self.chunks += 1

    def on_message_complete(self) -> None:
        self.complete = True


def test_a_request_is_served_when_it_has_arrived_and_its_turn_has_come() -> None:
    made = Made()
    made.exchange.begin()
    assert made.served == []
    assert made.exchange.receive(b"one ")
    assert made.exchange.receive(b"two")
    assert made.served == []
    made.exchange.received()
    assert made.served == [b"one two"]


def test_one_that_arrives_before_its_turn_waits() -> None:
    """Pipelined: the response before it is still being written."""
    made = Made()
    assert made.exchange.receive(b"x")
    made.exchange.received()
    assert made.served == []
    made.exchange.begin()
    assert made.served == [b"x"]


@pytest.mark.parametrize("parts", [[], [b""], [b"x"], [b"x", b"y"]])
def test_bodies_in_any_parts(parts: list[bytes]) -> None:
    made = Made()
    made.ask(*parts)
    assert made.served == [b"".join(parts)]


def test_a_body_over_the_limit_is_refused_when_it_gets_there() -> None:
    made = Made(max_body=5)
    assert made.exchange.receive(b"12345")
    assert not made.exchange.receive(b"6")


def test_what_comes_behind_a_refusal_is_dropped() -> None:
    made = Made()
    made.exchange.begin()
    made.exchange.response_complete = True
    assert made.exchange.receive(b"x" * 1000)
    made.exchange.received()
    assert made.served == []


def test_the_first_header_of_a_name_counts() -> None:
    made = Made(headers=[(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
    assert [made.exchange.header(name) for name in (b"a", b"b", b"c")] == [b"1", b"2", None]


def test_a_whole_response() -> None:
    made = Made()
    made.ask(b"x").respond(200, HEADERS, b"hello")
    assert made.wire.writes == [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 5\r\n\r\nhello"
    ]
    assert (made.completed, made.wire.ended, made.exchange.response_complete) == (1, [], True)


def test_a_status_without_a_body_tells_no_length() -> None:
    made = Made()
    made.ask(b"x").respond(204, HEADERS, b"")
    assert made.wire.writes == [b"HTTP/1.1 204 No Content\r\ncontent-type: text/event-stream\r\n\r\n"]
    assert Read(made.wire.sent).complete


def test_a_client_that_has_not_taken_the_response_before_has_no_room() -> None:
    assert not Made().exchange.full
    exchange = Exchange(
        "openai-chat",
        [],
        Wire(),
        http_1_0=False,
        keep_alive=True,
        max_body=1,
        serve=lambda _: None,
        on_complete=lambda: None,
        flow=Paused(),
    )
    assert exchange.full


def test_a_whole_response_on_a_connection_that_ends() -> None:
    made = Made(keep_alive=False)
    made.ask(b"x").respond(404, b"", b"")
    assert Read(made.wire.sent).headers[b"connection"] == b"close"
    assert (made.completed, made.wire.ended) == (0, ["close"])


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, b"HTTP/1.1 200 OK\r\n"),
        (429, b"HTTP/1.1 429 Too Many Requests\r\n"),
        (520, b"HTTP/1.1 520 Upstream Error\r\n"),
        (599, b"HTTP/1.1 599 Upstream Error\r\n"),
    ],
)
def test_status_lines(status: int, line: bytes) -> None:
    assert status_line(status) == line
    made = Made()
    made.ask().respond(status, b"", b"x")
    assert Read(made.wire.sent).status == status


def test_a_stream() -> None:
    made = Made()
    exchange = made.ask(b"x")
    exchange.open(HEADERS, b"data: 1\n\n")
    exchange.write(b"data: 2\n\n")
    exchange.close(b"data: 3\n\n")
    assert made.wire.writes == [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        b"9\r\ndata: 1\n\n\r\n",
        b"9\r\ndata: 2\n\n\r\n",
        b"9\r\ndata: 3\n\n\r\n0\r\n\r\n",
    ]
    assert (made.completed, made.wire.ended) == (1, [])


def test_its_head_and_first_bytes_leave_in_one_write() -> None:
    """Else a client would see headers long before there is anything to read."""
    made = Made()
    made.ask(b"x").open(HEADERS, b"data: 1\n\n")
    assert len(made.wire.writes) == 1


@pytest.mark.parametrize("http_1_0", [True, False])
@pytest.mark.parametrize("last", [b"", b"data: 3\n\n"])
@pytest.mark.parametrize("first", [b"", b"data: 1\n\n"])
def test_nothing_to_write_is_no_end(first: bytes, last: bytes, http_1_0: bool) -> None:
    """A chunk of no bytes would end the body: a keep-alive is empty where a dialect has none."""
    made = Made(http_1_0=http_1_0)
    exchange = made.ask(b"x")
    exchange.open(HEADERS, first)
    exchange.write(b"")
    exchange.write(b"data: 2\n\n")
    if not http_1_0:
        assert not Read(made.wire.sent).complete
    exchange.close(last)
    read = Read(made.wire.sent)
    assert read.body == first + b"data: 2\n\n" + last
    assert read.complete is not http_1_0


def test_a_stream_for_a_client_that_knows_no_chunks() -> None:
    made = Made(http_1_0=True)
    exchange = made.ask(b"x")
    exchange.open(HEADERS, b"data: 1\n\n")
    exchange.write(b"data: 2\n\n")
    exchange.close(b"")
    assert made.wire.sent == (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        b"data: 1\n\ndata: 2\n\n"
    )
    assert (made.completed, made.wire.ended) == (0, ["close"])


def test_a_stream_on_a_connection_that_ends() -> None:
    made = Made(keep_alive=False)
    exchange = made.ask(b"x")
    exchange.open(HEADERS, b"data: 1\n\n")
    exchange.close(b"")
    read = Read(made.wire.sent)
    assert (read.headers[b"connection"], read.complete) == (b"close", True)
    assert made.wire.ended == ["close"]


def test_an_ended_exchange_has_let_go_of_its_client() -> None:
    class Client:
        def gone(self) -> None: ...

        def blocked(self) -> None: ...

        def unblocked(self) -> None: ...

    made = Made()
    exchange = made.ask(b"x")
    exchange.client = Client()
    exchange.respond(200, b"", b"")
    assert exchange.client is None


@pytest.mark.parametrize("half_close", [True, False])
def test_a_refusal_before_the_body_has_come_can_be_read(half_close: bool) -> None:
    """Closing at once, with input unread, would reset the connection before the client has read why."""
    wire = Wire(half_close=half_close)

    @in_virtual_time
    async def refuse() -> None:
        made = Made(wire=wire)
        made.exchange.begin()
        made.exchange.respond(413, b"", b"too large")
        assert Read(wire.sent).headers[b"connection"] == b"close"
        assert wire.ended == (["eof"] if half_close else [])
        await asyncio.sleep(1.9)
        assert "abort" not in wire.ended
        await asyncio.sleep(0.2)
        assert wire.ended[-1] == "abort"
        assert made.completed == 0

    refuse()


@pytest.mark.parametrize(
    "name", ["response_complete", "disconnected", "keep_alive", "message_event", "more_body"]
)
def test_an_exchange_has_what_uvicorn_uses_of_the_cycle_that_it_stands_for(name: str) -> None:
    assert hasattr(Made().exchange, name)


def test_setting_its_event_wakes_nobody() -> None:
    Made().exchange.message_event.set()


def test_a_body_that_breaks_off_has_no_end_and_no_successor() -> None:
    made = Made()
    exchange = made.ask(b"{}")
    exchange.open(HEADERS, b"part")
    exchange.break_off()
    assert made.wire.sent.endswith(b"4\r\npart\r\n")
    assert (made.wire.ended, made.completed) == (["close"], 0)
