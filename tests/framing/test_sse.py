"""Event streams are cut into the same frames, however their bytes were cut on the way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tidegate.errors import Broken
from tidegate.wire.sse import Frame, SSEDecoder

LIMIT = 1 << 20
BOM = b"\xef\xbb\xbf"

CASES: dict[str, tuple[bytes, list[Frame]]] = {
    "nothing": (b"", []),
    "one": (b"data: a\n\n", [(b"", b"a")]),
    "two": (b"data: a\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
    "crlf": (b"data: a\r\n\r\ndata: b\r\n\r\n", [(b"", b"a"), (b"", b"b")]),
    "cr": (b"data: a\r\rdata: b\r\r", [(b"", b"a"), (b"", b"b")]),
    "mixed ends": (b"data: a\n\r\ndata: b\r\r\ndata: c\r\n\n", [(b"", b"a"), (b"", b"b"), (b"", b"c")]),
    "lf then cr": (b"data: a\n\rdata: b\n\r", [(b"", b"a"), (b"", b"b")]),
    "no space": (b"data:a\n\n", [(b"", b"a")]),
    "two spaces": (b"data:  a \n\n", [(b"", b" a ")]),
    "tab": (b"data:\ta\n\n", [(b"", b"\ta")]),
    "colons": (b"data: a: b:c\n\n", [(b"", b"a: b:c")]),
    "several lines": (b"data: {\ndata:  1\ndata\ndata: }\n\n", [(b"", b"{\n 1\n\n}")]),
    "several lines crlf": (b"data: {\r\ndata: }\r\n\r\n", [(b"", b"{\n}")]),
    "event": (b"event: error\ndata: a\n\n", [(b"error", b"a")]),
    "event after data": (b"data: a\nevent: error\n\n", [(b"error", b"a")]),
    "last event wins": (b"event: a\nevent: b\ndata: c\n\n", [(b"b", b"c")]),
    "event is forgotten": (b"event: a\ndata: b\n\ndata: c\n\n", [(b"a", b"b"), (b"", b"c")]),
    "event without data": (b"event: ping\n\ndata: a\n\n", [(b"", b"a")]),
    "comment": (b": ping\n\ndata: a\n\n", [(b"", b"a")]),
    "comment inside": (b"data: a\n: data: b\ndata: c\n\n", [(b"", b"a\nc")]),
    "bare comment": (b":\n\n:\n\ndata: a\n\n", [(b"", b"a")]),
    "id and retry": (b"id: 7\nretry: 10\ndata: a\n\nid: 8\n\nretry: 1\n\n", [(b"", b"a")]),
    "unknown fields": (b"date: x\ndata : y\n data: z\nDATA: w\ndata: a\n\n", [(b"", b"a")]),
    "empty data": (b"data:\n\ndata: \n\ndata\n\n", [(b"", b""), (b"", b""), (b"", b"")]),
    "empty line of data": (b"data:\ndata:\n\n", [(b"", b"\n")]),
    "many blank lines": (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", [(b"", b"a"), (b"", b"b")]),
    "many blank lines crlf": (b"\r\n\r\ndata: a\r\n\r\n\r\ndata: b\r\n\r\n", [(b"", b"a"), (b"", b"b")]),
    "no last blank line": (b"data: a\n\ndata: b\n", [(b"", b"a"), (b"", b"b")]),
    "no last blank line crlf": (b"data: a\r\n", [(b"", b"a")]),
    "no last line end": (b"data: a\n\nevent: e\ndata: b", [(b"", b"a"), (b"e", b"b")]),
    "half a line at the end": (b"data: a\n\ndat", [(b"", b"a")]),
    "bom": (BOM + b"data: a\n\n", [(b"", b"a")]),
    "bom alone": (BOM, []),
    "half a bom": (BOM[:2], []),
    "bom and crlf": (BOM + b"data: a\r\n\r\n", [(b"", b"a")]),
    "bom only at the start": (b"data: a\n\n" + BOM + b"data: b\n\n", [(b"", b"a")]),
    "bom in the data": (b"data: " + BOM + b"a\n\n", [(b"", BOM + b"a")]),
    "separators that end no line": (
        "data: a\u2028b\u2029c\u0085d\x0b\x0c\x1ce\n\n".encode(),
        [(b"", "a\u2028b\u2029c\u0085d\x0b\x0c\x1ce".encode())],
    ),
    "several bytes a character": ("data: 世界 😀\n\n".encode(), [(b"", "世界 😀".encode())]),
    "bytes that are no text": (b"data: \xff\xfe\x00\n\n", [(b"", b"\xff\xfe\x00")]),
    "framing inside": (b"data: data: a\n\n", [(b"", b"data: a")]),
    "end mark": (b'data: {"a":1}\n\ndata: [DONE]\n\n', [(b"", b'{"a":1}'), (b"", b"[DONE]")]),
}


def decoded(pieces: Iterable[bytes], limit: int = LIMIT) -> list[Frame]:
    decoder = SSEDecoder(limit)
    frames = [frame for piece in pieces for frame in decoder.feed(piece)]
    return frames + decoder.finish()


def reference(data: bytes) -> list[Frame]:
    """The same in the plainest words: lines, fields, and a frame where a block of lines ends."""
    frames: list[Frame] = []
    name, values = b"", list[bytes]()
    for line in [*re.split(rb"\r\n|\r|\n", data.removeprefix(BOM)), b""]:
        field, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if line == b"":
            if values:
                frames.append((name, b"\n".join(values)))
            name, values = b"", []
        elif field == b"data":
            values.append(value)
        elif field == b"event":
            name = value
    return frames


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[bytes, list[Frame]]:
    return CASES[request.param]


def test_whole(case: tuple[bytes, list[Frame]]) -> None:
    data, frames = case
    assert decoded([data]) == frames


def test_the_reference_agrees(case: tuple[bytes, list[Frame]]) -> None:
    data, frames = case
    assert reference(data) == frames


def test_byte_by_byte(case: tuple[bytes, list[Frame]]) -> None:
    data, frames = case
    assert decoded(data[at : at + 1] for at in range(len(data))) == frames


def test_at_every_split_point(case: tuple[bytes, list[Frame]]) -> None:
    data, frames = case
    for at in range(len(data) + 1):
        assert decoded([data[:at], data[at:]]) == frames, f"cut at {at}"


def test_with_empty_reads(case: tuple[bytes, list[Frame]]) -> None:
    data, frames = case
    assert decoded([b"", data, b"", b""]) == frames


TOKENS = [
    b"data: ",
    b"data:",
    b"data",
    b"event: e",
    b"event:",
    b"id: 1",
    b"retry: 1",
    b":",
    b": c",
    BOM,
    b" ",
]
LINE_ENDS = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n"]
TEXT = [b"a", b'{"x": 1}', b"[DONE]", "世".encode(), "\u2028".encode(), b"\x00", b"\xff"]
streams = st.lists(st.sampled_from([*TOKENS, *LINE_ENDS, *LINE_ENDS, *TEXT]), max_size=24).map(b"".join)


def cut(data: bytes, points: Iterable[int]) -> Iterator[bytes]:
    """The data in pieces, parted at the points."""
    start = 0
    for point in sorted({min(point, len(data)) for point in points}):
        yield data[start:point]
        start = point
    yield data[start:]


@examples(300)
@given(data=streams, points=st.lists(st.integers(0, 80), max_size=8))
def test_any_stream_cut_anywhere_is_read_as_the_reference_reads_it(data: bytes, points: list[int]) -> None:
    assert decoded(cut(data, points)) == reference(data)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n\r\n"])
def test_a_frame_is_given_with_its_last_byte(end: bytes) -> None:
    decoder = SSEDecoder(LIMIT)
    for number in range(3):
        data = b"data: %d" % number + end
        assert decoder.feed(data[:-1]) == []
        assert decoder.feed(data[-1:]) == [(b"", b"%d" % number)]
    assert decoder.finish() == []


def test_a_frame_that_ends_in_cr_is_given_with_the_next_byte() -> None:
    """Which may have been a LF; never later, or a stream of such frames would be kept to its end."""
    decoder = SSEDecoder(LIMIT)
    assert decoder.feed(b"data: a\r\r") == []
    assert decoder.feed(b"data: b\r\r") == [(b"", b"a")]
    assert decoder.feed(b"data: c\r\r") == [(b"", b"b")]
    assert decoder.finish() == [(b"", b"c")]


FRAME = b"data: " + b"x" * 94


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("each", [1, 7, 50, 1000])
def test_a_frame_over_the_limit_breaks_the_stream(each: int, end: bytes) -> None:
    data = b"data: a" + end + FRAME + end
    with pytest.raises(Broken, match="longer than 80 bytes"):
        decoded((data[at : at + each] for at in range(0, len(data), each)), limit=80)


@pytest.mark.parametrize("each", [1, 7, 50, 1000])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_many_frames_within_the_limit_pass(each: int, end: bytes) -> None:
    """The limit is one frame's, however many of them a read brings and wherever it cuts them."""
    data = (FRAME + end) * 10
    pieces = (data[at : at + each] for at in range(0, len(data), each))
    assert decoded(pieces, limit=120) == [(b"", FRAME[6:])] * 10


def test_a_frame_without_an_end_is_given_up_at_the_limit() -> None:
    with pytest.raises(Broken):
        decoded([b"data: " + b"x" * 94] * 20, limit=1000)


def test_a_large_frame_in_many_reads_costs_no_scan_of_what_was_scanned() -> None:
    """A frame of 4 MiB in reads of 4 KiB: quadratic work would take minutes."""
    decoder = SSEDecoder(8 << 20)
    assert decoder.feed(b"data: ") == []
    for _ in range(1024):
        assert decoder.feed(b"x" * 4096) == []
    assert decoder.feed(b"\n\n") == [(b"", b"x" * (4 << 20))]
