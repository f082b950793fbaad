"""Owns making one answer whole out of the bytes of several connections: complete frames only, each once.

Frames are those of a gateway: lines end in LF, a frame in a blank line. Knows no connection.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from tidegate.errors import Broken

_LAST: Final = frozenset(
    {
        b"message_stop",
        b"response.completed",
        b"response.incomplete",
        b"response.failed",
        b"response.cancelled",
    }
)
"""Names of the frames that end an answer, in dialects that name their frames."""

_LAST_TYPES: Final = frozenset({"finalizeResponseStream", "textResponse"})
"""What AnythingLLM's last frames say that they are; one that failed tells an error."""

_ALIVE: Final = frozenset({b"ping", b"keepalive"})
"""Names of the frames that only show that the connection lives."""

_ALIVE_AMONG_EVENTS: Final = b'{"event":"keep_alive"}'


class Piece(NamedTuple):
    """One frame as a client is to see it, without its id, and the place in the stream behind it."""

    data: bytes
    cursor: str | None


class Splice:
    """The frames of one answer. :meth:`feed` gives those that a piece of input completes.

    ``cursor`` is the id of the last frame that came with one, ``frames`` how many came that are part of the
    answer; either says where to go on. ``ended``: the frame that ends the answer has come.
    """

    __slots__ = ("_longest", "_rest", "_scanned", "cursor", "ended", "frames")

    def __init__(self, cursor: str | None = None, longest: int = 64 * 1024 * 1024) -> None:
        self.cursor = cursor
        self.frames = 0
        self.ended = False
        self._rest = bytearray()
        self._scanned = 0
        self._longest = longest

    def feed(self, data: bytes) -> list[Piece]:
        """The frames that ``data`` completes. Raises Broken for one that is too long to be kept."""
        rest = self._rest
        rest += data
        end = rest.rfind(b"\n\n", max(0, self._scanned - 1))
        if end < 0:
            self._scanned = len(rest)
            if len(rest) > self._longest:
                raise Broken(f"the gateway sent a frame of more than {self._longest} bytes")
            return []
        whole = bytes(memoryview(rest)[:end])
        del rest[: end + 2]
        self._scanned = len(rest)
        pieces = []
        for frame in whole.split(b"\n\n"):
            piece = self._take(frame.strip(b"\n"))
            if piece is not None:
                pieces.append(piece)
        return pieces

    def cut(self) -> None:
        """The connection is lost: half a frame is worth nothing, for it will come again whole."""
        self._rest.clear()
        self._scanned = 0

    def _take(self, frame: bytes) -> Piece | None:
        cursor, frame = _without_id(frame)
        if cursor is not None:
            self.cursor = cursor
        if not frame:
            return None
        name, payload = _named(frame)
        if cursor is not None or not _keeps_alive(name, payload):
            self.frames += 1
        if name in _LAST or payload == b"[DONE]" or (name in (b"", b"error") and _tells_end(payload)):
            self.ended = True
        return Piece(frame + b"\n\n", self.cursor)


def _without_id(frame: bytes) -> tuple[str | None, bytes]:
    """The id in a frame, and the frame without that line."""
    if frame.startswith(b"id:"):
        line, _, frame = frame.partition(b"\n")
    elif (at := frame.find(b"\nid:")) >= 0:  # data has no line breaks, so this is a line of its own
        line, _, after = frame[at + 1 :].partition(b"\n")
        frame = frame[:at] + (b"\n" + after if after else b"")
    else:
        return None, frame
    return line[3:].strip().decode("ascii", "replace") or None, frame


def _named(frame: bytes) -> tuple[bytes, bytes]:
    """A frame's name, empty where it has none, and its data."""
    name = payload = b""
    for line in frame.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            payload = value.removeprefix(b" ")
        elif field == b"event":
            name = value.removeprefix(b" ")
    return name, payload


def _keeps_alive(name: bytes, payload: bytes) -> bool:
    """Whether a frame is no part of the answer. In Chat, it is a chunk whose delta is empty for no reason."""
    if name:
        return name in _ALIVE
    if payload == _ALIVE_AMONG_EVENTS or not payload:
        return True
    if b'"delta":{}' not in payload:
        return False
    choices = _object(payload).get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return isinstance(first, dict) and first.get("delta") == {} and first.get("finish_reason") is None


def _tells_end(payload: bytes) -> bool:
    """Whether a frame tells an error, in Chat or Messages, or is the event of an end, or AnythingLLM's last.

    The error of the Responses API holds no error object, and ``response.failed`` follows it.
    """
    if b'"error"' not in payload and b'"event":"end"' not in payload:
        return False
    value = _object(payload)
    choices = value.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    failed = isinstance(first, dict) and first.get("finish_reason") == "error"
    ended = value.get("event") == "end" or str(value.get("type")) in _LAST_TYPES
    return failed or ended or bool(value.get("error"))


def _object(payload: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return value if isinstance(value, dict) else {}
