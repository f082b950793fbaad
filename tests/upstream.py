"""Owns the scripted upstream: a real HTTP/1.1 server on a loopback or Unix socket that plays scripts.

It runs on a loop of its own in a thread, so that blocking tests can drive it. What it plays is built from
the steps in `script.py` and the values in `chat.py`; it records what it was asked, on which connection, and
when the other side closed it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chat import completion, plain, text_stream
from tests.script import Exchange, Script

Answer = Callable[["Request"], Script]


@dataclass(slots=True, eq=False)
class Connection:
    """One accepted connection; `closed_at` is when the other side closed it, on the monotonic clock."""

    number: int
    changed: threading.Condition
    requests: list[Request] = field(default_factory=list)
    closed_at: float | None = None
    closed_by_script: bool = False
    gone: bool = False

    def wait_closed(self, timeout: float = 5.0) -> float:
        """Waits until the other side has closed this connection and returns when it did."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.closed_at is not None, timeout):
                raise AssertionError(f"connection {self.number} was not closed by its peer in {timeout:g} s")
        assert self.closed_at is not None
        return self.closed_at


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What the upstream was asked; header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: Connection
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def default_answer(request: Request) -> Script:
    return text_stream() if request.json.get("stream") else plain(completion())


class Upstream:
    """A scripted server. `play` queues a script for a request; `answer` decides when the queue is empty.

    `requests` holds the calls for generations in the order in which they came, `probes` the GET requests."""

    def __init__(self, socket_path: Path | None = None, models: tuple[str, ...] = ("mock",)) -> None:
        self.models = models
        self.answer: Answer = default_answer
        self.requests: list[Request] = []
        self.probes: list[Request] = []
        self.connections: list[Connection] = []
        self.changed = threading.Condition()
        self.errors: list[str] = []
        self._scripts: deque[Script] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="scripted upstream", daemon=True)
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(self._listen(socket_path), self._loop)
        self._server, self.port = starting.result(10)
        self.url = f"http://127.0.0.1:{self.port}"

    # The test's side.

    def play(self, *scripts: Script) -> None:
        with self.changed:
            self._scripts.extend(scripts)

    def reset(self) -> None:
        """Forgets scripts and records, so that the next test starts with a clean sheet."""
        with self.changed:
            self._scripts.clear()
            self.answer = default_answer
            self.requests, self.probes, self.errors = [], [], []
            self.connections = [one for one in self.connections if not one.gone]

    def wait_until(self, predicate: Callable[[], bool], what: str, timeout: float = 5.0) -> None:
        with self.changed:
            if not self.changed.wait_for(predicate, timeout):
                raise AssertionError(f"the upstream did not see {what} within {timeout:g} s")

    def request(self, number: int = 0, timeout: float = 5.0) -> Request:
        """The generation request with this number since the last reset, waited for."""
        self.wait_until(lambda: len(self.requests) > number, f"request {number}", timeout)
        return self.requests[number]

    @property
    def open_connections(self) -> int:
        return sum(not one.gone for one in self.connections)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The loop's side.

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self, socket_path: Path | None) -> tuple[asyncio.Server, int]:
        if socket_path is not None:
            return await asyncio.start_unix_server(self._connected, path=socket_path, limit=2**20), 0
        server = await asyncio.start_server(
            self._connected, "127.0.0.1", 0, limit=2**20, backlog=4096, start_serving=True
        )
        return server, server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with self.changed:
            connection = Connection(len(self.connections), self.changed)
            self.connections.append(connection)
        waiting: asyncio.Queue[Request] = asyncio.Queue()
        player = asyncio.create_task(self._play_all(waiting, writer, connection))
        try:
            await self._read_all(reader, connection, waiting)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            self._closed_by_peer(connection)
        except asyncio.CancelledError:
            pass  # the test is over: close what is open and end quietly
        finally:
            player.cancel()
            writer.close()
            await asyncio.gather(player, writer.wait_closed(), return_exceptions=True)
            with self.changed:
                connection.gone = True
                self.changed.notify_all()
            self._tasks.discard(task)

    def _closed_by_peer(self, connection: Connection) -> None:
        if connection.closed_by_script:
            return
        with self.changed:
            connection.closed_at = time.monotonic()
            self.changed.notify_all()

    async def _read_all(
        self, reader: asyncio.StreamReader, connection: Connection, waiting: asyncio.Queue[Request]
    ) -> None:
        """Reads requests until the peer closes, also while a script is playing, so that a hang-up is seen."""
        while True:
            waiting.put_nowait(await read_request(reader, connection))

    async def _play_all(
        self, waiting: asyncio.Queue[Request], writer: asyncio.StreamWriter, connection: Connection
    ) -> None:
        """Answers requests until an answer ends the connection.

        A request that came meanwhile is lost with the connection, as on a real server: its sender sends it
        again elsewhere, so neither a script nor a place in the records may be spent on it."""
        while True:
            request = await waiting.get()
            self._record(request)
            exchange = Exchange(writer, connection)
            try:
                for step in self._script_for(request):
                    await step.play(exchange)
            except ConnectionError:
                return
            except Exception as problem:
                # A mistake in a script must fail the test that wrote it, not vanish in a task.
                self.errors.append(f"{type(problem).__name__}: {problem}")
                exchange.close()
                raise
            if not exchange.reusable:
                exchange.close()
                return

    def _record(self, request: Request) -> None:
        with self.changed:
            request.connection.requests.append(request)
            (self.probes if request.method == "GET" else self.requests).append(request)
            self.changed.notify_all()

    def _script_for(self, request: Request) -> Script:
        if request.method == "GET" and request.path.rstrip("/").endswith("/models"):
            rows = [
                {"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in self.models
            ]
            return plain({"object": "list", "data": rows})
        if request.method == "GET":
            return plain({"error": {"message": "there is nothing here"}}, 404)
        with self.changed:
            queued = self._scripts.popleft() if self._scripts else None
        return queued if queued is not None else self.answer(request)


async def read_request(reader: asyncio.StreamReader, connection: Connection) -> Request:
    """The next request of a connection: head, then a body by length or in chunks."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request_line, *lines = head[:-4].split("\r\n")
    method, path, _ = request_line.split(" ", 2)
    pairs = (line.split(":", 1) for line in lines)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = await read_chunked(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body, connection, time.monotonic())


async def read_chunked(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return bytes(body)
