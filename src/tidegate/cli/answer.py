"""One answer of the gateway under way: its events as they come, what they measure, and its cancellation."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple

import msgspec

from tidegate.cli.connection import Server, broken_off, failures_told, open_stream
from tidegate.core.event import AnyEvent, End, Finish, Start, Text, Thinking, Tool
from tidegate.core.usage import Usage
from tidegate.dialects import load_dialect
from tidegate.errors import SourceError

_DIALECT: Final = "openai-chat"
_PATH: Final = "/v1/chat/completions"
_CONNECT_SECONDS: Final = 10.0
_MOST_READ: Final = 65536
_LONGEST_FRAME: Final = 64 * 1024 * 1024


class Arrival(NamedTuple):
    """What came at one moment of the monotonic clock."""

    at: float
    events: list[AnyEvent]
    error: Exception | None = None
    last: bool = False
    """It has an error, or an End among its events, or neither when the answer was cancelled."""


class Answer:
    """The answer to one request, read by a thread of its own: a blocked read of a socket cannot be
    interrupted on every platform, and drawing must not wait for the network."""

    def __init__(self, server: Server, fields: Mapping[str, Any]) -> None:
        self._server = server
        usage = {"stream": True, "stream_options": {"include_usage": True}}
        self._body = msgspec.json.encode({**fields, **usage})
        self._socket: socket.socket | None = None
        self._arrivals: SimpleQueue[Arrival] = SimpleQueue()
        self._cancelled = threading.Event()
        self.asked_at = time.monotonic()
        threading.Thread(target=self._read, name="answer", daemon=True).start()

    def next(self, timeout: float) -> Arrival | None:
        """What came next; None when nothing did within ``timeout`` seconds."""
        try:
            return self._arrivals.get(timeout=timeout)
        except Empty:
            return None

    def cancel(self) -> None:
        """End the answer here: the arrival behind those that are waiting is the last.

        Fit for a signal handler, because SimpleQueue.put may interrupt itself
        (https://docs.python.org/3/library/queue.html#queue.SimpleQueue.put).
        """
        self._cancelled.set()
        self._arrivals.put(Arrival(time.monotonic(), [], last=True))

    def close(self) -> None:
        """Let go of the connection, which makes the gateway stop generating if it has not finished."""
        self._cancelled.set()
        if self._socket is not None:
            try:
                # close() would not wake the thread; the shutdown() of a TLS socket is not made for threads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was faster

    def _read(self) -> None:
        connection = self._server.connect(_CONNECT_SECONDS)
        try:
            self._exchange(connection)
        except Exception as error:  # also a defect must reach the one who waits, who would wait forever
            self._put([], error, last=True)
        finally:
            connection.close()

    def _exchange(self, connection: http.client.HTTPConnection) -> None:
        with failures_told(self._server):
            connection.connect()
        self._socket = connection.sock
        if self._cancelled.is_set():
            return
        self.asked_at = time.monotonic()
        with open_stream(self._server, connection, _PATH, self._body) as response:
            self._put_all(response)

    def _put_all(self, response: http.client.HTTPResponse) -> None:
        decoder = load_dialect(_DIALECT).decoder(_LONGEST_FRAME)
        while data := self._data(response):
            events: list[AnyEvent] = []
            try:
                decoder.feed(data, events)
            except SourceError as error:
                self._put(events, error, last=True)
                return
            last = bool(events) and isinstance(events[-1], End)
            if events:
                self._put(events, last=last)
            if last:
                return
        raise broken_off()

    def _data(self, response: http.client.HTTPResponse) -> bytes:
        with failures_told(self._server):
            return response.read1(_MOST_READ)

    def _put(self, events: list[AnyEvent], error: Exception | None = None, *, last: bool = False) -> None:
        self._arrivals.put(Arrival(time.monotonic(), events, error, last))


@dataclass(slots=True)
class Measured:
    """What an answer turned out to be, filled as it comes. Times are those of the monotonic clock."""

    asked_at: float = 0.0
    model: str | None = None
    first_at: float | None = None
    last_at: float = 0.0
    deltas: int = 0
    usage: Usage | None = None
    reason: str | None = None
    text: list[str] = field(default_factory=list)

    def take(self, arrival: Arrival) -> None:
        """Count what has come."""
        self.last_at = arrival.at
        for event in arrival.events:
            match event:
                case Start():
                    self.model = event.model or self.model
                case Text() | Thinking() | Tool():
                    self._delta(event, arrival.at)
                case Finish():
                    self.reason = event.reason
                case End():
                    self.usage = event.usage
                case _:
                    pass

    def _delta(self, event: Text | Thinking | Tool, at: float) -> None:
        if isinstance(event, Text):
            self.text.append(event.text)
        if not isinstance(event, Tool) and not event.text:
            return
        self.deltas += 1
        if self.first_at is None:
            self.first_at = at

    @property
    def ttft(self) -> float | None:
        """Seconds from the request to the first delta."""
        return None if self.first_at is None else self.first_at - self.asked_at

    @property
    def tokens(self) -> int:
        """Tokens of the answer as the gateway counted them; 0 when it did not."""
        return self.usage.output_tokens if self.usage is not None else 0

    @property
    def tokens_per_second(self) -> float | None:
        """The reciprocal of TPOT, (end - TTFT) / (tokens - 1); None for what is too short to measure."""
        if self.first_at is None or self.tokens < 2 or self.last_at - self.first_at < 0.001:
            return None
        return (self.tokens - 1) / (self.last_at - self.first_at)

    def summary(self) -> str:
        """One line for below the answer."""
        parts = [self.model or ""]
        if self.tokens:
            parts.append(f"{self.tokens} tokens" if self.tokens > 1 else "1 token")
        rate = self.tokens_per_second
        if rate is not None:
            parts.append(f"{rate:.1f} tok/s" if rate < 1000 else f"{rate:,.0f} tok/s")
        if self.ttft is not None:
            parts.append(f"first token after {_seconds(self.ttft)}")
        if self.reason == "length":
            parts.append("cut off at the limit of tokens")
        elif self.reason == "content_filter":
            parts.append("cut off by a content filter")
        return " · ".join(filter(None, parts))


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
