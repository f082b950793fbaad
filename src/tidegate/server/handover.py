"""Hands a client's connection over to the process that owns the stream it asks for.

Every process listens on a Unix socket that the others know. A question is one line of JSON, and so is its
answer; a connection travels as a descriptor (SCM_RIGHTS) with its request as bytes, and from then on it is as
if the client had come to the other process in the first place: nothing is proxied.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, Self

import msgspec

from tidegate.errors import Overloaded
from tidegate.server.accepting import Accepting

_PATIENCE: Final = 2.0
"""Seconds that a peer has for an answer; one that hangs must not hold up a client for long."""

_BACKLOG: Final = 1024
_CHUNK: Final = 64 * 1024
_TAKEN: Final = b"true\n"
_LONGEST_NAME: Final = 103
"""Bytes of a socket's name, with the zero behind it 104 on macOS and 108 on Linux."""
_DESCRIPTORS: Final = "/proc/self/fd"

HAS: Final = "has"
"""Asks with the id of a stream, whether the worker has it."""

Answers = Mapping[str, Callable[[Any], Awaitable[Any]]]
"""Question to what answers it, from one JSON value to another."""

Adopt = Callable[[socket.socket, bytes], Awaitable[None]]
"""Takes over a client's socket, whose request has been read already."""


class Connection(Protocol):
    """A client's connection with one request under way that has not been answered."""

    def part(self, body: bytes | None = None) -> tuple[int, bytes]:
        """Read no more; a descriptor of the socket, for the caller to close, and the request as bytes.

        ``body`` is the request's, where the application has taken it already.

        Raises Overloaded where something else is under way on the connection, and ConnectionError where the
        client has left.
        """
        ...

    def keep(self) -> None:
        """It was not handed over: go on reading."""
        ...

    def leave(self) -> None:
        """It was handed over: let go of it without telling the client."""
        ...


class Peer:
    """Another worker. Questions to it are answered within two seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"<Peer {self.path}>"

    async def ask(self, question: str, argument: Any = None) -> Any:
        """Its answer. Raises OSError or EOFError when it is not there, TimeoutError when it is too slow."""
        loop = asyncio.get_running_loop()
        with _unix_socket() as connection, _name_of(self.path) as name:
            async with asyncio.timeout(_PATIENCE):
                await loop.sock_connect(connection, name)
                await loop.sock_sendall(connection, _line({"ask": question, "argument": argument}))
                return msgspec.json.decode(await _read_line(loop, connection))

    async def take(self, descriptor: int, request: bytes) -> bool:
        """Give it a client's socket. When it has not taken it, the client is still ours."""
        loop = asyncio.get_running_loop()
        line = _line({"adopt": len(request)})
        with _unix_socket() as connection:
            try:
                async with asyncio.timeout(_PATIENCE):
                    with _name_of(self.path) as name:
                        await loop.sock_connect(connection, name)
                    # The first bytes on a new socket have room, so that this call does not wait.
                    sent = socket.send_fds(connection, [line], [descriptor])
                    await loop.sock_sendall(connection, line[sent:] + request)
                    return await _read_line(loop, connection) == _TAKEN
            except (OSError, EOFError, TimeoutError):
                return _taken_meanwhile(connection)


class Peers:
    """Other processes of this machine, and this one as they see it. Made inside the event loop.

    ``path`` is where this one listens, ``others`` are where the others do.
    """

    def __init__(self, path: Path, others: Callable[[], Iterable[Path]]) -> None:
        self._path = path
        self._others = others
        self._accepting: Accepting | None = None
        self._answers: Answers = {}
        self._adopt: Adopt | None = None

    @classmethod
    def of_worker(cls, folder: Path, number: int, count: int) -> Self:
        """One of ``count`` workers that share a folder, and the others."""
        others = [folder / socket_name(each) for each in range(count) if each != number]
        return cls(folder / socket_name(number), lambda: others)

    def listen(self, answers: Answers, adopt: Adopt) -> None:
        """Be there for the others. Raises OSError."""
        self._answers = answers
        self._adopt = adopt
        self._path.unlink(missing_ok=True)  # of the process that had this number before
        listener = _unix_socket()
        with _name_of(self._path) as name:
            listener.bind(name)
        listener.listen(_BACKLOG)
        self._accepting = Accepting(listener, self._serve)

    def close(self) -> None:
        """Be there no more."""
        accepting, self._accepting = self._accepting, None
        if accepting is not None:
            accepting.close()
            accepting.cancel()
            self._path.unlink(missing_ok=True)

    async def find(self, stream: str) -> Peer | None:
        """The worker that has a stream. Raises Overloaded when one that may have it does not answer.

        One that has died is replaced, and then has what the other had.
        """
        held = await self.ask_each(HAS, stream)
        for peer, answer in held:
            if answer is True:
                return peer
        if any(isinstance(answer, BaseException) for _, answer in held):
            raise Overloaded(
                "the worker process that may have this stream does not answer; try again in a moment",
                retry_after=1,
            )
        return None

    async def ask(self, question: str, argument: Any = None) -> list[Any]:
        """What the others answer, without those that do not."""
        answers = await self.ask_each(question, argument)
        return [answer for _, answer in answers if not isinstance(answer, BaseException)]

    async def ask_each(self, question: str, argument: Any = None) -> list[tuple[Peer, Any]]:
        """Each of the others with its answer, or why there is none."""
        peers = [Peer(path) for path in self._others()]
        answers = await asyncio.gather(
            *(peer.ask(question, argument) for peer in peers), return_exceptions=True
        )
        return list(zip(peers, answers, strict=True))

    async def _serve(self, connection: socket.socket) -> None:
        """Answer one question, or take one client over."""
        client: socket.socket | None = None
        loop = asyncio.get_running_loop()
        with connection, contextlib.suppress(OSError, EOFError, TimeoutError):
            try:
                async with asyncio.timeout(_PATIENCE):
                    data, client = await _receive(loop, connection)
                    while b"\n" not in data:
                        data += await _read(loop, connection)
                    line, _, rest = data.partition(b"\n")
                    message = msgspec.json.decode(line, type=dict[str, Any])
                    if client is None:
                        answer = await self._answers[message["ask"]](message.get("argument"))
                        await loop.sock_sendall(connection, _line(answer))
                        return
                    request = await _read_rest(loop, connection, rest, message["adopt"])
                    # One that has given up waiting keeps the client: then this fails.
                    await loop.sock_sendall(connection, _TAKEN)
                taken, client = client, None
                assert self._adopt is not None
                await self._adopt(taken, request)
            finally:
                if client is not None:
                    client.close()


async def pass_on(connection: Connection, peer: Peer, body: bytes | None = None) -> None:
    """Have ``peer`` answer the request that is under way on ``connection``, and all that follow on it.

    ``body`` is that of the request, where it was read already. Afterwards the connection is not ours:
    nothing may be written to it. Raises Overloaded when it could not be handed over, and then it has to
    be answered here. A client that has left is no error.
    """
    try:
        descriptor, request = connection.part(body)
    except ConnectionError:
        return
    try:
        taken = await peer.take(descriptor, request)
    except BaseException:  # nobody knows whose it is now: not ours to write to
        connection.leave()
        raise
    finally:
        os.close(descriptor)
    if not taken:
        connection.keep()
        raise Overloaded("the process of this stream does not answer", retry_after=1)
    connection.leave()


def socket_name(number: int) -> str:
    """The name of a worker's socket in the folder that the workers share."""
    return f"{number}.sock"


@contextlib.contextmanager
def _name_of(path: Path) -> Iterator[str]:
    """A name for a socket at a path. Systems take a hundred characters; Linux has a way around that."""
    if len(os.fsencode(path)) <= _LONGEST_NAME or not Path(_DESCRIPTORS).exists():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield f"{_DESCRIPTORS}/{folder}/{path.name}"
    finally:
        os.close(folder)


def _unix_socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.setblocking(False)
    return made


def _line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def _taken_meanwhile(connection: socket.socket) -> bool:
    """Whether the other side took the client just when we stopped waiting; afterwards it cannot any more."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
        return connection.recv(len(_TAKEN)) == _TAKEN
    return False


async def _receive(
    loop: asyncio.AbstractEventLoop, connection: socket.socket
) -> tuple[bytes, socket.socket | None]:
    """The first bytes of a message, and the socket that came with them. Raises EOFError or OSError."""
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(connection, _CHUNK, 1)
        except (BlockingIOError, InterruptedError):
            await _readable(loop, connection)
            continue
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        client = socket.socket(fileno=descriptors[0]) if descriptors else None
        if not data:
            raise EOFError
        return data, client


async def _read_rest(
    loop: asyncio.AbstractEventLoop, connection: socket.socket, begun: bytes, size: int
) -> bytes:
    parts, missing = [begun], size - len(begun)
    while missing > 0:
        parts.append(await _read(loop, connection))
        missing -= len(parts[-1])
    return b"".join(parts)


async def _readable(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    ready = asyncio.Event()
    loop.add_reader(connection.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection.fileno())


async def _read(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> bytes:
    data = await loop.sock_recv(connection, _CHUNK)
    if not data:
        raise EOFError("the other worker has gone")
    return data


async def _read_line(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> bytes:
    """One line, which is all that the other side writes. Raises EOFError."""
    parts = [b""]
    while not parts[-1].endswith(b"\n"):
        parts.append(await _read(loop, connection))
    return b"".join(parts)
