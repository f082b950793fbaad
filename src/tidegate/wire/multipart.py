"""Bodies of multipart/form-data (RFC 7578): where each part is, so that one can be replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


_MOST_PARTS: Final = 1000


class Part(NamedTuple):
    """One part. Its data is ``body[start:end]``; ``filename`` is None for what is no file."""

    name: str
    filename: str | None
    content_type: str | None
    start: int
    end: int


def boundary_of(content_type: str) -> bytes | None:
    """The boundary that a Content-Type names; None when it is not multipart/form-data."""
    kind, options = parse_options_header(content_type)
    return options.get(b"boundary") or None if kind == b"multipart/form-data" else None


def parts_of(body: bytes, boundary: bytes) -> list[Part]:
    """The parts of a whole body. Raises ValueError, with a sentence, when it is not well formed."""
    reading = _Reading()
    try:
        parser = MultipartParser(boundary, reading.callbacks())
        parser.write(body)
        parser.finalize()
    except MultipartParseError as error:
        raise ValueError(f"the multipart body cannot be read: {error}") from None
    if not reading.ended:
        raise ValueError("the multipart body stops before its end")
    return reading.parts


class _Reading:
    """What the parser has told so far."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._headers: dict[bytes, bytes] = {}
        self._field = self._value = b""
        self._start = self._end = 0

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._take_field,
            "on_header_value": self._take_value,
            "on_header_end": self._end_header,
            "on_part_data": self._take_data,
            "on_part_end": self._end_part,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        if len(self.parts) >= _MOST_PARTS:
            raise ValueError(f"the multipart body has more than {_MOST_PARTS} parts")
        self._headers = {}
        self._start = self._end = -1

    def _take_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        # The parser was given the body in one piece, so these are offsets into it.
        if self._start < 0:
            self._start = start
        self._end = end

    def _end_part(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        name, filename = options.get(b"name"), options.get(b"filename")
        content_type = self._headers.get(b"content-type")
        if name is None:
            raise ValueError("a part of the multipart body has no name")
        self.parts.append(
            Part(
                _text(name),
                None if filename is None else _text(filename),
                None if content_type is None else _text(content_type),
                self._start,
                self._end,
            )
        )

    def _finish(self) -> None:
        self.ended = True


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
