"""The form in which a stream is kept outside of memory: records that are appended one after another.

A record is ``length crc kind count stream epoch seq at_ms`` and its content, little-endian; ``length`` and
``crc`` (CRC-32) are of what follows them. Content is JSON: the header of a stream, or the events that one
append brought, the first of which has ``seq``. The ``seq`` of a header is 0, or the event that a copy of the
stream has to reach. A large request stands behind its header as it came, after a line feed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from json import dumps, loads
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

import msgspec
from msgspec import Struct as Value

from tidegate.core.attempt import Answering, Attempt, Seam
from tidegate.core.event import AnyEvent, Record
from tidegate.core.kept_json import kept_json
from tidegate.core.request import Header
from tidegate.errors import LogError

HEADER: Final = 1
EVENTS: Final = 2
NOTE: Final = 3

FRAME: Final = Struct("<II")
_HEAD: Final = Struct("<BxxxI16sIxxxxQQ")
_WHOLE: Final = Struct("<IIBxxxI16sIxxxxQQ")
HEAD_SIZE: Final = _WHOLE.size
_LARGE: Final = 64 * 1024
"""Bytes of a request. JSON would make a third more of it, and three copies while the event loop waits."""

_encode_json = msgspec.json.Encoder().encode
_decode_events = msgspec.json.Decoder(list[AnyEvent]).decode
_decode_header = msgspec.json.Decoder(Header).decode
_pack_frame = FRAME.pack
_pack_head = _HEAD.pack


class Note(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What happened beside the events of a stream: one of these."""

    attempt: Attempt | None = None
    seam: Seam | None = None
    answering: Answering | None = None


_decode_note = msgspec.json.Decoder(Note).decode


class Kept(NamedTuple):
    """A record as it was found: where it ends, and what it says of itself."""

    end: int
    kind: int
    total: int
    stream: str
    epoch: int
    seq: int
    at_ms: int
    raw: bytes
    """The whole record."""

    @property
    def content(self) -> bytes:
        return self.raw[HEAD_SIZE:]


def stream_key(stream: str) -> bytes:
    """The 16 bytes that stand for a stream's id."""
    return bytes.fromhex(stream)


def header_record(header: Header, epoch: int, at_ms: int) -> tuple[bytes, bytes]:
    """The record that begins a stream, and what of it follows as it is."""
    content, body = _header_content(header, _encode_json)
    return _record(HEADER, 0, stream_key(header.id), epoch, 0, at_ms, content, body), body


def kept_header(header: Header) -> bytes:
    """A header as :func:`read_header` reads it."""
    return b"".join(_header_content(header, kept_json))


def _header_content(header: Header, encode: Callable[[Header], bytes]) -> tuple[bytes, bytes]:
    if len(header.body) < _LARGE:
        return encode(header), b""
    return encode(msgspec.structs.replace(header, body=b"")) + b"\n", header.body


def copied_header(header: Kept, reaches: int) -> bytes:
    """The same for a copy of the stream, which counts once it has the event ``reaches``."""
    key = stream_key(header.stream)
    return _record(HEADER, 0, key, header.epoch, reaches, header.at_ms, header.content)


def events_record(key: bytes, epoch: int, seq: int, at_ms: int, events: Sequence[AnyEvent]) -> bytes:
    """The record of one append; ``seq`` is that of its first event."""
    try:
        content = _encode_json(events)
    except UnicodeEncodeError:  # a lone surrogate, which JSON can hold and UTF-8 cannot
        content = dumps(msgspec.to_builtins(events)).encode("ascii")
    body = _pack_head(EVENTS, len(events), key, epoch, seq, at_ms) + content  # as in _record, without a call
    return _pack_frame(len(body), crc32(body)) + body


def note_record(key: bytes, epoch: int, at_ms: int, note: Attempt | Seam | Answering) -> bytes:
    """The record of what happened beside the events; it has no seq."""
    if isinstance(note, Answering):
        told = Note(answering=note)
    else:
        told = Note(attempt=note) if isinstance(note, Attempt) else Note(seam=note)
    return _record(NOTE, 0, key, epoch, 0, at_ms, kept_json(told))


def _record(
    kind: int, count: int, key: bytes, epoch: int, seq: int, at_ms: int, content: bytes, more: bytes = b""
) -> bytes:
    """A record, up to what is written behind it as ``more`` of its content."""
    body = _pack_head(kind, count, key, epoch, seq, at_ms) + content
    return _pack_frame(len(body) + len(more), crc32(more, crc32(body))) + body


def read_record(data: bytes, offset: int = 0) -> Kept | None:
    """The record at ``offset``; None where there is no whole and undamaged one."""
    if len(data) - offset < HEAD_SIZE:
        return None
    length, crc, kind, count, key, epoch, seq, at_ms = _WHOLE.unpack_from(data, offset)
    end = offset + FRAME.size + length
    if length < _HEAD.size or end > len(data) or crc32(data[offset + FRAME.size : end]) != crc:
        return None
    return Kept(end, kind, count, key.hex(), epoch, seq, at_ms, data[offset:end])


def read_records(data: bytes) -> Iterator[Kept]:
    """The records in ``data``, up to the first that is not whole or is damaged."""
    offset = 0
    while (kept := read_record(data, offset)) is not None:
        yield kept
        offset = kept.end


def read_header(content: bytes) -> Header:
    """The header in a record's content. Raises LogError for one of another version."""
    json, apart, body = content.partition(b"\n")
    try:
        header = _decode_header(json)
        return msgspec.structs.replace(header, body=body) if apart else header
    except msgspec.DecodeError as error:
        raise LogError(f"the stream was written by another version of Tidegate: {error}") from None


def read_note(content: bytes) -> Note:
    """The note in a record's content. Raises LogError for one of another version."""
    try:
        return _decode_note(content)
    except msgspec.DecodeError as error:
        raise LogError(f"the stream was written by another version of Tidegate: {error}") from None


def read_events(content: bytes) -> list[AnyEvent]:
    """The events in a record's content. Raises LogError for those of another version."""
    try:
        return _decode_events(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return msgspec.convert(loads(content), list[AnyEvent])
    except (ValueError, RecursionError) as error:
        raise LogError(f"the stream was written by another version of Tidegate: {error}") from None


def placed(kept: Kept) -> list[Record]:
    """The events of a record at their places in the stream."""
    events = enumerate(read_events(kept.content), kept.seq)
    return [Record(kept.epoch, seq, kept.at_ms, event) for seq, event in events]
