"""The short way through a steady stream: from the upstream's connection to the client's, past everything.

While a stream has one reader that has all there is, and its upstream sends frames that differ in their text
alone, nothing between the two connections decides anything. What they would all do with such a frame is
then written down once, in templates, and done by compiled code: recognise it, append its event to the log,
write the frame that stands for it. Whoever would act on the stream ends that first, and whoever asks how far
it has come has it settled: told to all that count.

Without the compiled code (``_relay.c``) no stream goes this way, and nothing else is different.
"""

from __future__ import annotations

import asyncio
from functools import cache
from secrets import token_hex
from typing import Final, NamedTuple, Protocol, cast

from tidegate.core.clock import Clock
from tidegate.core.request import Header
from tidegate.core.steady import Frames, Marks, Passable, Steady, Template, cut
from tidegate.dialects import Templated
from tidegate.streams.log import Place, StreamLog
from tidegate.streams.producer import Producer
from tidegate.streams.reader import Reader, Way
from tidegate.streams.records import HEAD_SIZE, events_record
from tidegate.wire.payload import decode_string

try:
    from tidegate.streams import _relay
except ImportError:  # see tail.py
    COMPILED = False
else:
    COMPILED = True

_MARKS: Final = Marks(f"text-{token_hex(16)}", f"word-{token_hex(16)}")

_LONGEST: Final = 0xFFFF
"""Bytes of a template; see ``_relay.h``."""


@cache
def _is_templated(kind: type) -> bool:
    """isinstance() of a protocol would look at every member each time."""
    return issubclass(kind, Templated)


def _is_short(template: Template) -> bool:
    return sum(len(piece) for piece in template if isinstance(piece, bytes)) <= _LONGEST


class Stream(Protocol):
    """A stream, as far as something may go past it."""

    header: Header
    producer: Producer
    readers: list[Reader]


class _Ends(NamedTuple):
    """All that a relay goes past."""

    stream: str
    upstream: Passable
    steady: Steady
    producer: Producer
    log: StreamLog
    reader: Reader
    renderer: Templated
    way: Way
    clock: Clock


def pass_by(stream: Stream, log: StreamLog, clock: Clock, steady: Steady, upstream: Passable) -> bool:
    """Let what is steady go past; see :meth:`tidegate.core.source.Output.steady`."""
    if not COMPILED or len(stream.readers) != 1:
        return False
    name, epoch, reader = stream.header.id, stream.producer.epoch, stream.readers[0]
    way = reader.way()
    if way is None or not _is_templated(type(reader.renderer)):
        return False
    renderer = cast(Templated, reader.renderer)
    sample = steady.sample(_MARKS)
    frames, place = renderer.template(sample, _MARKS), log.place(name, epoch)
    if frames is None or place is None or place.seq != reader.seq:
        return False
    event = cut(events_record(place.key, epoch, 1, 0, (sample,))[HEAD_SIZE + len("[") : -len("]")], _MARKS)
    if event is None or not all(map(_is_short, (steady.pattern, event, frames.template))):
        return False
    ends = _Ends(name, upstream, steady, stream.producer, log, reader, renderer, way, clock)
    _Relay(ends, place, event, frames)
    return True


if COMPILED:

    class _Relay(_relay.Relay, asyncio.Protocol):
        """Stands in the place of the upstream's connection until something else comes, or is wanted."""

        __slots__ = ("_ended", "_ends")

        def __init__(self, ends: _Ends, place: Place, event: Template, frames: Frames) -> None:
            self._ends = ends
            self._ended = False
            super().__init__(
                pattern=ends.steady.pattern,
                event=event,
                frame=frames.template,
                key=place.key,
                epoch=place.epoch,
                seq=place.seq,
                last=place.last,
                count=frames.number,
                room=place.room,
                tail=place.tail,
                write=ends.way.write,
                now=ends.clock.monotonic,
                began_ms=ends.clock.now_ms(),
                keeps=ends.steady.wants_text or frames.wants_text,
            )
            ends.log.relay(ends.stream, self)
            ends.producer.relay = self
            ends.upstream.redirect(self)

        def settle(self) -> None:
            """See :class:`Relayed`."""
            if not self.events:
                return
            ends = self._ends
            now_ms = ends.clock.now_ms()
            events, characters, size, writes, last_at, places, said, last, records = self.take(now_ms)
            text = decode_string(b'"%b"' % said)
            ends.log.passed_by(ends.stream, events, size, places, records)
            ends.producer.passed(events, characters, last_at)
            ends.reader.seq += events
            ends.steady.passed(events, characters, text, decode_string(b'"%b"' % last))
            ends.renderer.passed(events, text)
            ends.way.wrote(writes)

        def end(self) -> None:
            """See :class:`Relayed`."""
            if self._ended:
                return
            self._ended = True
            self.settle()
            ends = self._ends
            ends.log.relay(ends.stream, None)
            ends.producer.relay = None
            ends.upstream.take_back()
            self.close()

        # asyncio.Protocol, beside data_received

        def leave(self, data: bytes) -> None:
            """A read that is not for here."""
            self.end()
            self._ends.upstream.data_received(data)

        def eof_received(self) -> bool | None:
            self.end()
            return self._ends.upstream.eof_received()

        def connection_lost(self, exc: Exception | None) -> None:
            self.end()
            self._ends.upstream.connection_lost(exc)
