"""Connections over real sockets, on the loop of tests and on the loop of servers."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from tests.loops import on_both_loops, turns, until
from tests.net.parts import REQUEST, Heard, request, response, self_signed, served
from tidegate.errors import Broken, TimedOut, Unreachable
from tidegate.net import Address, Connection, Pool
from tidegate.net.fetch import fetch

LONG = 8 << 20


def pool() -> Pool:
    return Pool(asyncio.get_running_loop().time)


async def answer_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await request(reader):
        writer.write(response(b"hello"))


async def ask(connection: Connection) -> Heard:
    heard = Heard()
    connection.send(REQUEST, heard)
    await heard.over.wait()
    return heard


@on_both_loops
async def test_an_exchange() -> None:
    async with served(answer_hello) as address:
        connection = await pool().connect(address, 5)
        heard = await ask(connection)
        assert (heard.status, heard.body, heard.error) == (200, b"hello", None)
        connection.abort()


@on_both_loops
async def test_the_request_arrives_as_it_was_written() -> None:
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await request(reader))
        writer.write(response(b""))

    async with served(serve) as address:
        connection = await pool().connect(address, 5)
        await ask(connection)
        assert got == [REQUEST]
        connection.abort()


@on_both_loops
async def test_nothing_is_delayed_for_more_to_send() -> None:
    """TCP_NODELAY, or the kernel would hold a request back that comes right after another."""
    async with served(answer_hello) as address:
        connection = await pool().connect(address, 5)
        transport = connection._transport  # nothing else shows the socket
        assert transport is not None
        sock: socket.socket = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        connection.abort()


@on_both_loops
async def test_abort_is_seen_by_the_upstream_at_once() -> None:
    """While it generates: that is how a cancelled answer stops to cost."""
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
        assert await reader.read() == b""
        gone.set()

    async with served(serve) as address:
        connection, heard = await pool().connect(address, 5), Heard()
        connection.send(REQUEST, heard)
        await until(lambda: heard.reads)
        connection.abort()
        async with asyncio.timeout(1):
            await gone.wait()
        assert (heard.completed, heard.error) == (0, None)


@on_both_loops
async def test_a_paused_connection_makes_the_upstream_wait() -> None:
    """Its bytes stay in the kernel, which takes no more after a while; memory here does not grow."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writers.append(writer)
        writer.write(response(bytes(LONG)))
        await writer.drain()

    async with served(serve) as address:
        connection = await pool().connect(address, 5)

        class Pausing(Heard):
            def data(self, data: bytes) -> None:
                super().data(data)
                if len(self.reads) == 1:
                    connection.pause_reading()

        heard = Pausing()
        connection.send(REQUEST, heard)
        await until(lambda: heard.reads)
        await turns(200)
        assert len(heard.reads) == 1
        transport: asyncio.WriteTransport = writers[0].transport
        assert transport.get_write_buffer_size() > 0
        connection.resume_reading()
        await heard.over.wait()
        assert (len(heard.body), heard.error) == (LONG, None)
        connection.abort()


@on_both_loops
async def test_a_connection_that_is_reset_says_so() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx")
        await writer.drain()
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        writer.transport.abort()

    async with served(serve) as address:
        heard = await ask(await pool().connect(address, 5))
        assert isinstance(heard.error, Broken)
        assert "closed the connection in mid-answer" in heard.error.message


@on_both_loops
async def test_nobody_there() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = Address("127.0.0.1", bound.getsockname()[1])
        with pytest.raises(Unreachable, match=r"cannot connect to http://127\.0\.0\.1:\d+: ") as raised:
            await pool().connect(address, 5)
    assert "refused" in raised.value.message.lower()


@on_both_loops
async def test_no_such_name() -> None:
    with pytest.raises(Unreachable, match=r"cannot connect to http://nobody\.\.localhost: .*not a host name"):
        await pool().connect(Address("nobody..localhost", 80), 5)


def test_a_unix_socket(tmp_path: Path) -> None:
    @on_both_loops
    async def exchange() -> None:
        async with served(answer_hello, socket_path=str(tmp_path / "socket")) as address:
            connection = await pool().connect(address, 5)
            heard = await ask(connection)
            assert (heard.status, heard.body) == (200, b"hello")
            connection.abort()
        (tmp_path / "socket").unlink(missing_ok=True)

    exchange()


@on_both_loops
async def test_a_unix_socket_that_is_not_there() -> None:
    with pytest.raises(Unreachable, match="cannot connect to /nowhere/x: No such file"):
        await pool().connect(Address(socket_path="/nowhere/x"), 5)


async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@on_both_loops
async def test_a_server_that_never_finishes_its_handshake() -> None:
    async with served(never_answer) as address:
        tls = Address(address.host, address.port, tls=True)
        with pytest.raises(TimedOut, match=r"did not accept a connection in 0\.05 s") as raised:
            await pool().connect(tls, 0.05)
        assert raised.value.code == "connect"


@on_both_loops
async def test_a_server_that_speaks_no_tls() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with served(serve) as address:
        with pytest.raises(Unreachable, match="cannot connect to https://"):
            await pool().connect(Address(address.host, address.port, tls=True), 5)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's side of TLS with a certificate that nobody vouches for."""
    return self_signed(tmp_path_factory.mktemp("tls"))[1]


@on_both_loops
async def _refused(certificate: ssl.SSLContext) -> None:
    async with served(answer_hello, tls=certificate) as address:
        with pytest.raises(Unreachable) as raised:
            await pool().connect(Address("localhost", address.port, tls=True), 5)
        assert raised.value.message == (
            f"https://localhost:{address.port} has a certificate that is not valid: self-signed certificate"
        )
        await until(lambda: len(asyncio.all_tasks()) == 1)  # the server has seen that its handshake failed


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: ssl.SSLContext) -> None:
    _refused(certificate)


async def fetched(address: Address, timeout: float = 5) -> tuple[int, bytes]:
    return await fetch(pool(), address, "/v1/models", {"authorization": "Bearer k"}, timeout)


@on_both_loops
async def test_fetch_asks_once_and_closes() -> None:
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await request(reader))
        writer.write(response(b"[]"))
        got.append(await reader.read())

    async with served(serve) as address:
        assert await fetched(address) == (200, b"[]")
        await until(lambda: len(got) == 2)
    lines = got[0].decode().split("\r\n")
    assert lines[0] == "GET /v1/models HTTP/1.1"
    assert f"host: {address.host_header}" in lines
    assert "authorization: Bearer k" in lines
    assert got[1] == b""


@on_both_loops
async def test_fetch_does_not_wait_for_ever() -> None:
    async with served(never_answer) as address:
        with pytest.raises(TimedOut, match=r"did not answer within 0\.05 s"):
            await fetched(address, 0.05)


@on_both_loops
async def test_fetch_takes_no_answer_without_bounds() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(1 << 20))
            await writer.drain()

    async with served(serve) as address:
        with pytest.raises(Broken, match="longer than"):
            await fetched(address)


@on_both_loops
async def test_fetch_tells_what_broke() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)

    async with served(serve) as address:
        with pytest.raises(Unreachable, match="without an answer"):
            await fetched(address)
