"""The compiled code by itself: what it refuses, and what it does when those around it fail."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from typing import Any

import pytest

from tidegate.core.event import Text
from tidegate.core.steady import COUNT, DIGITS, SPACES, TEXT, WORD, Template
from tidegate.streams.records import HEAD_SIZE, events_record, read_events, read_records
from tidegate.wire.ascii_json import quote
from tidegate.wire.payload import decode_string

_relay = pytest.importorskip("tidegate.streams._relay", reason="it was installed without a compiler")

PATTERN: Template = (b'data: {"t":"', TEXT, b'","w":"', WORD, b'"}\n\n')
EVENT: Template = (b'{"event":"text","text":"', TEXT, b'"}')
FRAME: Template = (b'data: "', TEXT, b'" "', WORD, b'" ', COUNT, b"\n\n")


def _chunk(*frames: bytes) -> bytes:
    data = b"".join(frames)
    return b"%x\r\n%b\r\n" % (len(data), data)


def _frame(text: bytes = b"a", word: bytes = b"b") -> bytes:
    return b'data: {"t":"%b","w":"%b"}\n\n' % (text, word)


class Standing(_relay.Relay):  # type: ignore[misc, name-defined]
    """A relay over nothing, which keeps what it hands back and what it writes."""

    def __init__(self, **members: Any) -> None:
        self.left: list[Any] = []
        self.written: list[bytes] = []
        tail = _relay.Tail()
        tail.file, tail.limit = -1, 1
        usual = {"pattern": PATTERN, "event": EVENT, "frame": FRAME, "key": bytes(16), "epoch": 1, "seq": 4}
        usual |= {"last": 1 << 63, "count": 7, "room": 1 << 20, "tail": tail, "write": self.written.append}
        super().__init__(**{**usual, "now": lambda: 1.5, "began_ms": 1000, "keeps": True, **members})

    def leave(self, data: Any) -> None:
        self.left.append(data)


def test_a_frame_is_logged_and_written() -> None:
    standing = Standing()
    standing.data_received(_chunk(_frame(b"\\u00e9", b"pad")))
    assert standing.written == [_chunk(b'data: "\\u00e9" "pad" 7\n\n')]
    events, characters, size, writes, last_at, places, said, last, records = standing.take(1000)
    assert (events, characters, writes, last_at) == (1, 1, 1, 1.5)
    assert size == len(records)
    assert said == last == "é".encode()
    assert len(places) == 16
    (record,) = read_records(records)
    assert (record.seq, record.epoch, record.at_ms, record.stream) == (5, 1, 1000, "0" * 32)
    assert [event.text for event in read_events(record.content)] == ["é"]  # type: ignore[union-attr]
    assert standing.take(1000)[0] == 0


@pytest.mark.parametrize("how", [json.dumps, lambda text: json.dumps(text, ensure_ascii=False)])
def test_text_is_logged_as_the_log_writes_it_and_shown_in_ascii(how: Callable[[str], str]) -> None:
    text = "".join(map(chr, [*range(0x100), 0x7FF, 0x800, 0x2028, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF]))
    standing = Standing()
    standing.data_received(_chunk(_frame(how(text)[1:-1].encode())))
    (shown,) = standing.written
    assert quote(text).encode() in shown
    _, characters, _, _, _, _, said, _, records = standing.take(1)
    assert characters == len(text)
    assert records[HEAD_SIZE:] == events_record(bytes(16), 1, 5, 1, [Text(text)])[HEAD_SIZE:]
    assert decode_string(b'"%b"' % said) == text


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"pattern": ()}, "place"),
        ({"pattern": (b"data: ",)}, "place"),
        ({"pattern": (b'"', TEXT, b'"', TEXT, b'"')}, "place"),
        ({"pattern": (b'"', TEXT, b'"', WORD, b'"', WORD, b'"')}, "place"),
        ({"pattern": (b'"', TEXT, b'"', COUNT)}, "place"),
        ({"pattern": (b'"', TEXT)}, "quote"),
        ({"pattern": (b'"', TEXT, b"")}, "quote"),
        ({"pattern": (b'"', TEXT, b'}"')}, "quote"),
        ({"pattern": (b'"', TEXT, SPACES, b'"')}, "quote"),
        ({"pattern": (b'"', TEXT, b'"', WORD, DIGITS)}, "quote"),
        ({"pattern": (b'"', TEXT, b'"', b" " * 65_536)}, "64 KiB"),
        ({"pattern": (b'"', TEXT, b'"', 5)}, "kind"),
        ({"pattern": (b'"', TEXT, b'"', -1)}, "kind"),
        ({"event": (b"{}",)}, "place"),
        ({"event": (b'"', TEXT, b'" ', COUNT)}, "place"),
        ({"event": (b'"', TEXT, b'" ', DIGITS)}, "place"),
        ({"frame": (b'"', TEXT, b'" ', SPACES)}, "place"),
        ({"frame": (b'"', TEXT, b'" ', COUNT, COUNT)}, "place"),
        ({"pattern": (b'"', TEXT, b'"')}, "place"),  # the frame has a word, which nothing tells then
        ({"key": bytes(15)}, "16 bytes"),
    ],
)
def test_what_says_too_little_is_refused(members: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Standing(**members)


@pytest.mark.parametrize("template", [(b'"', TEXT, '"'), (b'"', TEXT, None), (b'"', TEXT, 1 << 70)])
def test_a_template_is_of_bytes_and_places(template: Any) -> None:
    with pytest.raises((TypeError, OverflowError, ValueError)):
        Standing(pattern=template)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"0\r\n\r\n",
        b"5",
        b"ffffffffffffffffff\r\n",
        b"ffffff\r\n" + _frame(),
        _chunk(_frame())[:-1],
        _chunk(_frame()) + b"1",
        _chunk(_frame()) + b"0\r\n\r\n",
        _chunk(_frame())[:-2] + b"xx",
        _chunk(_frame()).replace(b"\r\n", b";a=b\r\n", 1),
        _chunk(_frame()).replace(b"1", b"0000001", 1),
        _chunk(_frame()[:-1]),
        _chunk(_frame(), b": a comment\n\n"),
        _chunk(_frame(b"")),
        *(
            _chunk(_frame(text))
            for text in (b'"', b"\\", b"\\x", b"\\u", b"\\u12", b"\\u123g", b"\\ud800", b"\\udc00")
        ),
        *(
            _chunk(_frame(text))
            for text in (b"\\ud800\\u", b"\\ud800\\n", b"\\ud800\\ud800", b"\\udc00\\ud800")
        ),
        *(
            _chunk(_frame(text))
            for text in (b"\n", b"\0", b"\x1f", b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80")
        ),
        *(
            _chunk(_frame(text))
            for text in (b"\xed\xa0\x80", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80")
        ),
        *(_chunk(_frame(text)) for text in (b"\xe2\x82", b"\xc3", b"\xf0\x9f\x98", b"a data: b", b"data: ")),
        *(_chunk(_frame(word=word)) for word in (b"\\n", b"\xc3\xa9", b"\x7f", b"data: ")),
    ],
)
def test_what_is_not_for_it_is_handed_back_untouched(data: bytes) -> None:
    standing = Standing()
    standing.data_received(data)
    assert standing.left == [data]
    assert standing.written == []
    assert standing.take(1)[0] == 0


def test_every_part_of_a_read_is_handed_back() -> None:
    """Nothing is read beyond the end of what came: each part lies at the end of its memory."""
    whole = _chunk(_frame(b"\\ud83d\\ude00 \xf0\x9f\x98\x80", b"word"), _frame())
    for stop in range(len(whole)):
        standing = Standing()
        standing.data_received(whole[:stop])
        assert standing.left == [whole[:stop]]
        standing.data_received(bytearray(whole))
        assert standing.left[1:] == [whole]


@pytest.mark.parametrize("members", [{"last": 5}, {"room": 0}, {"last": 4}])
def test_bounds_are_kept(members: dict[str, Any]) -> None:
    standing = Standing(**members)
    standing.data_received(_chunk(_frame(), _frame()))
    assert len(standing.left) == 1
    assert standing.seq == 4


def test_a_failing_clock_leaves_everything_as_it_was() -> None:
    ticks = iter([1.0])
    standing = Standing(now=lambda: next(ticks))
    with pytest.raises(StopIteration):
        standing.data_received(_chunk(_frame()))
    assert (standing.seq, standing.written) == (4, [])
    with pytest.raises(StopIteration):
        standing.take(1)


@pytest.mark.parametrize("now", [lambda: "late", lambda: None])
def test_a_clock_that_tells_no_number_is_refused(now: Callable[[], Any]) -> None:
    with pytest.raises(TypeError):
        Standing(now=now)


def test_a_client_that_fails_has_been_logged_for() -> None:
    def write(_: bytes) -> None:
        raise RuntimeError("closed")

    standing = Standing(write=write)
    with pytest.raises(RuntimeError):
        standing.data_received(_chunk(_frame()))
    assert standing.take(1)[0] == 1


def test_it_may_end_within_the_write_and_within_the_clock() -> None:
    def end(*_: object) -> float:
        if made:
            made[0].take(1)
            made[0].close()
        return 1.0

    made: list[Standing] = []
    made.append(Standing(write=end))
    made[0].data_received(_chunk(_frame()))
    assert made[0].left == []
    made[0].data_received(_chunk(_frame()))
    assert len(made[0].left) == 1

    ended: list[Standing] = []

    def closing() -> float:
        if ended:
            ended[0].close()
        return 1.0

    ended.append(Standing(now=closing))
    ended[0].data_received(_chunk(_frame()))
    assert len(ended[0].left) == 1
    assert ended[0].take(1)[0] == 0


def test_one_that_was_never_begun_passes_nothing() -> None:
    unborn = Standing.__new__(Standing)
    unborn.left = []
    unborn.data_received(_chunk(_frame()))
    assert len(unborn.left) == 1
    assert unborn.take(1)[0] == 0
    unborn.close()


def test_one_that_is_begun_again_in_vain_passes_nothing() -> None:
    standing = Standing()
    with pytest.raises(ValueError, match="place"):
        standing.__init__(pattern=())  # type: ignore[misc]
    standing.data_received(_chunk(_frame()))
    assert len(standing.left) == 1


def test_a_ring_of_relays_is_collected() -> None:
    gone: list[int] = []

    class Ringing(Standing):
        def __del__(self) -> None:
            gone.append(1)

    ring = Ringing()
    again = Ringing(write=ring.data_received)
    ring.again = again
    del ring, again
    gc.collect()
    assert gone == [1, 1]
