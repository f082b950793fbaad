"""Owns both ends of a connection for these tests: a receiver that notes its calls, a wire, and servers."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tidegate.errors import TidegateError
from tidegate.net import Address, Connection, ResponseHead

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class Heard:
    """A receiver that keeps what it is told, and can be waited for."""

    def __init__(self) -> None:
        self.heads: list[ResponseHead] = []
        self.reads: list[bytes] = []
        self.completed = 0
        self.error: TidegateError | None = None
        self.over = asyncio.Event()

    @property
    def body(self) -> bytes:
        return b"".join(self.reads)

    @property
    def status(self) -> int:
        [head] = self.heads
        return head.status

    def head(self, head: ResponseHead) -> None:
        self.heads.append(head)

    def data(self, data: bytes) -> None:
        assert self.heads, "a body before its head"
        assert not self.completed, "a body after its end"
        self.reads.append(data)

    def complete(self) -> None:
        self.completed += 1
        self.over.set()

    def failed(self, error: TidegateError) -> None:
        assert self.error is None, "failed twice"
        assert not self.completed, "failed after its end"
        self.error = error
        self.over.set()


class Wire(asyncio.Transport):
    """A transport without a socket: a test is the other side."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.aborted = False
        self.paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Line:
    """A connection on a wire, with a request under way."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.connection = Connection("up")
        self.connection.connection_made(self.wire)
        self.settled: list[Connection] = []
        self.heard = Heard()
        self.ask()

    def ask(self) -> Heard:
        """Begin an exchange."""
        self.heard = Heard()
        self.connection.send(REQUEST, self.heard)
        return self.heard

    def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.connection.data_received(piece)

    def lose(self, reason: Exception | None = None) -> None:
        """The other side closes, or something happens to the socket."""
        self.connection.connection_lost(reason)

    def leave(self) -> bool:
        """The receiver has all that it wants. Whether the connection can be used again at once."""
        self.connection.leave(self.settled.append)
        return self.settled == [self.connection] and self.connection.idle


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def self_signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for `localhost` that vouches for itself alone, and a server's side of TLS with it."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl on this machine, which is needed to make a certificate")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key"
    made = f"{program} req -x509 {key} -out cert -days 2 -subj /CN=localhost"
    subprocess.run(
        [*made.split(), "-addext", "subjectAltName=DNS:localhost"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert", folder / "key")
    return folder / "cert", context


def response(body: bytes, headers: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body


async def request(reader: asyncio.StreamReader) -> bytes:
    """One request without a body."""
    return await reader.readuntil(b"\r\n\r\n")


@asynccontextmanager
async def served(
    serve: Serve, *, tls: ssl.SSLContext | None = None, socket_path: str | None = None
) -> AsyncIterator[Address]:
    """A server on a port of this machine, or on a Unix socket."""
    tasks: set[asyncio.Task[None]] = set()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.get_running_loop().create_task(conversation(reader, writer)))

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    if socket_path is not None:
        server = await asyncio.start_unix_server(accepted, socket_path)
        address = Address(socket_path=socket_path)
    else:
        server = await asyncio.start_server(accepted, "127.0.0.1", 0, ssl=tls)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1], tls=tls is not None)
    try:
        yield address
    finally:
        server.close()
        for _ in range(5):  # rounds in which asyncio hands over a connection that it has just accepted
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
