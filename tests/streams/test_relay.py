"""Nobody can tell whether an answer went through a relay: what is shown, kept and counted is the same."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import messages
from tests.chat import frame
from tests.loops import on_both_loops, until
from tests.properties import examples
from tests.responses import Events
from tests.responses import frame as numbered
from tests.streams.passage import (
    HEAD,
    LAST_CHUNK,
    STREAM,
    Course,
    Outcome,
    Passage,
    Socket,
    body_of,
    both_ways,
    chunked,
    reading,
)
from tidegate.core.attempt import Answering
from tidegate.core.event import Text
from tidegate.net import Connection
from tidegate.streams import relay
from tidegate.streams.records import EVENTS, read_events
from tidegate.streams.segments import read_segment

pytestmark = pytest.mark.skipif(
    not relay.COMPILED, reason="it was installed without a compiler, so there are no relays"
)

Json = dict[str, Any]
PLAIN = [f" word{n}" for n in range(9)]
"""Texts after which a relay has formed, whatever came before them."""


# What upstreams send: the texts stand as @0@, @1@ and so on in the frames, and are put there as written.


def _chunk(delta: Json, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "mock"}
    return frame({**head, "choices": [choice], "usage": None, **more})


def _chat(key: str, padded: bool, marks: Sequence[str]) -> list[bytes]:
    def pad(n: int) -> Json:
        return {"obfuscation": "aB3dEfGhIj"[: n % 11]} if padded else {}

    usage = {"usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}}
    deltas = [_chunk({key: mark}, **pad(n)) for n, mark in enumerate(marks)]
    opening = [_chunk({"role": "assistant", "content": ""}), _chunk({"content": "."}, **pad(1))]
    return [*opening, *deltas, _chunk({}, "stop", **usage), b"data: [DONE]\n\n"]


def _messages(kind: str, padded: bool, marks: Sequence[str]) -> list[bytes]:
    block = messages.text(0, marks) if kind == "text" else messages.thinking(0, marks, "signed")
    frames = [messages.event(event) for event in messages.answer(block)]
    if padded:
        frames = [
            each.replace(b"}}\n\n", b"}%b}\n\n" % (b" " * (n % 7))) if b"_delta" in each else each
            for n, each in enumerate(frames)
        ]
    return frames


def _responses(kind: str, marks: Sequence[str]) -> list[bytes]:
    events = Events()
    if kind == "text":
        events.text(marks)
    else:
        events.reasoning(marks, "sealed").text(["said"])
    return [numbered(event) for event in events.ended()]


Frames = Callable[[Sequence[str]], list[bytes]]
SOURCES: dict[str, tuple[str, Frames]] = {
    "chat": ("openai-chat", lambda marks: _chat("content", False, marks)),
    "chat, padded": ("openai-chat", lambda marks: _chat("content", True, marks)),
    "chat, reasoning": ("openai-chat", lambda marks: _chat("reasoning_content", False, marks)),
    "messages": ("anthropic-messages", lambda marks: _messages("text", False, marks)),
    "messages, padded": ("anthropic-messages", lambda marks: _messages("text", True, marks)),
    "messages, thinking": ("anthropic-messages", lambda marks: _messages("thinking", True, marks)),
    "responses": ("openai-responses", lambda marks: _responses("text", marks)),
    "responses, reasoning": ("openai-responses", lambda marks: _responses("reasoning", marks)),
}
SHOWN = ("openai-chat", "anthropic-messages", "openai-responses")


def _in_utf8(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")


def _in_ascii(text: str) -> bytes:
    return json.dumps(text)[1:-1].encode()


def _otherwise(text: str) -> bytes:
    """Every character escaped in capitals, but for those that JSON has an escape of one letter for."""
    short = {'"': b'\\"', "\\": b"\\\\", "/": b"\\/", "\n": b"\\n", "\b": b"\\b"}
    units = [char.encode("utf-16-be", "surrogatepass").hex().upper() for char in text]
    long = [
        b"".join(b"\\u%b" % unit[at : at + 4].encode() for at in range(0, len(unit), 4)) for unit in units
    ]
    return b"".join(short.get(char, written) for char, written in zip(text, long, strict=True))


WRITTEN = (_in_utf8, _in_ascii, _otherwise)
Said = tuple[str, Callable[[str], bytes]]

SPECIAL = [
    "",
    "data: ",
    "d",
    "data: [DONE]",
    "}",
    '"}}]}',
    "\x00",
    "\x7f",
    "\x1f\t\n\r\b\f",
    "\u2028\u2029\x85",
]
SPECIAL += ["\ud83d", "\ude00", "😀", "\U0010ffff", "\ufeff", "\\", '\\"', "/", "@", "text-stands", "é" * 40]
TEXT = st.one_of(
    st.text(max_size=12),
    st.text(st.characters(), max_size=4),  # halves of pairs as well
    st.sampled_from(SPECIAL),
    st.lists(st.sampled_from(SPECIAL), max_size=4).map("".join),
)
SAYINGS = st.lists(st.tuples(TEXT, st.sampled_from(WRITTEN)), max_size=12)


def said(source: str, sayings: Iterable[Said]) -> list[bytes]:
    """The frames of an answer in which this is said."""
    written = [how(text) for text, how in sayings]
    frames = SOURCES[source][1]([f"@{n}@" for n in range(len(written))])
    for n, inside in enumerate(written):
        frames = [each.replace(b"@%d@" % n, inside) for each in frames]
    return frames


def plainly(texts: Iterable[str]) -> list[Said]:
    return [(text, _in_utf8) for text in texts]


@st.composite
def reads(draw: st.DrawFn, frames: Sequence[bytes], certain: int) -> list[bytes]:
    """The frames as they come: the first ones each alone, then as servers and networks cut them."""
    alone, rest = frames[:certain], list(frames[certain:])
    body = b""
    stops: list[int] = []
    while rest:
        count = draw(st.integers(1, 3))
        data, rest = b"".join(rest[:count]), rest[count:]
        head = draw(st.sampled_from([b"%x\r\n"] * 6 + [b"%X\r\n", b"0%x\r\n", b"%x;a=b\r\n"]))
        body += head % len(data) + data + b"\r\n"
        stops.append(len(body))
    body += draw(st.sampled_from([LAST_CHUNK, b"0\r\nx-trailer: 1\r\n\r\n"]))
    whole = draw(st.sets(st.sampled_from(stops))) if stops else set()
    within = draw(st.sets(st.integers(1, len(body) - 1), max_size=4))
    points = [0, *sorted(whole | within), len(body)]
    cut = [body[start:stop] for start, stop in pairwise(points) if start < stop]
    return [*map(chunked, alone), *cut]


def alike(pair: tuple[Outcome, Outcome, int]) -> int:
    """Nothing shows that there were relays; how many reads they passed on."""
    with_relays, without, passed = pair
    assert with_relays == without
    return passed


@examples(120)
@given(
    data=st.data(),
    source=st.sampled_from(sorted(SOURCES)),
    shown=st.sampled_from(SHOWN),
    sayings=SAYINGS,
    on_disk=st.booleans(),
)
def test_any_text_in_any_pieces(
    data: st.DataObject, source: str, shown: str, sayings: list[Said], on_disk: bool
) -> None:
    frames = said(source, [*plainly(PLAIN), *sayings])
    certain = len(frames) - len(sayings) - 8
    course = reading(data.draw(reads(frames, max(certain, 11))))
    passed = alike(both_ways(course, on_disk=on_disk, spoken=SOURCES[source][0], shown=shown))
    assert passed >= 1, "there was no relay, so this shows nothing"


# What others do meanwhile.


def _look(passage: Passage) -> None:
    log, producer = passage.streams.log, passage.producer
    passage.seen.append((producer.deltas, producer.characters, producer.last_delta_at))
    passage.seen.append((log.last_seq(STREAM), log.size(STREAM), log.statistics()))


def _read(passage: Passage) -> None:
    log = passage.streams.log
    passage.seen += [log.read(STREAM, 3, 4), log.records(STREAM, log.last_seq(STREAM) - 2, 9)]


def _join(passage: Passage) -> None:
    socket = Socket()
    passage.others.append((socket, passage.join(socket)[1]))


def _leave(passage: Passage) -> None:
    if passage.others:
        passage.others[-1][1].gone()


def _no_room(passage: Passage) -> None:
    """The next write to the client leaves it without room, which it says before that write returns."""

    def full() -> None:
        passage.client.on_write = lambda: None
        passage.sink.blocked()

    passage.client.on_write = full


ACTS: dict[str, Course] = {
    "nothing": lambda _: None,
    "look": _look,
    "read": _read,
    "tick": lambda passage: passage.sink._tick(),
    "join": _join,
    "leave": _leave,
    "no room": _no_room,
    "block": lambda passage: passage.sink.blocked(),
    "room": lambda passage: passage.sink.unblocked(),
    "note": lambda passage: passage.streams.log.note(STREAM, Answering("another")),
    "emit": lambda passage: passage.producer.emit(Text("beside")),
    "stop": lambda passage: passage.producer.end("cancelled"),
    "gone": lambda passage: passage.sink.gone(),
    "lost": lambda passage: passage.upstream.protocol.connection_lost(None),
    "take over": lambda passage: passage.seen.append(passage.streams.log.take_over(STREAM)),
}
USUAL = ["nothing"] * 8 + ["look", "read", "tick", "join", "leave", "no room", "block", "room", "note"]


@examples(120)
@given(
    source=st.sampled_from(sorted(SOURCES)),
    shown=st.sampled_from(SHOWN),
    acts=st.lists(st.sampled_from(USUAL), min_size=8, max_size=40),
    last=st.sampled_from(sorted(ACTS)),
    on_disk=st.booleans(),
    policy=st.sampled_from(["cancel", "continue"]),
)
def test_whatever_others_do_meanwhile(
    source: str, shown: str, acts: list[str], last: str, on_disk: bool, policy: str
) -> None:
    frames = said(source, plainly([*PLAIN, *(f"{n} more" for n in range(len(acts)))]))

    def course(passage: Passage) -> None:
        coming = [HEAD, *map(chunked, frames), LAST_CHUNK]
        for act in [*["nothing"] * 14, *acts, last]:
            ACTS[act](passage)
            if coming and passage.upstream.reading:
                passage.read(coming.pop(0))
        passage.client.on_write = lambda: None
        passage.sink.unblocked()
        while coming and passage.upstream.reading:
            passage.read(coming.pop(0))

    spoken = SOURCES[source][0]
    pair = both_ways(course, on_disk=on_disk, spoken=spoken, shown=shown, on_disconnect=policy)
    assert alike(pair) >= 1


# Where a relay ends.


def _many(count: int, source: str = "chat") -> list[bytes]:
    return [*map(chunked, said(source, plainly(f" word{n}" for n in range(count)))), LAST_CHUNK]


def test_the_log_sums_up_what_went_past_it() -> None:
    def course(passage: Passage) -> None:
        passage.read(HEAD, *_many(1100))
        passage.seen.append(passage.streams.log.passed(STREAM, 1100))

    outcome, without, passed = both_ways(course, on_disk=True)
    assert outcome == without
    assert passed > 900
    (_, reached) = outcome.seen[0]
    assert reached == 1024


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_read_that_goes_beyond_what_is_summed_up(on_disk: bool) -> None:
    """Reads of seven frames each, so that the 1024th event is in the middle of one."""
    frames = said("chat, padded", plainly(f" word{n}" for n in range(1100)))
    alone, rest = frames[:11], frames[11:]
    several = [b"".join(map(chunked, rest[at : at + 7])) for at in range(0, len(rest), 7)]
    course = reading([*map(chunked, alone), *several, LAST_CHUNK])
    assert alike(both_ways(course, on_disk=on_disk)) > 100


def test_a_full_file_is_followed_by_the_next() -> None:
    with_relays, without, passed = both_ways(reading(_many(300)), on_disk=True, segment_bytes=4096)
    assert with_relays == without
    assert passed > 60
    assert with_relays.files.count(b"tidegate log 1") > 5


@pytest.mark.parametrize("on_disk", [False, True])
def test_an_answer_outgrows_its_bounds_at_the_same_event(on_disk: bool) -> None:
    outcome, without, passed = both_ways(reading(_many(100)), on_disk=on_disk, most=9000)
    assert outcome == without
    assert passed > 10
    assert outcome.error is not None
    assert "outgrew" in outcome.error


@contextmanager
def _room_on_disk(size: int) -> Iterator[None]:
    """No file of this process grows beyond ``size`` bytes meanwhile; what is too long is written in part."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("more", [0, 1, 60])
def test_a_full_disk_ends_the_answer_and_leaves_no_part_of_a_record(more: int) -> None:
    coming = _many(30)

    def course(passage: Passage) -> None:
        passage.read(HEAD, *coming[:20])
        passage.seen.append(passage.body)
        with _room_on_disk(len(passage.files) + more):
            passage.read(*coming[20:22])
        assert not passage.steady

    outcome, without, passed = both_ways(course, on_disk=True)
    assert outcome == without
    assert passed > 5
    assert outcome.error is not None
    assert "cannot be kept" in outcome.error
    assert outcome.body == outcome.seen[0]
    assert [record.seq for record in outcome.records] == list(range(1, len(outcome.records) + 1))


def test_half_a_character_beside_the_text_is_logged_as_ever() -> None:
    frames = [
        each.replace(b'"model": "mock"', b'"model": "mock","x":"\\ud83d"')
        for each in said("chat", plainly(PLAIN))
    ]
    with_relays, without, passed = both_ways(reading([*map(chunked, frames), LAST_CHUNK]), on_disk=False)
    assert with_relays == without
    assert passed > 1


@pytest.mark.parametrize("size", [1 << 12, 30_000, 65_000, 65_400])
@pytest.mark.parametrize("beside", ["x", "é"])
def test_frames_that_are_long_beside_their_text(size: int, beside: str) -> None:
    """What is too long for a template goes as ever; in ASCII it is three times as long."""
    long = beside.encode() * (size // len(beside.encode()))
    frames = [
        each.replace(b'"model": "mock"', b'"model": "mock","x":"%b"' % long)
        for each in said("chat", plainly(PLAIN))
    ]
    with_relays, without, passed = both_ways(reading([*map(chunked, frames), LAST_CHUNK]), on_disk=True)
    assert with_relays == without
    assert without.complete
    assert passed > 1 or size > 1 << 12


def test_one_read_of_thousands() -> None:
    texts = [f" word{n} é 世界 \u2028 😀" for n in range(1000)]
    frames = said("chat, padded", plainly([*PLAIN, *texts]))
    alone, rest = frames[:11], frames[11:-2]
    course = reading(
        [*map(chunked, alone), b"".join(map(chunked, rest)), chunked(b"".join(frames[-2:])), LAST_CHUNK]
    )
    assert alike(both_ways(course, on_disk=True)) >= 4


def test_nothing_holds_a_relay_that_has_ended(tmp_path: Path) -> None:
    async def course() -> None:
        passage = Passage(folder=tmp_path)
        passage.read(HEAD, *_many(9)[:-3])
        standing = passage.upstream.protocol
        assert standing is not passage.connection
        passage.producer.emit(Text("beside"))
        assert passage.upstream.protocol is passage.connection
        assert sys.getrefcount(standing) == 2  # by its name and by this call
        passage.close()

    asyncio.run(course())


def _shown(body: bytes) -> str:
    chunks = [json.loads(each.removeprefix(b"data: ")) for each in body.split(b"\n\n") if each]
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)


def test_what_is_shown_is_in_the_files_before_anybody_asks(tmp_path: Path) -> None:
    """So a process that is killed now has lost nothing; see tests/crash."""

    async def course() -> None:
        passage = Passage(folder=tmp_path)
        coming = _many(40)
        passage.read(HEAD, *coming[:8])
        for data in coming[8:30]:
            passage.read(data)
            assert passage.steady
            records = read_segment(tmp_path / "00000000.log")
            written = [record.content for record in records if record.kind == EVENTS]
            texts = [event.text for each in written for event in read_events(each) if type(event) is Text]
            assert "".join(texts) == _shown(passage.body)
        assert passage.relays >= 22
        passage.close()

    asyncio.run(course())


def test_an_event_of_a_program_ends_it() -> None:
    def course(passage: Passage) -> None:
        passage.read(HEAD, *_many(20)[:12])
        passage.seen.append(passage.streams.log.last_seq(STREAM))
        passage.producer.emit(Text("beside"))
        passage.read(*_many(20)[12:])

    assert alike(both_ways(course, on_disk=True, shown="openai-responses")) > 3


def test_a_client_that_leaves_has_its_response_kept_whole() -> None:
    def course(passage: Passage) -> None:
        coming = [*map(chunked, said("responses", plainly([*PLAIN, "the end"]))), LAST_CHUNK]
        passage.read(HEAD, *coming[:11])
        passage.sink.gone()
        passage.read(*coming[11:])

    spoken = "openai-responses"
    outcome, without, passed = both_ways(course, on_disk=True, spoken=spoken, on_disconnect="continue")
    assert outcome == without
    assert passed > 1
    ((response, _),) = outcome.kept
    assert response["output"][0]["content"][0]["text"] == "".join([*PLAIN, "the end"])


@on_both_loops
async def test_real_connections() -> None:
    """The protocols of a real transport change places, and the connection has it back in the end."""
    coming = [HEAD, *_many(40)]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for data in coming:
            await reader.readexactly(1)
            writer.write(data)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        passage = Passage()
        connection = Connection("the upstream")
        passage.call._connection = connection
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: connection, *server.sockets[0].getsockname())
        connection.send(b".", passage.call)
        stood = due = 0

        def came() -> bool:
            return passage.producer.deltas >= min(due, 41)

        for due in range(len(coming) - 1):  # noqa: B007
            transport.write(b".")
            await until(came)
            stood += transport.get_protocol() is not connection
        await passage.call._done
        assert stood > 20
        assert transport.get_protocol() is connection
        body, complete = body_of(bytes(passage.client.written))
        assert complete
        assert body.count(b" word") == 40
        transport.abort()
        await until(lambda: len(asyncio.all_tasks()) == 1)  # it has been archived
