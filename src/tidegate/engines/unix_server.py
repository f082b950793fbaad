"""A small HTTP/1.1 server on a Unix socket that only its owner can open, a blocking thread per connection.

It knows requests, answers and event streams, and nothing of models. Threads fit because each request sits
inside one blocking call of the engine, which gives the interpreter lock away.
"""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import responses
from pathlib import Path
from typing import Any, Final

import httptools
import msgspec

_LARGEST_REQUEST: Final = 256 << 20
_READ_SIZE: Final = 256 << 10
_EVENT_STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


class Hangup(Exception):
    """The peer is gone, or said something that is not HTTP: the connection is of no more use."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read whole. ``path`` has no query."""

    method: str
    path: str
    body: bytes


class Connection:
    """One accepted connection, used by one thread."""

    def __init__(self, peer: socket.socket) -> None:
        self._socket = peer
        self._parser = httptools.HttpRequestParser(self)
        self._requests: deque[Request] = deque()
        self._url = b""
        self._body: list[bytes] = []
        self._size = 0
        self._streaming = False
        self._expects_continue = False
        self.keep_alive = True

    @property
    def streaming(self) -> bool:
        """Whether an event stream is open, so that the status can no longer be changed."""
        return self._streaming

    def read_request(self) -> Request | None:
        """Wait for the next request; None when the peer has closed. Raises Hangup."""
        while not self._requests:
            data = self._socket.recv(_READ_SIZE)
            if not data:
                return None
            self._size += len(data)
            if self._size > _LARGEST_REQUEST:
                self.answer_error(413, f"the request is larger than {_LARGEST_REQUEST >> 20} MiB")
                raise Hangup
            try:
                self._parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                self.answer_error(400, "this is not an HTTP/1.1 request")
                raise Hangup from None
            if self._expects_continue:
                self._expects_continue = False
                self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self._requests.popleft()

    def is_closed(self) -> bool:
        """Whether the peer has closed its side; costs one system call and never waits."""
        try:
            return self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def answer(self, status: int, body: object, retry_after: int | None = None) -> None:
        """Send a whole answer: bytes that are JSON already, or a value that becomes JSON."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        head = [
            f"HTTP/1.1 {status} {responses.get(status, 'Error')}",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
        ]
        if retry_after is not None:
            head.append(f"Retry-After: {retry_after}")
        self._socket.sendall("\r\n".join([*head, "", ""]).encode("ascii") + content)

    def answer_error(
        self,
        status: int,
        message: str,
        kind: str = "invalid_request_error",
        *,
        retry_after: int | None = None,
    ) -> None:
        """Send an error in OpenAI's envelope."""
        self.answer(status, error_body(message, kind), retry_after)

    def send_event(self, data: bytes) -> None:
        """Send one server-sent event as one HTTP chunk in one write; the first one brings the head along."""
        frame = b"data: " + data + b"\n\n"
        head = b"" if self._streaming else _EVENT_STREAM_HEAD
        self._streaming = True
        self._socket.sendall(b"%b%x\r\n%b\r\n" % (head, len(frame), frame))

    def end_events(self) -> None:
        """End the event stream; the connection can then be used again."""
        self._streaming = False
        self._socket.sendall(b"0\r\n\r\n")

    def close(self) -> None:
        self._socket.close()

    # The parser calls these.

    def on_message_begin(self) -> None:
        self._url = b""
        self._body = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"expect" and value.lower() == b"100-continue":
            self._expects_continue = True

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        path = self._url.partition(b"?")[0].decode("latin-1")
        self._requests.append(Request(self._parser.get_method().decode("ascii"), path, b"".join(self._body)))
        self._body = []
        self._size = 0
        self._expects_continue = False
        self.keep_alive = self._parser.should_keep_alive()


class UnixServer:
    """Listens on a socket file of mode 0600; hands each request to ``handle`` on its connection's thread."""

    def __init__(
        self, path: Path, handle: Callable[[Connection, Request], None], most_connections: int = 1024
    ) -> None:
        self._handle = handle
        self._path = str(path)
        self._closing = threading.Event()
        self._room = threading.BoundedSemaphore(most_connections)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # The mode is set at creation: between bind and a later chmod the socket would be open to others.
        mask = os.umask(0o177)
        try:
            self._listener.bind(self._path)
        finally:
            os.umask(mask)
        self._listener.listen(512)

    def start(self) -> None:
        """Accept connections from now on, in the background."""
        threading.Thread(target=self._accept, name="accept", daemon=True).start()

    def close(self) -> None:
        """Accept no more connections; those that are open go on."""
        self._closing.set()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock, suppress(ConnectionRefusedError):
            knock.connect(self._path)  # wakes the thread that accepts, unless it saw the end by itself

    def _accept(self) -> None:
        with self._listener:
            while not self._closing.is_set():
                self._accept_one()

    def _accept_one(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:
            self._closing.wait(0.1)  # out of descriptors: some connection has to end first
            return
        if self._room.acquire(blocking=False):
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()
        else:
            _refuse(peer)

    def _serve(self, peer: socket.socket) -> None:
        connection = Connection(peer)
        try:
            while connection.keep_alive and (request := connection.read_request()):
                self._handle(connection, request)
        except (Hangup, OSError):
            pass
        finally:
            connection.close()
            self._room.release()


def error_body(message: str, kind: str) -> dict[str, Any]:
    """OpenAI's error envelope."""
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _refuse(peer: socket.socket) -> None:
    try:
        Connection(peer).answer_error(
            503, "too many connections to this engine", "overloaded_error", retry_after=1
        )
    except OSError:
        pass
    finally:
        peer.close()
