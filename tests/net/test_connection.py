"""One HTTP/1.1 response from its bytes, cut anywhere: head, body, end, and whether the connection goes on."""

from __future__ import annotations

import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.net.parts import REQUEST, Heard, Line, response
from tidegate.errors import Broken, Full, SourceError, TidegateError, Unreachable

HELLO = b"hello " * 20

OK = b"HTTP/1.1 200 OK\r\n"


def chunked(*pieces: bytes, headers: bytes = b"", trailer: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return OK + headers + b"transfer-encoding: chunked\r\n\r\n" + body + b"0\r\n" + trailer + b"\r\n"


def sized(body: bytes, headers: bytes = b"") -> bytes:
    return OK + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


REUSABLE = {
    "sized": sized(HELLO),
    "chunked": chunked(HELLO[:1], HELLO[1:50], HELLO[50:]),
    "chunk extensions and a trailer": OK
    + b"transfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n%x\r\n%b\r\n0\r\nx: y\r\n\r\n"
    % (len(HELLO) - 5, HELLO[5:]),
    "upper case": b"HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: Chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    % (len(HELLO), HELLO),
    "after 100 continue": b"HTTP/1.1 100 Continue\r\n\r\n" + sized(HELLO),
    "after early hints": b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 2 + sized(HELLO),
    "gzip": sized(gzip.compress(HELLO), b"Content-Encoding: gzip\r\n"),
    "gzip in chunks": chunked(
        gzip.compress(HELLO)[:13], gzip.compress(HELLO)[13:], headers=b"content-encoding: GZIP\r\n"
    ),
    "x-gzip": sized(gzip.compress(HELLO), b"content-encoding: x-gzip\r\n"),
    "deflate": sized(zlib.compress(HELLO), b"content-encoding: deflate\r\n"),
    "no reason": b"HTTP/1.1 200\r\ncontent-length: %d\r\n\r\n%b" % (len(HELLO), HELLO),
}
LAST = {
    "connection: close": sized(HELLO, b"connection: close\r\n"),
    "http/1.0": b"HTTP/1.0 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(HELLO), HELLO),
}


ODD_CHUNKS = [b"\r\n", b"1\r\nx\r\n", b"x" * 3000]


def pieces_of(data: bytes, at: int | None) -> list[bytes]:
    """Cut in two, or byte by byte."""
    return [data[:at], data[at:]] if at is not None else [data[n : n + 1] for n in range(len(data))]


def heard_well(line: Line) -> None:
    assert line.heard.error is None
    assert line.heard.body == HELLO
    assert (line.heard.status, line.heard.completed) == (200, 1)


@pytest.mark.parametrize("sent", REUSABLE.values(), ids=REUSABLE.keys())
def test_a_response_cut_anywhere(sent: bytes) -> None:
    for at in [None, *range(1, len(sent) + 1)]:
        line = Line()
        line.feed(*(piece for piece in pieces_of(sent, at) if piece))
        heard_well(line)
        assert line.leave()


@given(
    st.lists(
        st.binary(min_size=1, max_size=40) | st.sampled_from([b"\r\n", b"1\r\nx\r\n", b"x" * 3000]),
        max_size=8,
    ),
    st.lists(st.integers(0, 400), max_size=4),
    st.sampled_from([b"", b";name=value"]),
)
def test_whole_chunks_and_cut_ones_make_the_same_body(
    bodies: list[bytes], cuts: list[int], extension: bytes
) -> None:
    """A read that is one whole chunk goes past the parser, which must be where it was before."""
    head = OK + b"transfer-encoding: chunked\r\n\r\n"
    chunks = [b"%x%b\r\n%b\r\n" % (len(body), extension, body) for body in bodies]
    whole = b"".join(chunks) + b"0\r\n\r\n"
    borders = {0, len(whole), *(cut for cut in cuts if cut < len(whole))}
    at = 0
    for number, chunk in enumerate(chunks):
        at += len(chunk)
        if number % 3 != 1:  # some reads bring two
            borders.add(at)
    places = sorted(borders)
    line = Line()
    line.feed(head, *(whole[start:stop] for start, stop in pairwise(places)))
    assert line.heard.error is None
    assert (line.heard.body, line.heard.completed) == (b"".join(bodies), 1)
    assert line.leave()


@pytest.mark.parametrize("sent", LAST.values(), ids=LAST.keys())
def test_a_response_after_which_the_server_will_close(sent: bytes) -> None:
    for at in (None, len(sent)):
        line = Line()
        line.feed(*(piece for piece in pieces_of(sent, at) if piece))
        heard_well(line)
        assert not line.leave()
        assert line.wire.aborted


@pytest.mark.parametrize("head", [OK, b"HTTP/1.0 200 OK\r\n"])
def test_a_body_that_ends_with_the_connection(head: bytes) -> None:
    line = Line()
    line.feed(head + b"\r\n" + HELLO[:7], HELLO[7:])
    assert line.heard.completed == 0
    line.lose()
    heard_well(line)
    assert not line.leave()


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_that_cannot_have_a_body(status: int) -> None:
    line = Line()
    line.feed(b"HTTP/1.1 %d X\r\n\r\n" % status)
    assert (line.heard.status, line.heard.body, line.heard.completed) == (status, b"", 1)
    assert line.leave()


def test_names_of_headers_are_in_lower_case() -> None:
    line = Line()
    line.feed(sized(b"", b"Retry-After: 5\r\nX-Thing: Yes\r\n"))
    [head] = line.heard.heads
    assert head.headers[b"retry-after"] == b"5"
    assert head.headers[b"x-thing"] == b"Yes"


def test_headers_of_hints_are_not_those_of_the_response() -> None:
    line = Line()
    line.feed(b"HTTP/1.1 103 Hints\r\nretry-after: 5\r\n\r\n" + sized(HELLO))
    assert b"retry-after" not in line.heard.heads[0].headers


def test_what_one_read_brings_is_told_in_one_call() -> None:
    line = Line()
    line.feed(chunked(*(b"x" for _ in range(50))))
    assert line.heard.reads == [b"x" * 50]


def test_the_body_is_told_as_it_comes() -> None:
    """Nothing waits for more, not even when it is compressed."""
    packer = zlib.compressobj(wbits=31)
    line = Line()
    line.feed(OK + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n")
    for word in (b"one", b"two", b"three"):
        packed = packer.compress(word) + packer.flush(zlib.Z_SYNC_FLUSH)
        line.feed(b"%x\r\n%b\r\n" % (len(packed), packed))
        assert line.heard.reads[-1] == word
    tail = packer.flush(zlib.Z_FINISH)
    line.feed(b"%x\r\n%b\r\n0\r\n\r\n" % (len(tail), tail))
    assert (line.heard.body, line.heard.completed) == (b"onetwothree", 1)


BROKEN: dict[str, tuple[bytes, str]] = {
    "no http": (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP"),
    "a page of its own": (b"<html>hello</html>", "not HTTP"),
    "a bad chunk": (OK + b"transfer-encoding: chunked\r\n\r\nxyz\r\n", "not HTTP"),
    "two lengths": (OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello", "not HTTP"),
    "a length that is none": (OK + b"content-length: x\r\n\r\n", "not HTTP"),
    "an upgrade": (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        "protocol upgrade",
    ),
    "no gzip": (sized(HELLO, b"content-encoding: gzip\r\n"), "does not decompress"),
}


@pytest.mark.parametrize(("sent", "words"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_response_is_broken(sent: bytes, words: str) -> None:
    for at in (None, len(sent)):
        line = Line()
        for piece in pieces_of(sent, at):
            if line.heard.error is None and piece:
                line.feed(piece)
        assert isinstance(line.heard.error, Broken)
        assert words in line.heard.error.message
        assert line.heard.error.message.startswith("up ")
        assert line.wire.aborted
        assert line.heard.completed == 0


def test_a_bomb_is_not_unfolded() -> None:
    bomb = gzip.compress(bytes(200 << 20), compresslevel=1)
    line = Line()
    line.feed(OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb))
    at = 0
    while line.heard.error is None and at < len(bomb):
        line.feed(bomb[at : at + 256 * 1024])
        at += 256 * 1024
    assert isinstance(line.heard.error, Broken)
    assert "decompresses to too much" in line.heard.error.message
    assert len(line.heard.body) <= 64 << 20


@pytest.mark.parametrize(
    ("came", "error", "words"),
    [
        (b"", Unreachable, "closed the connection without an answer"),
        (b"HTTP/1.1 200", Broken, "closed the connection in mid-answer"),
        (OK + b"content-length: 9\r\n\r\nhello", Broken, "in mid-answer"),
        (OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", Broken, "in mid-answer"),
        (OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhel", Broken, "in mid-answer"),
        (OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", Broken, "in mid-answer"),
    ],
)
@pytest.mark.parametrize("reason", [None, ConnectionResetError(104, "Connection reset by peer")])
def test_a_connection_that_is_lost(
    came: bytes, error: type[TidegateError], words: str, reason: Exception | None
) -> None:
    line = Line()
    if came:
        line.feed(came)
    line.lose(reason)
    assert isinstance(line.heard.error, error)
    assert words in line.heard.error.message
    assert ("reset by peer" in line.heard.error.message) == (reason is not None)
    assert not line.connection.idle


def test_a_reset_is_no_end_of_a_body_that_ends_with_the_connection() -> None:
    line = Line()
    line.feed(OK + b"\r\nhello")
    line.lose(ConnectionResetError("reset"))
    assert isinstance(line.heard.error, Broken)
    assert line.heard.completed == 0


def test_after_a_whole_response_a_lost_connection_is_no_news() -> None:
    line = Line()
    line.feed(sized(HELLO))
    line.lose()
    heard_well(line)
    assert not line.leave()


def test_one_connection_carries_many_exchanges() -> None:
    line = Line()
    for number in range(1, 4):
        line.feed(sized(HELLO))
        heard_well(line)
        line.settled.clear()
        assert line.leave()
        assert line.connection.exchanges == number
        line.ask()
    assert line.wire.sent == REQUEST * 4


def test_an_exchange_does_not_inherit_from_the_one_before() -> None:
    line = Line()
    line.feed(sized(gzip.compress(HELLO), b"content-encoding: gzip\r\n"))
    assert line.leave()
    line.ask()
    line.feed(sized(HELLO))
    heard_well(line)


@pytest.mark.parametrize(
    "behind", [b"x", b"\r\n", b"HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops", sized(HELLO)]
)
def test_bytes_behind_a_response_belong_to_nobody(behind: bytes) -> None:
    """They harm no answer: not this one, and not the next, which gets another connection."""
    line = Line()
    line.feed(sized(HELLO) + behind)
    heard_well(line)
    reused = line.leave()
    assert reused == (behind == b"\r\n" and not line.wire.aborted)


@pytest.mark.parametrize("behind", [b"x", sized(HELLO)])
def test_also_when_they_come_later(behind: bytes) -> None:
    line = Line()
    line.feed(sized(HELLO), behind)
    heard_well(line)
    assert not line.leave() or line.connection.idle


def test_an_idle_connection_that_talks_is_closed() -> None:
    line = Line()
    line.feed(sized(HELLO))
    assert line.leave()
    line.feed(b"data: late\n\n")
    assert line.wire.aborted
    assert not line.connection.idle


def test_a_tail_that_comes_after_the_next_request_is_no_answer_to_it() -> None:
    """The connection is given up as one that never answered, so that the request may be sent again."""
    line = Line()
    line.feed(sized(HELLO))
    assert line.leave()
    line.ask()
    line.feed(b"data: late\n\n")
    assert isinstance(line.heard.error, Unreachable)
    assert not line.connection.answered


def test_answered_tells_whether_a_byte_has_come() -> None:
    line = Line()
    seen = [line.connection.answered]
    line.feed(b"H")
    seen.append(line.connection.answered)
    line.feed(sized(HELLO)[1:])
    assert line.leave()
    line.ask()
    seen.append(line.connection.answered)
    assert seen == [False, True, False]


def test_a_receiver_that_leaves_early_has_the_tail_dropped() -> None:
    """A Chat answer is over at [DONE]; what ends its body comes with the next read."""
    line = Line()
    line.feed(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
    assert not line.leave()
    assert line.connection.tail_pending
    line.feed(b"2\r\n: \r\n")
    assert not line.settled
    line.feed(b"0\r\n\r\n")
    assert line.settled == [line.connection]
    assert line.connection.idle
    assert line.heard.reads == [b"hello"]


def test_a_tail_without_an_end_is_not_waited_for() -> None:
    line = Line()
    line.feed(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
    line.leave()
    for _ in range(20):
        if not line.wire.aborted:
            line.feed(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    assert line.wire.aborted
    assert line.settled == []


def test_leaving_lets_a_paused_connection_go_on() -> None:
    line = Line()
    line.feed(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
    line.connection.pause_reading()
    assert line.wire.paused
    line.leave()
    assert not line.wire.paused


def test_a_tail_that_is_lost_is_no_news() -> None:
    line = Line()
    line.feed(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
    line.leave()
    line.lose()
    assert (line.heard.error, line.settled) == (None, [])


def test_abort_closes_and_tells_nothing() -> None:
    line = Line()
    line.feed(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
    line.connection.abort()
    line.lose()
    assert line.wire.aborted
    assert (line.heard.completed, line.heard.error) == (0, None)
    line.connection.pause_reading()
    line.connection.resume_reading()
    assert not line.wire.paused


class Defect(Exception):
    """Something that nobody thought of, behind a receiver."""


class Raising(Heard):
    """A receiver that cannot take what it is told."""

    def __init__(self, raised: type[Exception], at: str) -> None:
        super().__init__()
        self._raised = raised
        self._at = at

    def data(self, data: bytes) -> None:
        super().data(data)
        if self._at == "data":
            raise self._raised("no sense")

    def complete(self) -> None:
        raise self._raised("no sense")


@pytest.mark.parametrize("at", ["data", "complete"])
@pytest.mark.parametrize(
    "sent", [sized(HELLO), OK + b"\r\nhello"], ids=["sized", "until the connection ends"]
)
@pytest.mark.parametrize("raised", [Broken, Full, Defect])
def test_what_a_receiver_raises_ends_the_exchange(raised: type[Exception], sent: bytes, at: str) -> None:
    """And whoever waits for it is told, whatever it was."""
    line = Line()
    heard = Raising(raised, at)
    line.connection.send(REQUEST, heard)
    line.feed(sent)
    line.lose()
    assert heard.error is not None
    if raised is Defect:
        assert (type(heard.error), heard.error.status) == (SourceError, 500)
        assert heard.error.message == "the gateway failed: Defect"
    else:
        assert (type(heard.error), heard.error.message) == (raised, "no sense")
    assert line.wire.aborted
    assert not line.connection.idle


def test_its_name_and_state_are_shown() -> None:
    line = Line()
    assert repr(line.connection) == "<Connection up busy exchanges=1>"
    line.feed(response(b""))
    line.leave()
    assert repr(line.connection) == "<Connection up idle exchanges=1>"
    line.connection.abort()
    assert repr(line.connection) == "<Connection up closed exchanges=1>"
