"""Owns pursuing one answer over as many connections as it takes. Does no I/O: it says what to do next.

A :class:`Pursuit` is made of generators that yield what is to be done and are sent what came of it: a
driver that blocks, one that awaits and two for other people's HTTP libraries run the same steps.

==============  ==================================  =========================================
yielded         sent back                           thrown in
==============  ==================================  =========================================
:class:`Ask`    :class:`Head` of the response       :class:`Lost`
:class:`Read`   bytes; empty at the body's end      :class:`Lost`
:class:`Rest`   all that is left of the body        :class:`Lost`
:class:`Pause`  nothing, after that many seconds
:class:`Hand`   nothing; it is for whoever reads
==============  ==================================  =========================================
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from tidegate.client.patience import Waiting
from tidegate.client.splice import Piece, Splice

STREAM: Final = "tidegate-stream"
"""The header that names the stream of a response, and that tells a gateway from other servers."""

_LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of servers, and of proxies before them, that may answer another time."""


_KEY: Final = "idempotency-key"

_NOTHING_MORE: Final = 204
"""The status of a stream that has ended, for whoever has all of it."""


class Head(NamedTuple):
    """Status and headers of a response, names in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def later(self) -> bool:
        """Whether this came from no generation and may go away by itself."""
        return self.status in _LATER and STREAM not in self.headers

    @property
    def streams(self) -> bool:
        """Whether frames follow."""
        return self.status == 200 and self.headers.get("content-type", "").startswith("text/event-stream")

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait, where it gives a number of them."""
        try:
            return max(0.0, float(self.headers["retry-after"]))
        except (KeyError, ValueError):
            return None


class Ask(NamedTuple):
    """A request to send, on any connection. ``path`` is what follows the address."""

    method: str
    path: str
    headers: Mapping[str, str] = {}
    body: bytes | None = None


class Read(NamedTuple):
    """Read what has come of the body."""


class Rest(NamedTuple):
    """Read the body to its end."""


class Pause(NamedTuple):
    """Close what is open, and wait."""

    seconds: float


class Hand(NamedTuple):
    """Give these frames to whoever reads."""

    pieces: Sequence[Piece]


Command = Ask | Read | Rest | Pause | Hand


class Lost(Exception):
    """A connection that failed. ``sent``: the request may have reached the server."""

    def __init__(self, cause: Exception | None, *, sent: bool) -> None:
        super().__init__(str(cause or "the connection ended before the answer did"))
        self.cause = cause
        self.sent = sent


class GaveUp(Exception):
    """No way to the answer was found in time: the last try met ``cause``, or was answered with ``head``."""

    def __init__(self, cause: Exception | None, head: Head | None, seconds: float) -> None:
        reason = f"status {head.status}" if head is not None else str(cause or "").rstrip(".")
        super().__init__(reason or "the connection ended before the answer did")
        self.cause = cause
        self.head = head
        self.seconds = seconds


class Denied(Exception):
    """The server does not go on with the stream: it is not there any more, or not for this caller."""

    def __init__(self, head: Head, body: bytes) -> None:
        super().__init__(f"status {head.status}")
        self.head = head
        self.body = body


@dataclass(slots=True)
class Pursuit:
    """One answer. ``ask`` begins it and may be repeated; ``streams`` is the path of the gateway's streams.

    ``headers`` go with every request for the rest of a stream; ``query`` is appended to its address. With
    ``insist`` a server that is busy at first is asked again too.
    """

    ask: Ask
    streams: str
    headers: Mapping[str, str]
    waiting: Waiting
    splice: Splice
    query: str = ""
    stream_id: str | None = None
    insist: bool = False
    sent: bool = False
    """A request for the answer may have reached the gateway, and has not been refused."""

    def opening(self) -> Generator[Command, Any, Head]:
        """Until there is a response to look at; its body has not been read.

        A request whose response was lost is repeated, which re-attaches to the same generation. One that
        never left is not: nothing is under way, and whoever asked should know at once.
        """
        repeated = False
        while True:
            sent_before, self.sent = self.sent, True
            try:
                head: Head = yield self.ask
            except Lost as lost:
                self.sent = sent_before or lost.sent
                if not self.sent:
                    raise
                repeated = True
                yield self._pause(lost.cause, None)
                continue
            again = head.later and (repeated or self.insist)
            pause = self.waiting.pause(head.retry_after) if again else None
            if pause is None:
                self.sent = head.status == 200
                self.stream_id = head.headers.get(STREAM, self.stream_id)
                self.splice.ended = self.splice.ended or head.status == _NOTHING_MORE
                return head
            yield Pause(pause)

    def whole(self) -> Generator[Command, Any, tuple[Head, bytes]]:
        """The answer in one piece."""
        while True:
            head = yield from self.opening()
            try:
                body: bytes = yield Rest()
            except Lost as lost:
                yield self._pause(lost.cause, None)
                continue
            return head, body

    def frames(self) -> Generator[Command, Any, None]:
        """The frames of the response that is open, and of those that go on with it, to the answer's end."""
        cause: Exception | None
        while True:
            try:
                data: bytes = yield Read()
                cause = None
            except Lost as lost:
                data, cause = b"", lost.cause
            if data:
                pieces = self.splice.feed(data)
                if pieces:
                    self.waiting.progress()
                    yield Hand(pieces)
            elif self.splice.ended:
                return
            else:
                self.splice.cut()
                yield from self._reopening(cause)

    def _reopening(self, cause: Exception | None) -> Generator[Command, Any, None]:
        """Until the stream goes on in a new response."""
        head: Head | None = None
        while True:
            yield self._pause(cause, head)
            try:
                head = yield self.continuation()
                self.splice.ended = self.splice.ended or head.status == _NOTHING_MORE
                if head.streams:
                    return
                body = yield Rest()
                if self.splice.ended:
                    return
                if head.status != 200 and not head.later:
                    raise Denied(head, body)
            except Lost as lost:
                head, cause = None, lost.cause

    def continuation(self) -> Ask:
        """The request for what has not come yet."""
        assert self.stream_id is not None
        headers = dict(self.headers)
        query = self.query
        if self.splice.cursor is not None:
            headers["Last-Event-ID"] = self.splice.cursor
        elif self.splice.frames:
            query = f"{query}&skip={self.splice.frames}" if query else f"skip={self.splice.frames}"
        path = f"{self.streams}/{quote(self.stream_id, safe='')}"
        return Ask("GET", f"{path}?{query}" if query else path, headers)

    def cancellation(self) -> Ask | None:
        """The request that stops the generation; None when there is none to stop.

        Before a response has told the stream's id, the key of the request stands for it.
        """
        if self.splice.ended or not self.sent:
            return None
        headers = {name: value for name, value in self.headers.items() if name.lower() != "accept"}
        if self.stream_id is not None:
            return Ask("DELETE", f"{self.streams}/{quote(self.stream_id, safe='')}", headers)
        named = (value for name, value in self.ask.headers.items() if name.lower() == _KEY)
        key = next(named, None)
        return None if key is None else Ask("DELETE", f"{self.streams}?idempotency_key={quote(key)}", headers)

    def _pause(self, cause: Exception | None, head: Head | None) -> Pause:
        seconds = self.waiting.pause(head.retry_after if head is not None else None)
        if seconds is None:
            raise GaveUp(cause, head, self.waiting.waited) from cause
        return Pause(seconds)
