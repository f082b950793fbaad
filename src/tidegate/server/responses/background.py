"""Generations that nobody waits for: their reader is the store, and their client asks how they stand."""

from __future__ import annotations

from typing import Any, Final

from tidegate.core.event import End
from tidegate.dialects import Dialect, Renderer, load_dialect, renderer
from tidegate.dialects.openai_responses.answer import Answer
from tidegate.errors import LogError, NotFound, RequestError
from tidegate.server.responses.keeping import DIALECT, Keep, as_cancelled
from tidegate.store.responses import ResponseStore
from tidegate.streams.reader import Reader
from tidegate.streams.registry import Readable, Streams
from tidegate.wire.ascii_json import ascii_json

_BATCH: Final = 4096
"""Events that are rendered at once."""


def watch(stream: Readable, streams: Streams, dialect: Dialect, keep: Keep) -> None:
    """Read a stream to its end for the store alone: also one whose client is there, or comes back."""
    rendering = renderer(dialect, stream.header)
    watcher = _Watcher(stream, rendering, keep)
    watcher.reader = Reader(stream.header.id, streams.log, rendering, watcher)
    stream.attach(watcher.reader)


class _Watcher:
    """Takes what would be a client's. Implements :class:`tidegate.streams.reader.Sink`."""

    __slots__ = ("_keep", "_renderer", "_stream", "reader")

    def __init__(self, stream: Readable, rendering: Renderer, keep: Keep) -> None:
        self._stream = stream
        self._renderer = rendering
        self._keep = keep
        self.reader: Reader | None = None

    def write(self, data: bytes) -> None:
        """Nobody is there."""

    def end(self, data: bytes, last: End) -> None:
        if self.reader is not None:
            self._stream.detach(self.reader)
        response = getattr(self._renderer, "response", None)
        if response is not None:
            self._keep(self._stream.header, response, last)


async def response_now(store: ResponseStore, streams: Streams, caller: str, name: str) -> bytes:
    """A response as it is kept, else as its stream stands. Raises NotFound, StoreError and LogError."""
    stored = await store.get(caller, name)
    if stored is not None:
        return stored.response
    stream = await kept_stream(streams, caller, name)
    if stream is None or await store.is_deleted(caller, name):
        raise not_found(name)
    return ascii_json(await _as_it_stands(stream)).encode("ascii")


async def kept_stream(streams: Streams, caller: str, name: str) -> Readable | None:
    """The stream of a caller's response, under way or ended, if it is one that is kept."""
    try:
        stream = await streams.find(name.removeprefix("resp_"), caller)
    except (RequestError, LogError):  # another's, or expired: there is no such response
        return None
    return stream if stream.header.dialect == DIALECT and stream.header.keep else None


def not_found(name: str) -> NotFound:
    """What is said of a response that is not there, or another caller's."""
    return NotFound(f"Response with id '{name}' not found.", type="invalid_request_error")


def status_of(stream: Readable) -> dict[str, Any]:
    """The response object of a stream that is under way."""
    return Answer(stream.header).build("in_progress" if stream.last_seq else "queued", [])


async def _as_it_stands(stream: Readable) -> dict[str, Any]:
    """The response object of a stream, made of its events where it has ended."""
    if stream.end is None:
        return status_of(stream)
    rendering = renderer(load_dialect(DIALECT), stream.header)
    seq = 0
    while events := await stream.events(seq, _BATCH):
        seq += len(events)
        rendering.render(events)
    built: dict[str, Any] | None = getattr(rendering, "response", None)
    response = built or Answer(stream.header).build("failed", [])
    return as_cancelled(response) if stream.end.outcome == "cancelled" else response
