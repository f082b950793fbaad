"""The child's HTTP server, over a real socket and without a model."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.http import Client
from tidegate.engines.unix_server import Connection, Request, UnixServer


def echo(connection: Connection, request: Request) -> None:
    if request.path == "/stream":
        for word in (b"one", b"two"):
            connection.send_event(word)
        connection.end_events()
    elif request.path == "/hang-up":
        raise OSError
    else:
        connection.answer(200, {"method": request.method, "path": request.path, "size": len(request.body)})


@pytest.fixture
def socket(short_path: Path) -> Iterator[str]:
    server = UnixServer(short_path / "s", echo, most_connections=4)
    server.start()
    yield str(short_path / "s")
    server.close()


def test_socket_is_closed_to_others(socket: str) -> None:
    assert stat.S_IMODE(os.stat(socket).st_mode) == 0o600


def test_one_connection_carries_many_requests(socket: str) -> None:
    async def run() -> None:
        async with await Client.connect(socket) as client:
            assert await client.get("/a?b=c") == {"method": "GET", "path": "/a", "size": 0}
            assert (await client.post({}, "/b"))["size"] == 2
            await client.send("POST", "/stream", b"{}")
            await client.head()
            assert client.fields["transfer-encoding"] == "chunked"
            assert [event async for event in client.events()] == ["one", "two"]
            await client.send("POST", "/large", b"x" * 12_000_000)
            assert (await client.body())["size"] == 12_000_000

    asyncio.run(run())


def test_chunked_pipelined_and_announced_bodies_arrive(socket: str) -> None:
    async def run() -> None:
        async with await Client.connect(socket) as client:
            chunked = b"POST /c HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
            client.writer.write(chunked + b"GET /d HTTP/1.1\r\nHost: e\r\n\r\n")
            assert (await client.body())["size"] == 2
            assert (await client.body())["path"] == "/d"
            client.writer.write(b"POST /e HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            await client.head()
            assert client.status == 100
            client.writer.write(b"abc")
            assert (await client.body())["size"] == 3

    asyncio.run(run())


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_connection_is_closed_when_asked(socket: str, version: str) -> None:
    async def run() -> None:
        async with await Client.connect(socket) as client:
            client.writer.write(f"GET / HTTP/{version}\r\nHost: e\r\nConnection: close\r\n\r\n".encode())
            await client.body()
            assert await client.reader.read() == b""

    asyncio.run(run())


@pytest.mark.parametrize(
    "garbage", [b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"\x16\x03\x01"]
)
def test_what_is_not_http_is_refused(socket: str, garbage: bytes) -> None:
    async def run() -> None:
        async with await Client.connect(socket) as client:
            client.writer.write(garbage)
            error = await client.body()
            assert client.status == 400
            assert error["error"]["type"] == "invalid_request_error"
            assert await client.reader.read() == b""

    asyncio.run(run())


def test_a_handler_that_fails_closes_its_connection_alone(socket: str) -> None:
    async def run() -> None:
        async with await Client.connect(socket) as other, await Client.connect(socket) as client:
            await client.send("GET", "/hang-up", b"")
            assert await client.reader.read() == b""
            assert (await other.get("/x"))["path"] == "/x"

    asyncio.run(run())


def test_too_many_connections_are_told_to_come_back(socket: str) -> None:
    async def run() -> None:
        clients = [await Client.connect(socket) for _ in range(4)]
        for client in clients:
            await client.get("/")
        async with await Client.connect(socket) as extra:
            await extra.body()
            assert (extra.status, extra.fields["retry-after"]) == (503, "1")
        for client in clients:
            client.close()

    asyncio.run(run())
