"""Owns a small server that keeps to a gateway's contract for streams, whose every answer is fixed beforehand.

It keeps each answer as frames with cursors, gives it out again from any of them, and can be told to hold
frames back, to answer with other statuses first, or to send no ids. Cutting is the proxy's business.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from tests.raw_http import Address
from tidegate.core.event import AnyEvent, End, Failure, Finish, Start, Text, Thinking, Tool
from tidegate.core.request import Header
from tidegate.core.usage import Usage
from tidegate.dialects import load_shown, renderer

STREAM = "ab" * 16
TEXT = ["Tides ", "turn 世界", " 🌊", " data: x\n\n", "end."]
PATHS = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "anthropic-messages": "/v1/messages",
}


class Framed(NamedTuple):
    """A frame and its cursor; a keep-alive has none."""

    cursor: str | None
    data: bytes


def events_of(
    texts: Sequence[str] = TEXT, error: Failure | None = None, *, tools: bool = False
) -> list[AnyEvent]:
    """The events of an answer, or of one that fails in its middle."""
    if error is not None:
        return [Start(model="mock"), *(Text(text=text) for text in texts), End(outcome="failed", error=error)]
    events: list[AnyEvent] = [Start(model="mock"), Thinking(text="Hm. ")]
    events += [Text(text=text, block=1) for text in texts]
    if tools:
        events += [
            Tool(arguments='{"q":', block=2, call_id="call_1", name="look"),
            Tool(arguments=" 1}", block=2),
        ]
    events.append(Finish(reason="tool_calls" if tools else "stop"))
    return [*events, End(outcome="completed", usage=Usage(input_tokens=3, output_tokens=5))]


def frames_of(
    dialect: str, events: Sequence[AnyEvent], *, keep_alive: bool = False, usage: bool = False
) -> list[Framed]:
    """The frames of an answer with their cursors, as a gateway numbers them."""
    header = Header(
        id=STREAM, caller="c", dialect=dialect, model="m", created=1_700_000_000, include_usage=usage
    )
    rendering = renderer(load_shown(dialect), header)
    frames = []
    for seq, event in enumerate(events, start=1):
        parts = [part + b"\n\n" for part in rendering.render((event,)).split(b"\n\n")[:-1]]
        for number, part in enumerate(parts, start=1):
            frames.append(Framed(f"{seq}" if number == len(parts) else f"{seq}-{number}", part))
        if keep_alive and (alive := rendering.keep_alive()) and event is not events[-1]:
            frames.append(Framed(None, alive))
    return frames


def body_of(frames: Sequence[Framed]) -> bytes:
    """What a client without losses reads."""
    return b"".join(frame.data for frame in frames)


def rest_of(frames: Sequence[Framed], cursor: str | None, skip: int) -> list[Framed]:
    """The frames behind a cursor, or behind as many that count."""
    if cursor is not None and cursor != "0":
        at = [frame.cursor for frame in frames].index(cursor)
        return list(frames[at + 1 :])
    left = list(frames)
    while skip:
        skip -= left.pop(0).cursor is not None
    return left


def wire(frames: Sequence[Framed], *, ids: bool) -> list[bytes]:
    """The bytes of each frame."""
    return [b"id: %b\n%b" % (f.cursor.encode(), f.data) if ids and f.cursor else f.data for f in frames]


class Refusal(NamedTuple):
    """An answer of another status, given before any other."""

    status: int
    headers: Mapping[str, str] = MappingProxyType({})
    body: Mapping[str, Any] = MappingProxyType({})


@dataclass
class Seen:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}


@dataclass
class ScriptedGateway:
    """Serves one answer at every endpoint of ``PATHS``, and its stream. Runs in threads of its own."""

    frames: list[Framed] = field(default_factory=list)
    events: list[Framed] = field(default_factory=list)
    """The same answer as the gateway's own events."""
    whole: bytes = b"{}"
    """What a request without ``stream`` is answered with."""
    ids: bool = True
    refusals: deque[Refusal] = field(default_factory=deque)
    """The next answers to requests for the rest of a stream."""
    post_refusals: deque[Refusal] = field(default_factory=deque)
    """The next answers to requests that begin one."""
    hold: int | None = None
    """Frames that are sent before the answer stalls until ``go_on`` or a cancellation."""
    silent: bool = False
    """Not even the head of an answer is sent before ``go_on``."""

    def __post_init__(self) -> None:
        self.seen: list[Seen] = []
        self.keys: set[str] = set()
        self.go_on = threading.Event()
        self.cancelled = threading.Event()
        self.asked = threading.Event()
        scripted = self

        class Handler(_Handler):
            gateway = scripted

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address: Address = self._server.server_address[:2]  # type: ignore[assignment]

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def of(self, method: str) -> list[Seen]:
        """The requests of a method so far."""
        return [seen for seen in self.seen if seen.method == method]

    def forget(self) -> None:
        """Begin anew with the same answer."""
        self.seen.clear()
        self.keys.clear()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    gateway: ScriptedGateway
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            pass  # the client has gone

    def do_POST(self) -> None:
        seen = self._note()
        self.gateway.asked.set()
        if self.gateway.post_refusals:
            self._refuse(self.gateway.post_refusals.popleft())
            return
        key = seen.headers.get("idempotency-key")
        if key is not None:
            self.gateway.keys.add(key)
        if self.gateway.silent:
            self.gateway.go_on.wait(20)
        if json.loads(seen.body).get("stream"):
            self._stream(self.gateway.frames, seen)
        else:
            self._answer(
                200, {"Content-Type": "application/json", "Tidegate-Stream": STREAM}, self.gateway.whole
            )

    def do_GET(self) -> None:
        seen = self._note()
        if self.gateway.refusals:
            self._refuse(self.gateway.refusals.popleft())
            return
        cursor = seen.headers.get("last-event-id") or seen.query.get("after")
        frames = self.gateway.events if seen.query.get("dialect") == "events" else self.gateway.frames
        rest = rest_of(frames, cursor, int(seen.query.get("skip", "0")))
        if rest:
            self._stream(rest, seen)
        else:
            self._answer(204, {"Tidegate-Stream": STREAM}, b"")

    def do_DELETE(self) -> None:
        self._note()
        self.gateway.cancelled.set()
        self._answer(204, {}, b"")

    def _note(self) -> Seen:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, body)
        self.gateway.seen.append(seen)
        return seen

    def _refuse(self, refusal: Refusal) -> None:
        headers = {"Content-Type": "application/json", **refusal.headers}
        self._answer(refusal.status, headers, json.dumps(dict(refusal.body)).encode())

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, frames: Sequence[Framed], seen: Seen) -> None:
        gateway = self.gateway
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Tidegate-Stream", STREAM)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        ids = gateway.ids and seen.headers.get("tidegate-event-ids") == "1"
        for number, data in enumerate(wire(frames, ids=ids)):
            if number == gateway.hold:
                gateway.go_on.wait(20)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")
