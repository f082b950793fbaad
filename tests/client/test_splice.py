"""Whatever is lost wherever, the frames of an answer come out whole, in order and once."""

from __future__ import annotations

from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.scripted import PATHS, Framed, body_of, events_of, frames_of, rest_of, wire
from tidegate.client.splice import Splice
from tidegate.core.event import Failure
from tidegate.errors import Broken

DIALECTS = list(PATHS)
ANSWERS: dict[str, list[Framed]] = {
    dialect: frames_of(dialect, events_of(tools=True), keep_alive=True) for dialect in DIALECTS
}


def over(splice: Splice) -> bool:
    return splice.ended


def answered(splice: Splice, data: bytes) -> bytes:
    return b"".join(piece.data for piece in splice.feed(data))


@pytest.mark.parametrize("ids", [True, False], ids=["with ids", "counted"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_cut_at_any_byte_loses_and_doubles_nothing(dialect: str, ids: bool) -> None:
    frames = ANSWERS[dialect]
    sent = wire(frames, ids=ids)
    for number, data in enumerate(sent):
        whole = Splice()
        read = answered(whole, b"".join(sent[:number]))
        assert not over(whole)
        rest = rest_of(frames, whole.cursor, 0 if whole.cursor else whole.frames)
        again = wire(rest, ids=ids)
        for at in range(len(data)):
            splice = Splice(whole.cursor)
            assert answered(splice, data[:at]) == b""
            splice.cut()
            assert splice.cursor == whole.cursor
            assert answered(splice, again[0]) == rest[0].data
        whole.cut()
        read += answered(whole, b"".join(again))
        assert over(whole)
        # A keep-alive behind the last frame that came may come twice, which changes nothing.
        assert without_keep_alive(read, frames) == without_keep_alive(body_of(frames), frames)


def without_keep_alive(read: bytes, frames: list[Framed]) -> bytes:
    for alive in {frame.data for frame in frames if frame.cursor is None}:
        read = read.replace(alive, b"")
    return read


@pytest.mark.parametrize("dialect", DIALECTS)
@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=30))
def test_pieces_of_any_size_make_the_same_frames(dialect: str, sizes: list[int]) -> None:
    frames = ANSWERS[dialect]
    rest = b"".join(wire(frames, ids=True))
    splice, pieces = Splice(), []
    for size in cycle(sizes):
        pieces += splice.feed(rest[:size])
        rest = rest[size:]
        if not rest:
            break
    assert b"".join(piece.data for piece in pieces) == body_of(frames)
    counted = [piece.cursor for piece, frame in zip(pieces, frames, strict=True) if frame.cursor is not None]
    assert counted == [frame.cursor for frame in frames if frame.cursor is not None]


def test_a_chat_of_anythingllm_ends_with_its_last_frame_only() -> None:
    splice = Splice()
    for frame in frames_of("anythingllm", events_of()):
        assert not over(splice)
        splice.feed(b"\n" + frame.data)  # behind a keep-alive
    assert over(splice)


@pytest.mark.parametrize("dialect", [*DIALECTS, "anythingllm"])
def test_an_error_is_an_end_once_all_of_it_has_come(dialect: str) -> None:
    frames = frames_of(dialect, events_of(error=Failure("gone", type="upstream_error")))
    splice = Splice()
    for frame in frames:
        assert not over(splice)
        splice.feed(frame.data)
    assert over(splice)


@pytest.mark.parametrize(
    "frame", [b'id: 7\nevent: x\ndata: {"a":1}\n\n', b'event: x\nid: 7\ndata: {"a":1}\n\n']
)
def test_an_id_is_taken_off_wherever_it_stands(frame: bytes) -> None:
    [piece] = Splice().feed(frame)
    assert piece == (b'event: x\ndata: {"a":1}\n\n', "7")


def test_an_id_alone_moves_the_cursor_only() -> None:
    splice = Splice()
    assert splice.feed(b"id: 9\n\n") == []
    assert splice.cursor == "9"


def test_text_that_looks_like_fields_is_text() -> None:
    splice = Splice()
    [piece] = splice.feed(b'data: {"text":"\\nid: 5\\n\\n[DONE] \\"error\\":1"}\n\n')
    assert b"id: 5" in piece.data
    assert (splice.cursor, splice.ended) == (None, False)


def test_a_frame_without_end_is_not_kept_for_ever() -> None:
    splice = Splice(longest=100)
    with pytest.raises(Broken, match="more than 100 bytes"):
        splice.feed(b"data: " + b"x" * 101)
