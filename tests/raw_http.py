"""Owns a deliberately simple HTTP/1.1 client over a plain socket, for tests in which the bytes matter.

It keeps what a real client hides: the chunks of a chunked body, when each came, whether anything follows."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class ResponseHead:
    version: str
    status: int
    fields: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """The value of a header; several of the same name are joined with commas."""
        values = [value for key, value in self.fields if key.lower() == name.lower()]
        return ", ".join(values) if values else None

    @property
    def chunked(self) -> bool:
        return (self.get("transfer-encoding") or "").lower() == "chunked"


@dataclass(slots=True)
class Response:
    """A whole answer; `chunks` are the chunks of its body and `at` when each of them was complete."""

    head: ResponseHead
    body: bytes
    chunks: list[bytes] = field(default_factory=list)
    at: list[float] = field(default_factory=list)

    @property
    def status(self) -> int:
        return self.head.status

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RawConnection:
    """A socket with a buffer. A read fails with TimeoutError after `timeout` seconds without a byte."""

    def __init__(self, address: Address, timeout: float = 10.0, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(address)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.socket.close()
            raise
        self.buffer = bytearray()

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError:
            self.socket.close()
            raise

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fill(self) -> None:
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError(f"the connection ended after {bytes(self.buffer[-200:])!r}")
        self.buffer += data

    def read_until(self, mark: bytes) -> bytes:
        while (found := self.buffer.find(mark)) < 0:
            self._fill()
        return self._take(found + len(mark))

    def read_exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self._fill()
        return self._take(count)

    def _take(self, count: int) -> bytes:
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def read_head(self) -> ResponseHead:
        status_line, *lines = self.read_until(b"\r\n\r\n")[:-4].decode("latin-1").split("\r\n")
        version, status, *_ = status_line.split(" ", 2)
        pairs = (line.split(":", 1) for line in lines)
        return ResponseHead(version, int(status), tuple((name, value.strip()) for name, value in pairs))

    def read_chunk(self) -> bytes:
        """The next chunk of a chunked body; empty at its end."""
        size = int(self.read_until(b"\r\n").split(b";")[0], 16)
        data = self.read_exactly(size)
        if self.read_exactly(2) != b"\r\n":
            raise AssertionError("a chunk does not end where its head says")
        return data

    def chunks(self) -> Iterator[bytes]:
        while data := self.read_chunk():
            yield data

    def read_to_end(self) -> bytes:
        """All that still comes until the other side closes the connection."""
        try:
            while True:
                self._fill()
        except (EOFError, ConnectionResetError):
            return self._take(len(self.buffer))

    def read_response(self, method: str = "POST") -> Response:
        head = self.read_head()
        if method == "HEAD" or head.status in {204, 304} or 100 <= head.status < 200:
            return Response(head, b"")
        if head.chunked:
            chunks, at = [], []
            for data in self.chunks():
                chunks.append(data)
                at.append(time.monotonic())
            return Response(head, b"".join(chunks), chunks, at)
        length = head.get("content-length")
        return Response(head, self.read_to_end() if length is None else self.read_exactly(int(length)))

    def ended(self) -> bool:
        """Whether the other side has closed, which is waited for; False when bytes come instead."""
        if self.buffer:
            return False
        try:
            self._fill()
        except (EOFError, ConnectionResetError):
            return True
        return False


def request_bytes(
    method: str,
    path: str,
    body: Mapping[str, Any] | bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    host: str = "127.0.0.1",
) -> bytes:
    """A whole request; a given header replaces the one that would be sent by itself."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    given = headers or {}
    lines: dict[str, str] = {"Host": host}
    if body is not None:
        lines |= {"Content-Type": "application/json", "Content-Length": str(len(data))}
    named = {name.lower() for name in given}
    lines = {name: value for name, value in lines.items() if name.lower() not in named} | dict(given)
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + data


def fetch(
    address: Address,
    method: str,
    path: str,
    body: Mapping[str, Any] | bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout: float = 10.0,
) -> Response:
    """One request on a connection of its own."""
    with RawConnection(address, timeout) as connection:
        connection.send(request_bytes(method, path, body, headers, host=f"{address[0]}:{address[1]}"))
        return connection.read_response(method)
