"""Calling a remote server: what is sent, what its answers become, and which connection carries the call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager

import pytest

from tests.loops import on_both_loops, until
from tests.net.parts import served
from tests.streams.parts import ManualClock
from tidegate.config import Provider
from tidegate.config.secret import Secret
from tidegate.core.event import AnyEvent, End, Text
from tidegate.core.request import Header
from tidegate.core.source import Flow
from tidegate.core.steady import Passable, Steady
from tidegate.core.usage import Usage
from tidegate.dialects import load_dialect
from tidegate.errors import Broken, Rejected, SourceError, Unreachable
from tidegate.net import Address, Pool
from tidegate.net.address import split_url
from tidegate.sources.server import Upstream, request_head, upstream
from tidegate.sources.upstream import UpstreamSource

CHAT = load_dialect("openai-chat")
REQUEST = CHAT.read_request(b'{"model":"ours","messages":[{"role":"user","content":"Hi"}],"x":1.50}')

STREAM = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
WHOLE = b'{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}]}'
SSE = "content-type: text/event-stream\r\n"


def answer(body: bytes, headers: str = SSE, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body


HEADER = Header(id="0" * 32, caller="c", dialect="openai-chat", model="m", created=0)


class Said:
    """An output that keeps what is emitted, and what it was told to control."""

    def __init__(self) -> None:
        self.header = HEADER
        self.events: list[AnyEvent] = []
        self.flows: list[bool] = []

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Text))

    @property
    def ended(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], End)

    def emit(self, event: AnyEvent) -> None:
        self.emit_all((event,))

    def emit_all(self, events: Sequence[AnyEvent]) -> None:
        self.events += events

    def drop(self, fields: Sequence[str]) -> None:
        self.dropped = tuple(fields)

    def steady(self, steady: Steady, upstream: Passable) -> bool:
        return False

    async def ready(self) -> None:
        raise AssertionError("an upstream pushes")

    def unhurried(self) -> AbstractContextManager[None]:
        raise AssertionError("no person is asked")

    def count(self, usage: Usage) -> None:
        raise AssertionError("it counts at its end")

    def control(self, flow: Flow | None) -> None:
        self.flows.append(flow is not None)


class Server:
    """Answers the requests that come with what it is given; a pause is an empty answer that closes."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.requests: list[tuple[list[str], bytes]] = []
        self.connections = 0
        self.closed = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                [length] = [line.split(": ")[1] for line in head if line.startswith("content-length")]
                self.requests.append((head, await reader.readexactly(int(length))))
                reply = self._answers.pop(0) if self._answers else b""
                if not reply:
                    return
                writer.write(reply)
        finally:
            self.closed += 1


class Call:
    """A source for a server, and the pool that its connections come from."""

    def __init__(self, address: Address, max_frame: int = 1 << 20) -> None:
        self.pool = Pool(asyncio.get_running_loop().time)
        self.clock = ManualClock()
        server = Upstream(
            "up",
            address,
            CHAT,
            frozenset(),
            path="/v1",
            query={},
            headers={"authorization": "Bearer k"},
            max_frame=max_frame,
            pool=self.pool,
            clock=self.clock,
        )
        self.source = UpstreamSource(server, "theirs", 5)

    async def say(self) -> Said:
        out = Said()
        await self.source.run(REQUEST, out)
        return out

    async def fail(self) -> SourceError:
        with pytest.raises(SourceError) as raised:
            await self.source.run(REQUEST, Said())
        return raised.value


@on_both_loops
async def test_what_is_sent() -> None:
    async with served(server := Server(answer(STREAM + STOP))) as address:
        call = Call(address)
        await call.say()
        call.pool.close()
    [(head, body)] = server.requests
    assert head[0] == "POST /v1/chat/completions HTTP/1.1"
    assert {f"host: {address.host_header}", "authorization: Bearer k", "accept-encoding: identity"} <= set(
        head
    )
    assert json.loads(body)["model"] == "theirs"
    assert b'"x":1.50' in body


@on_both_loops
async def test_a_stream_becomes_events() -> None:
    async with served(Server(answer(STREAM + STREAM + STOP))) as address:
        call = Call(address)
        out = await call.say()
        assert (out.text, out.ended) == ("aa", True)
        call.pool.close()


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_a_whole_answer_becomes_events(kind: str) -> None:
    @on_both_loops
    async def whole() -> None:
        async with served(Server(answer(WHOLE, f"Content-Type: {kind}\r\n"))) as address:
            call = Call(address)
            out = await call.say()
            assert (out.text, out.ended) == ("a", True)
            call.pool.close()

    whole()


@on_both_loops
async def test_a_stream_may_come_under_any_other_type() -> None:
    for kind in ("content-type: text/plain\r\n", "content-type: application/octet-stream\r\n", ""):
        async with served(Server(answer(STREAM + STOP, kind))) as address:
            call = Call(address)
            assert (await call.say()).text == "a"
            call.pool.close()


@on_both_loops
async def test_its_flow_is_controlled_while_it_lasts() -> None:
    async with served(Server(answer(STREAM + STOP))) as address:
        call = Call(address)
        assert (await call.say()).flows == [True, False]
        call.pool.close()


@on_both_loops
async def test_the_connection_is_used_again() -> None:
    async with served(server := Server(*[answer(STREAM + STOP)] * 4)) as address:
        call = Call(address)
        for _ in range(4):
            assert (await call.say()).text == "a"
        assert (server.connections, len(server.requests)) == (1, 4)
        call.pool.close()


@on_both_loops
async def test_a_stale_connection_is_no_attempt() -> None:
    """The server closed it just as it was used again: the request goes out on another, and nobody is told."""
    async with served(server := Server(answer(STREAM + STOP), b"", answer(STREAM + STOP))) as address:
        call = Call(address)
        await call.say()
        assert (await call.say()).text == "a"
        assert (server.connections, len(server.requests)) == (2, 3)
        call.pool.close()


@on_both_loops
async def test_several_stale_ones_are_passed_over() -> None:
    good, gone = answer(STREAM + STOP), b""
    async with served(server := Server(good, good, good, gone, gone, gone, good)) as address:
        call = Call(address)
        connections = [await call.pool.connect(address, 5) for _ in range(3)]
        for connection in connections:
            connection.send(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n", Quiet())
        await until(lambda: all(connection._complete for connection in connections))
        for connection in connections:
            call.pool.release(address, connection)
        assert (await call.say()).text == "a"
        assert server.connections == 4
        call.pool.close()


class Quiet:
    """A receiver that wants nothing."""

    def head(self, head: object) -> None: ...

    def data(self, data: bytes) -> None: ...

    def complete(self) -> None: ...

    def failed(self, error: object) -> None: ...


@on_both_loops
async def test_a_new_connection_that_closes_without_an_answer_is_an_error() -> None:
    """Once, not for ever: it may be the request that the server cannot bear."""
    async with served(server := Server(b"")) as address:
        error = await Call(address).fail()
        assert isinstance(error, Unreachable)
        assert len(server.requests) == 1


@on_both_loops
async def test_an_answer_that_breaks_off_is_not_asked_for_again() -> None:
    cut = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    cut += b"%x\r\n%b\r\n" % (len(STREAM), STREAM)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.append(1)
        writer.write(cut)

    asked: list[int] = []
    async with served(serve) as address:
        out, call = Said(), Call(address)
        with pytest.raises(Broken, match="in mid-answer"):
            await call.source.run(REQUEST, out)
        assert (out.text, out.ended, len(asked)) == ("a", False, 1)


@on_both_loops
async def test_an_answer_that_breaks_off_inside_of_a_call_names_the_tool() -> None:
    call = b'{"index":0,"id":"c","type":"function","function":{"name":"rm","arguments":"{"}}'
    body = b'data: {"choices":[{"index":0,"delta":{"tool_calls":[%b]}}]}\n\n' % call
    cut = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 999\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(cut + body)

    async with served(serve) as address:
        with pytest.raises(Broken, match="in mid-answer, inside a call of the tool 'rm'"):
            await Call(address).source.run(REQUEST, Said())


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        (STREAM, SSE, "ended before choice 0 was finished"),
        (b"", SSE, "ended before it began"),
        (b"data: {\n\n", SSE, "not JSON"),
        (b"{", "content-type: application/json\r\n", "not JSON"),
        (b"[" * 100_000, "content-type: application/json\r\n", "nested too deeply"),
        (STREAM + b'data: {"error":{"message":"over"}}\n\n', SSE, "over"),
    ],
)
def test_what_is_no_answer_is_an_error_and_its_connection_is_closed(
    body: bytes, headers: str, words: str
) -> None:
    @on_both_loops
    async def fail() -> None:
        async with served(server := Server(answer(body, headers))) as address:
            call = Call(address)
            assert words in (await call.fail()).message
            await until(lambda: server.closed == 1)
            assert call.pool.take(address) is None

    fail()


@on_both_loops
async def test_an_answer_without_bounds_is_given_up() -> None:
    async with served(Server(answer(b" " * 5000, "content-type: application/json\r\n"))) as address:
        error = await Call(address, max_frame=1000).fail()
        assert "longer than 1000 bytes" in error.message


@on_both_loops
async def test_an_error_has_its_status_and_words() -> None:
    body = b'{"error":{"message":"slow down","type":"rate_limit_error","code":"rpm"}}'
    async with served(Server(answer(body, "retry-after: 7\r\n", "429 Too Many Requests"))) as address:
        error = await Call(address).fail()
    assert isinstance(error, Rejected)
    assert (error.status, error.message, error.code, error.retry_after) == (429, "slow down", "rpm", 7)


@on_both_loops
async def test_a_long_page_of_error_is_not_waited_for() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Unavailable\r\ncontent-length: 9999999\r\n\r\n" + b"x" * 100_000)
        await reader.read()

    async with served(serve) as address:
        assert (await Call(address).fail()).status == 503


# 1700000000 is Tue, 14 Nov 2023 22:13:20 GMT.


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("1.5", 1.5),
        (" 3 ", 3),
        ("-5", 0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Tuesday, 14-Nov-23 22:14:20 GMT", 60),
        ("Tue Nov 14 22:14:20 2023", 60),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60),
        ("Tue, 14 Nov 2023 23:14:20 +0100", 60),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("inf", None),
        ("-inf", None),
        ("nan", None),
        ("1e400", None),
        ("Mon, 01 Jan 99999999999999 00:00:00 GMT", None),
        ("Tue, 14 Nov 2023 22:14:20 +99999999999999999999", None),
        ("\xff\xfe", None),
    ],
)
def test_retry_after_in_every_form(value: str, seconds: float | None) -> None:
    """Seconds or a date; anything else is as good as not said, and never in the way of the error itself."""

    @on_both_loops
    async def ask() -> None:
        sent = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nretry-after: %b\r\n\r\n" % value.encode("latin-1")
        async with served(Server(sent)) as address:
            call = Call(address)
            call.clock.seconds = 1_700_000_000
            error = await call.fail()
        assert (error.status, error.retry_after) == (503, seconds)

    ask()


@pytest.mark.parametrize(
    "first", [b"", b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + STREAM]
)
def test_cancelling_closes_the_upstreams_socket(first: bytes) -> None:
    """Before its first byte and after it."""

    @on_both_loops
    async def cancel() -> None:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(first)
            asked.set()
            await reader.read()
            gone.set()

        asked, gone = asyncio.Event(), asyncio.Event()
        async with served(serve) as address:
            call, out = Call(address), Said()
            task = asyncio.get_running_loop().create_task(call.source.run(REQUEST, out))
            await asked.wait()
            task.cancel()
            async with asyncio.timeout(1):
                await gone.wait()
            await asyncio.wait([task])
            assert task.cancelled()
            assert out.flows == [True, False]

    cancel()


@pytest.mark.parametrize(
    ("provider", "line", "headers"),
    [
        (
            Provider(name="p", base_url="https://api.example/v1/", credential=Secret("k")),
            "POST /v1/chat/completions HTTP/1.1",
            {"host: api.example", "authorization: Bearer k"},
        ),
        (
            Provider(name="p", base_url="http://h:1", auth="header:api-key", credential=Secret("k")),
            "POST /chat/completions HTTP/1.1",
            {"host: h:1", "api-key: k"},
        ),
        (
            Provider(
                name="p",
                base_url="http://h/v1",
                auth="query:key",
                credential=Secret("a b&c"),
                query={"api-version": Secret("1")},
                headers={"X-Org": Secret("o"), "Accept-Encoding": Secret("gzip")},
            ),
            "POST /v1/chat/completions?api-version=1&key=a+b%26c HTTP/1.1",
            {"host: h", "x-org: o", "accept-encoding: gzip"},
        ),
    ],
)
def test_heads_of_providers(provider: Provider, line: str, headers: set[str]) -> None:
    """The operator's headers win; each name stands once."""
    built = upstream(provider, 1000, Pool(lambda: 0.0), ManualClock())
    first, *rest = request_head(built, CHAT.target("m")).decode().split("\r\n")
    assert first == line
    assert headers <= set(rest)
    names = [each.partition(":")[0] for each in rest if each]
    assert len(names) == len(set(names))
    assert built.address == split_url(provider.base_url)[0]
