"""Holds the network out of the test process: nothing but this machine can be reached from a test."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Callable, Coroutine

import pytest
import uvloop

from tests.loopback_only import NetworkRefused, is_allowed

# TEST-NET-1 of RFC 5737: if the guard failed, nobody would answer.
ELSEWHERE = "192.0.2.1"
Runner = Callable[[Coroutine[object, object, None]], object]


@pytest.mark.parametrize(
    "target",
    [
        ELSEWHERE,
        (ELSEWHERE, 80),
        "example.invalid",
        b"example.invalid",
        ("2001:db8::1", 80, 0, 0),
        "10.0.0.1",
    ],
)
def test_another_machine_is_refused(target: object) -> None:
    assert not is_allowed(target)


@pytest.mark.parametrize(
    "target",
    [
        *("127.0.0.1", b"127.0.0.1", ("127.8.9.1", 80), ("::1", 80, 0, 0), "0.0.0.0", "::"),
        *("localhost", "Localhost.", "gateway.localhost", "", None, "/run/a.sock", (0, 0)),
    ],
)
def test_this_machine_is_allowed(target: object) -> None:
    assert is_allowed(target)


def test_sockets_and_lookups_are_refused() -> None:
    with socket.socket() as client:
        with pytest.raises(NetworkRefused, match=r"127\.0\.0\.1 instead"):
            client.connect((ELSEWHERE, 80))
        with pytest.raises(NetworkRefused):
            client.connect_ex((ELSEWHERE, 80))
    with socket.socket(type=socket.SOCK_DGRAM) as sender, pytest.raises(NetworkRefused):
        sender.sendto(b"x", (ELSEWHERE, 53))
    with pytest.raises(NetworkRefused):
        socket.getaddrinfo("example.invalid", 80)
    with pytest.raises(NetworkRefused):
        http.client.HTTPConnection("example.invalid").request("GET", "/")


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_event_loops_are_refused(run: Runner) -> None:
    async def reach() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(NetworkRefused):
            await asyncio.open_connection(ELSEWHERE, 80)
        with pytest.raises(NetworkRefused):
            await asyncio.open_connection("example.invalid", 80)
        with pytest.raises(NetworkRefused):
            await loop.getaddrinfo("example.invalid", 80)
        with pytest.raises(NetworkRefused):
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(ELSEWHERE, 53))
        with socket.socket() as client:
            client.setblocking(False)
            with pytest.raises(NetworkRefused):
                await loop.sock_connect(client, (ELSEWHERE, 80))

    run(reach())


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_event_loops_reach_this_machine(run: Runner) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await close(writer)

    async def talk() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection("localhost", server.sockets[0].getsockname()[1])
            writer.write(b"here\n")
            assert await reader.readline() == b"here\n"
            await close(writer)

    run(talk())


def test_threads_are_guarded_too() -> None:
    refused: list[NetworkRefused] = []

    def reach() -> None:
        try:
            socket.create_connection((ELSEWHERE, 80), timeout=1)
        except NetworkRefused as error:
            refused.append(error)

    thread = threading.Thread(target=reach)
    thread.start()
    thread.join(timeout=5)
    assert refused
