"""Server-sent events from bytes, cut anywhere, to frames.

Follows the WHATWG rules for interpreting an event stream (https://html.spec.whatwg.org/multipage/
server-sent-events.html#event-stream-interpretation) with two differences that real servers need: the
payload stays bytes (decoding happens once, per frame, never per read), and a last event without its
blank line is not thrown away.
"""

from __future__ import annotations

from tidegate.errors import Broken

Frame = tuple[bytes, bytes]
"""An event's name (empty when none was given) and its data, lines joined by LF."""

_BOM = b"\xef\xbb\xbf"


class SSEDecoder:
    """Turns the bytes of one event stream into frames.

    :meth:`feed` gives the frames that a piece of input completes, :meth:`finish` what is left when the
    input has ended. A frame longer than ``max_frame`` bytes raises :class:`tidegate.errors.Broken`.
    """

    __slots__ = ("_begun", "_max_frame", "_rest", "_scanned")

    def __init__(self, max_frame: int) -> None:
        self._rest = bytearray()
        self._scanned = 0
        self._begun = False
        self._max_frame = max_frame

    @property
    def pending(self) -> bool:
        """Whether an event has begun whose end has not come."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes, in order."""
        if not self._begun and not (data := self._without_bom(data)):
            return []
        # Most reads hold whole frames in the plainest form; they need no line parser and no copy.
        if not self._rest and data.endswith(b"\n\n") and 0x0D not in data and len(data) <= self._max_frame:
            if data.startswith(b"data: ") and data.find(b"\n") == len(data) - 2:
                return [(b"", data[6:-2])]
            return _frames(data)
        return self._feed_part(data)

    def finish(self) -> list[Frame]:
        """The frame that the input ended in, if its blank line is all that was missing."""
        rest, self._rest = bytes(self._rest), bytearray()
        return _frames(_normalised(rest)) if rest else []

    def _without_bom(self, data: bytes) -> bytes:
        if self._rest:
            data = bytes(self._rest) + data
            self._rest.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._rest += data
            return b""
        self._begun = True
        return data.removeprefix(_BOM)

    def _feed_part(self, data: bytes) -> list[Frame]:
        rest = self._rest
        rest += data
        end = _last_blank_line(rest, max(0, self._scanned - 3))
        if end < 0:
            self._scanned = len(rest)
            self._check(len(rest))
            return []
        self._scanned = 0
        if rest.startswith(b"data: ") and rest.find(b"\n") == end - 2 and rest.find(b"\r", 0, end) < 0:
            self._check(end)
            payload = bytes(memoryview(rest)[6 : end - 2])  # the one copy that a large event costs
            del rest[:end]
            return [(b"", payload)]
        whole = bytes(memoryview(rest)[:end])
        del rest[:end]
        frames = _frames(_normalised(whole))
        if end > self._max_frame:  # all of them together, that is
            for _, payload in frames:
                self._check(len(payload))
        return frames

    def _check(self, size: int) -> None:
        if size > self._max_frame:
            raise Broken(f"the upstream sent an event longer than {self._max_frame} bytes (server.max_frame)")


def _last_blank_line(data: bytearray, start: int) -> int:
    """The end of the last blank line that is certainly complete at or after ``start``, else -1.

    A CR at the very end may be half of a CRLF, so it closes nothing until the next byte is known.
    """
    best = -1
    for ending in (b"\n\n", b"\r\n\r\n", b"\n\r\n"):
        at = data.rfind(ending, start)
        if at >= 0:
            best = max(best, at + len(ending))
    for ending in (b"\r\r", b"\n\r", b"\r\n\r"):
        at = data.rfind(ending, start, len(data) - 1)
        if at >= 0:
            stop = at + len(ending)
            best = max(best, stop + 1 if data[stop] == 0x0A else stop)
    return best


def _normalised(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def _frames(data: bytes) -> list[Frame]:
    """The frames in bytes whose lines end in LF. Payloads are cut out once: they may be large."""
    frames: list[Frame] = []
    start, size = 0, len(data)
    while start < size:
        stop = data.find(b"\n\n", start)
        if stop < 0:
            stop = size
        if data.startswith(b"data: ", start) and data.find(b"\n", start, stop) < 0:
            frames.append((b"", data[start + 6 : stop]))
        elif stop > start and (frame := _parsed(data[start:stop])) is not None:
            frames.append(frame)
        start = stop + 2
    return frames


def _parsed(block: bytes) -> Frame | None:
    """One event's lines; None when they hold no data (a comment, an id or a retry time alone)."""
    name = b""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return (name, b"\n".join(data)) if data else None


def event_frame(name: str, data: str) -> str:
    """An event in ASCII. A name that cannot stand in a line of that is left out: the data tell it too."""
    if name.isascii() and name.isprintable():
        return f"event: {name}\ndata: {data}\n\n"
    return f"data: {data}\n\n"
