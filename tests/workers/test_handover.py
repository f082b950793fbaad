"""A client's connection moves to the worker that has its stream, without the client noticing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from tests.loops import on_both_loops, until
from tests.raw_http import request_bytes
from tidegate.core.event import Failure
from tidegate.errors import Overloaded
from tidegate.server.exchange import Exchange
from tidegate.server.handover import HAS, Peers, pass_on, socket_name
from tidegate.server.protocol import GatewayProtocol

CHAT = "/v1/chat/completions"
MEGABYTES = b"x" * (3 << 20)


class Worker:
    """The server of one worker: it has the streams of ``own``, and asks the others for the rest.

    A request names a stream in the header ``wanted``; it is answered with this worker's number.
    """

    max_body = 8 << 20
    body_timeout = 5.0

    def __init__(self, peers: Peers, number: int, own: set[str]) -> None:
        self.own = own
        self.peers = peers
        self.number = number
        self.bodies: list[bytes] = []
        self.state = ServerState()
        self.tasks: set[asyncio.Task[None]] = set()
        self.config = Config(
            self.asgi, interface="asgi3", log_config=None, access_log=False, ws="none", timeout_keep_alive=5
        )
        self.config.load()

    def protocol(self, adopted: bytes = b"") -> GatewayProtocol:
        return GatewayProtocol(self.config, self.state, self, adopted)

    async def adopt(self, client: socket.socket, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: self.protocol(request), client)

    async def has(self, stream: Any) -> bool:
        return stream in self.own

    def resume(self, exchange: Exchange) -> None:
        self.generate(exchange)

    def generate(self, exchange: Exchange) -> None:
        task = asyncio.get_running_loop().create_task(self._generate(exchange))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _generate(self, exchange: Exchange) -> None:
        wanted = (exchange.header(b"wanted") or b"").decode()
        assert exchange.connection is not None
        if await self.elsewhere(wanted, exchange.connection):
            return
        self.bodies.append(exchange.body)
        exchange.open(b"", b"%d says " % self.number)
        exchange.close(wanted.encode())

    def refuse(self, exchange: Exchange, failure: Failure) -> None:
        exchange.respond(failure.status, b"", failure.message.encode())

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        wanted = dict(scope["headers"])[b"wanted"].decode()
        if await self.elsewhere(wanted, scope["tidegate.connection"]):
            return
        text = f"{self.number} {scope['method']} {wanted}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text})

    async def elsewhere(self, wanted: str, connection: Any) -> bool:
        if wanted in self.own:
            return False
        try:
            peer = await self.peers.find(wanted)
            if peer is None:
                return False
            await pass_on(connection, peer)
        except Overloaded as error:
            connection.transport.write(
                b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n" + error.message.encode()
            )
            connection.transport.close()
        return True


class Machine:
    """Two workers, and a client that is connected to the first."""

    def __init__(self, workers: list[Worker], address: tuple[str, int]) -> None:
        self.first, self.second = workers
        self.address = address


@contextlib.asynccontextmanager
async def machine() -> AsyncIterator[Machine]:
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="tidegate-test-") as folder:
        workers = [
            Worker(Peers.of_worker(Path(folder), number, 2), number, {f"of-{number}"}) for number in range(2)
        ]
        for worker in workers:
            worker.peers.listen({HAS: worker.has}, worker.adopt)
        server = await loop.create_server(workers[0].protocol, "127.0.0.1", 0)
        try:
            yield Machine(workers, server.sockets[0].getsockname())
        finally:
            server.close()
            for worker in workers:
                worker.peers.close()
                for connection in list(worker.state.connections):
                    connection.transport.abort()
            await until(lambda: not any(worker.state.connections or worker.tasks for worker in workers))
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def client(machine: Machine) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*machine.address)
    try:
        yield reader, writer
    finally:
        writer.close()


def chat(wanted: str, body: bytes = b"{}", **headers: str) -> bytes:
    return request_bytes("POST", CHAT, body, {"wanted": wanted, **headers})


async def answer(reader: asyncio.StreamReader) -> bytes:
    """The body of a chunked response, put together."""
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    body = b""
    while True:
        size = int(await reader.readline(), 16)
        body += (await reader.readexactly(size + 2))[:-2]
        if size == 0:
            return body


@on_both_loops
async def test_a_request_is_answered_by_the_worker_that_has_its_stream() -> None:
    async with machine() as both, client(both) as (reader, writer):
        writer.write(chat("of-1", b'{"a": 1}'))
        assert await answer(reader) == b"1 says of-1"
        assert both.second.bodies == [b'{"a": 1}']
        await until(lambda: not both.first.state.connections)


@on_both_loops
async def test_the_connection_stays_with_its_new_worker() -> None:
    async with machine() as both, client(both) as (reader, writer):
        writer.write(chat("of-1"))
        await answer(reader)
        for _ in range(3):
            writer.write(chat("of-1"))
            assert await answer(reader) == b"1 says of-1"


@on_both_loops
async def test_the_connection_can_come_back() -> None:
    async with machine() as both, client(both) as (reader, writer):
        for number in (1, 0, 1, 0):
            writer.write(chat(f"of-{number}"))
            assert await answer(reader) == b"%d says of-%d" % (number, number)


@on_both_loops
async def test_a_large_body_moves_with_its_request() -> None:
    async with machine() as both, client(both) as (reader, writer):
        writer.write(chat("of-1", MEGABYTES))
        await answer(reader)
        assert both.second.bodies == [MEGABYTES]


@on_both_loops
async def test_a_chunked_body_moves_whole() -> None:
    async with machine() as both, client(both) as (reader, writer):
        head = request_bytes("POST", CHAT, None, {"wanted": "of-1", "Transfer-Encoding": "chunked"})
        writer.write(head + b"3\r\nabc\r\n")
        writer.write(b"2\r\nde\r\n0\r\n\r\n")
        await answer(reader)
        assert both.second.bodies == [b"abcde"]
        writer.write(chat("of-0"))
        assert await answer(reader) == b"0 says of-0"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@on_both_loops
async def test_what_the_application_serves_moves_too(method: str) -> None:
    async with machine() as both, client(both) as (reader, writer):
        for _ in range(2):
            writer.write(request_bytes(method, "/v1/files/1", None, {"wanted": "of-1"}))
            assert await answer(reader) == f"1 {method} of-1".encode()


@on_both_loops
async def test_a_request_for_a_stream_moves_without_a_body() -> None:
    async with machine() as both, client(both) as (reader, writer):
        for number in (1, 0):
            wanted = {"wanted": f"of-{number}"}
            writer.write(request_bytes("GET", f"/v1/streams/{'a' * 32}?after=3", None, wanted))
            assert await answer(reader) == b"%d says of-%d" % (number, number)


@on_both_loops
async def test_a_stream_that_nobody_has_is_answered_where_it_was_asked_for() -> None:
    async with machine() as both, client(both) as (reader, writer):
        writer.write(chat("of-nobody"))
        assert await answer(reader) == b"0 says of-nobody"


@on_both_loops
async def test_a_request_with_another_behind_it_is_refused() -> None:
    async with machine() as both, client(both) as (reader, writer):
        writer.write(chat("of-1") + chat("of-0"))
        told = await reader.read()
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"connection of its own" in told


@on_both_loops
async def test_a_client_that_has_left_is_no_error() -> None:
    async with machine() as both, client(both) as (_, writer):
        writer.write(chat("of-1"))
        await until(lambda: both.first.tasks)
        writer.transport.abort()
        await until(lambda: not both.first.tasks)


@on_both_loops
async def test_a_peer_that_died_may_have_had_the_stream() -> None:
    """Until another takes its place, nobody can say that the stream is not there."""
    async with machine() as both, client(both) as (reader, writer):
        both.second.peers.close()
        writer.write(chat("of-1"))
        told = await reader.read()
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"try again" in told


@on_both_loops
async def test_a_peer_that_dies_while_it_is_given_a_client_leaves_it_where_it_was() -> None:
    async with machine() as both, client(both) as (reader, writer):
        peer = await both.first.peers.find("of-1")
        assert peer is not None
        both.second.peers.close()
        writer.write(chat("of-0", Connection="keep-alive"))
        await answer(reader)
        [connection] = both.first.state.connections
        with pytest.raises(Overloaded):
            await pass_on(connection, peer)  # type: ignore[arg-type]
        writer.write(chat("of-0"))
        assert await answer(reader) == b"0 says of-0"


@on_both_loops
async def test_a_worker_takes_the_place_of_one_that_was_killed() -> None:
    """Its socket is left behind by a process that could not remove it."""
    with tempfile.TemporaryDirectory(prefix="tidegate-test-") as folder:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(Path(folder) / socket_name(1)))
        asking, asked = (Peers.of_worker(Path(folder), number, 2) for number in range(2))
        assert await asking.ask("double", 4) == []

        async def adopt(client: socket.socket, request: bytes) -> None:
            raise AssertionError("nobody is handed over")

        async def double(value: Any) -> Any:
            return 2 * value

        asked.listen({"double": double}, adopt)
        try:
            assert await asking.ask("double", 4) == [8]
        finally:
            asked.close()
