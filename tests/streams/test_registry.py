"""Live streams: readers come and go, and the last one to go decides by the stream's policy."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from tests.loops import in_virtual_time, turns
from tests.streams.parts import END, ManualClock, Page, Plain, S, T, Tap, header, texts
from tidegate.core.event import End
from tidegate.core.request import OnDisconnect
from tidegate.errors import Overloaded, StoreError
from tidegate.server.responses.background import kept_stream
from tidegate.streams.archive import Archive, MemoryArchive, Summary
from tidegate.streams.log import Committed, StreamLog
from tidegate.streams.memory import MemoryLog
from tidegate.streams.reader import Reader
from tidegate.streams.registry import CANCELLED, Stream, Streams


def made(retain: float = 0.0) -> Streams:
    """Streams that are kept in memory, and after their end for ``retain`` seconds."""
    clock = ManualClock()

    def make(committed: Committed) -> tuple[StreamLog, Archive]:
        log = MemoryLog(clock, committed)
        return log, MemoryArchive(log, clock)

    return Streams(clock, make, retain)


class Live:
    """One live stream, whose generation waits until it is told to say something."""

    def __init__(self, policy: OnDisconnect = "cancel") -> None:
        self.streams = made()
        self.stream: Stream = self.streams.create(header(on_disconnect=policy))
        self.tap = Tap()
        self.stream.producer.control(self.tap)
        self.cancelled = asyncio.Event()
        self._go = asyncio.Event()
        self.stream.run(self._generate())

    async def _generate(self) -> None:
        try:
            await self._go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def say(self, *words: str) -> None:
        self.stream.producer.emit_all(texts(*words))

    async def finish(self) -> None:
        """The generation ends well."""
        self.stream.producer.emit(END)
        self._go.set()
        assert self.stream.task is not None
        await self.stream.task
        await asyncio.sleep(0)

    def attach(self, page: Page) -> Reader:
        reader = Reader(self.stream.header.id, self.streams.log, Plain(), page)
        self.stream.attach(reader)
        return reader

    async def stopped(self) -> None:
        assert self.stream.task is not None
        await asyncio.wait([self.stream.task])
        await asyncio.sleep(0)


@in_virtual_time
async def test_a_reader_is_told_everything_and_the_end() -> None:
    live, page = Live(), Page()
    reader = live.attach(page)
    live.say("a")
    live.say("b", "c")
    await live.finish()
    assert (page.writes, page.last) == ([b"<Start>a", b"bc", b"<End>"], END)
    live.stream.detach(reader)
    assert len(live.streams) == 0


@in_virtual_time
async def test_a_stream_is_found_until_it_has_ended_and_nobody_reads_it() -> None:
    live, page = Live(), Page()
    reader = live.attach(page)
    assert live.streams.get(S) is live.stream
    assert list(live.streams) == [live.stream]
    await live.finish()
    live.stream.detach(reader)
    assert live.streams.get(S) is None
    with pytest.raises(KeyError):
        live.streams.log.read(S, 0, 1)


@in_virtual_time
async def test_the_last_reader_cancels() -> None:
    live = Live("cancel")
    first, second = live.attach(Page()), live.attach(Page())
    live.stream.detach(first)
    await asyncio.sleep(1)
    assert not live.cancelled.is_set()
    live.stream.detach(second)
    await live.stopped()
    assert live.cancelled.is_set()
    assert len(live.streams) == 0


@pytest.mark.parametrize("slow", [True, False])
@in_virtual_time
async def test_nothing_more_is_read_for_one_who_has_left(slow: bool) -> None:
    """Until the generation is cancelled its upstream stays as it is, or is paused."""
    live, page = Live("cancel"), Page()
    reader = live.attach(page)
    live.say("a")
    if slow:
        live.stream.block(reader)
    live.stream.detach(reader)
    assert live.tap.calls == ["pause"]
    live.say("b")
    assert page.body == b"<Start>a"
    await live.stopped()
    assert live.tap.calls == ["pause"]


@in_virtual_time
async def test_a_slow_reader_that_is_left_alone_at_the_end_pauses_no_connection() -> None:
    """By then that may serve another request, for which nobody would have it go on."""
    live, page = Live(), Page()
    quick, slow = live.attach(page), live.attach(Page())
    live.say("a")
    live.stream.block(slow)
    await live.finish()
    assert page.last == END
    live.stream.detach(quick)
    assert live.tap.calls == []
    live.stream.unblock(slow)
    assert slow.finished


@pytest.mark.parametrize("policy", ["drain", "detach"])
@in_virtual_time
async def test_or_lets_it_go_on(policy: OnDisconnect) -> None:
    live = Live(policy)
    reader = live.attach(Page())
    live.say("a")
    live.stream.detach(reader)
    await asyncio.sleep(1)
    assert not live.cancelled.is_set()
    live.say("b")
    await live.finish()
    assert len(live.streams) == 0


@in_virtual_time
async def test_a_reader_that_leaves_at_the_end_has_finished_and_not_aborted() -> None:
    """It does so inside of the write that told it."""
    live = Live("cancel")

    class Leaving(Page):
        def end(self, data: bytes, last: End) -> None:
            super().end(data, last)
            live.stream.detach(reader)

    page = Leaving()
    reader = live.attach(page)
    live.say("a" * 1_000_000)
    await live.finish()
    assert page.last == END
    assert not live.cancelled.is_set()
    assert len(live.streams) == 0


@in_virtual_time
async def test_a_cancelled_stream_ends_in_an_error() -> None:
    live, page = Live(), Page()
    live.attach(page)
    live.say("a")
    live.stream.cancel()
    await live.stopped()
    assert page.last == End(outcome="cancelled", error=CANCELLED)


@in_virtual_time
async def test_also_when_it_is_cancelled_before_its_first_step() -> None:
    streams = made()
    stream, page = streams.create(header()), Page()
    stream.attach(Reader(S, streams.log, Plain(), page))

    async def generate() -> None:
        raise AssertionError("it has no first step")

    stream.run(generate())
    stream.cancel()
    assert stream.task is not None
    await asyncio.wait([stream.task])
    await asyncio.sleep(0)
    assert page.last == End(outcome="cancelled", error=CANCELLED)


@in_virtual_time
async def test_a_lone_reader_without_room_pauses_the_source() -> None:
    live = Live("drain")
    reader = live.attach(Page())
    live.stream.block(reader)
    assert live.tap.calls == ["pause"]
    live.stream.unblock(reader)
    assert live.tap.calls == ["pause", "resume"]
    await live.finish()
    live.stream.detach(reader)


@in_virtual_time
async def test_with_room_again_it_reads_what_it_has_missed_before_more_comes() -> None:
    live, page = Live("drain"), Page()
    reader = live.attach(page)
    live.stream.block(reader)
    live.say("a", "b")
    assert page.writes == []
    live.stream.unblock(reader)
    assert page.body == b"<Start>ab"
    await live.finish()
    live.stream.detach(reader)


@in_virtual_time
async def test_a_shared_stream_is_never_paused() -> None:
    """Not even when all of its readers are slow: one must not hold up another that may come."""
    live = Live("drain")
    slow, quick = live.attach(Page()), live.attach(Page())
    live.stream.block(slow)
    assert live.tap.calls == []
    live.stream.block(quick)
    assert live.tap.calls == []
    await live.finish()
    for reader in (slow, quick):
        live.stream.detach(reader)


@in_virtual_time
async def test_who_is_left_alone_and_slow_pauses_it() -> None:
    live = Live("drain")
    slow, quick = live.attach(Page()), live.attach(Page())
    live.stream.block(slow)
    live.stream.detach(quick)
    assert live.tap.calls == ["pause"]
    live.attach(Page())
    assert live.tap.calls == ["pause", "resume"]
    await live.finish()
    for reader in tuple(live.stream.readers):
        live.stream.detach(reader)


@pytest.mark.parametrize("policy", ["drain", "detach"])
@in_virtual_time
async def test_a_stream_that_nobody_reads_any_more_is_not_paused(policy: OnDisconnect) -> None:
    live = Live(policy)
    reader = live.attach(Page())
    live.stream.block(reader)
    live.stream.detach(reader)
    assert live.tap.calls == ["pause", "resume"]
    for _ in range(10):
        live.say("x" * 100_000)
    await live.finish()
    assert len(live.streams) == 0


@in_virtual_time
async def test_a_slow_reader_does_not_delay_another() -> None:
    live, pages = Live("drain"), (Page(), Page())
    slow, quick = (live.attach(page) for page in pages)
    live.stream.block(slow)
    for word in "abc":
        live.say(word)
    assert [page.body for page in pages] == [b"", b"<Start>abc"]
    live.stream.unblock(slow)
    assert pages[0].body == pages[1].body
    await live.finish()
    for reader in (slow, quick):
        live.stream.detach(reader)


@in_virtual_time
async def test_several_readers_end_and_leave_in_one_commit() -> None:
    live = Live("cancel")

    class Leaving(Page):
        def end(self, data: bytes, last: End) -> None:
            super().end(data, last)
            for reader in tuple(live.stream.readers):
                if reader.finished:
                    live.stream.detach(reader)

    pages = [Leaving() for _ in range(5)]
    for page in pages:
        live.attach(page)
    live.say("a")
    await live.finish()
    assert [page.body for page in pages] == [b"<Start>a<End>"] * 5
    assert len(live.streams) == 0


@in_virtual_time
async def test_streams_are_apart() -> None:
    streams = made()
    one, two = streams.create(header("one")), streams.create(header("two"))
    pages = Page(), Page()
    for stream, page in zip((one, two), pages, strict=True):
        stream.attach(Reader(stream.header.id, streams.log, Plain(), page))
    one.producer.emit_all(texts("a"))
    two.producer.emit_all([*texts("b"), END])
    assert [page.body for page in pages] == [b"<Start>a", b"<Start>b<End>"]
    assert [stream.header.id for stream in streams] == ["one"]


class Refusing(MemoryArchive):
    """An archive whose database is not there."""

    refuses = True
    reason: Exception = StoreError("the store is not there")

    async def keep(self, ended: Sequence[Summary]) -> None:
        if self.refuses:
            raise self.reason
        await super().keep(ended)


def refusing() -> tuple[Streams, Refusing]:
    archives: list[Refusing] = []

    def make(committed: Committed) -> tuple[StreamLog, Archive]:
        log = MemoryLog(ManualClock(), committed)
        archives.append(Refusing(log, ManualClock()))
        return log, archives[0]

    return Streams(ManualClock(), make, 60.0), archives[0]


@in_virtual_time
async def test_a_defect_of_the_archive_does_not_end_it() -> None:
    streams, archive = refusing()
    archive.reason = ValueError("a defect")
    streams.create(header()).producer.emit_all([*texts("a"), END])
    await asyncio.sleep(3)
    assert await archive.find(S) is None
    archive.refuses = False
    await asyncio.sleep(3)
    assert not streams.unsettled
    assert await archive.find(S) is not None


@in_virtual_time
async def test_a_stop_does_not_wait_for_a_store_that_is_not_there() -> None:
    streams, _ = refusing()
    streams.create(header()).producer.emit_all([*texts("a"), END])
    await asyncio.sleep(3)
    began = asyncio.get_running_loop().time()
    await streams.settle()
    await turns()
    assert asyncio.get_running_loop().time() - began <= 5
    assert streams.unsettled


@in_virtual_time
async def test_a_store_that_comes_back_gets_what_has_waited() -> None:
    streams, archive = refusing()
    for name in (S, T):
        streams.create(header(name)).producer.emit_all([*texts(name), END])
        await asyncio.sleep(1)
    assert streams.get(S) is not None
    archive.refuses = False
    await streams.settle()
    assert not streams.unsettled
    assert streams.get(S) is None
    for name in (S, T):
        assert (await streams.find(name, "c")).end == END
        assert await archive.events(name, 1, 9) == [*texts(name), END]


@in_virtual_time
async def test_a_stop_waits_for_what_is_on_its_way_to_the_store() -> None:
    streams, archive = refusing()
    archive.refuses = False
    going = asyncio.Event()

    async def slow(ended: Sequence[Summary]) -> None:
        going.set()
        await asyncio.sleep(1)
        await MemoryArchive.keep(archive, ended)

    archive.keep = slow  # type: ignore[method-assign]
    streams.create(header()).producer.emit_all([*texts("a"), END])
    await going.wait()
    await streams.settle()
    assert not streams.unsettled


@in_virtual_time
async def test_whoever_holds_a_stream_reads_it_from_the_archive_when_it_has_gone_there() -> None:
    streams = made(retain=60.0)
    stream = streams.create(header())
    stream.producer.emit_all([*texts("a"), END])
    await streams.settle()
    assert streams.get(S) is None
    assert stream.last_seq == 3
    assert (await stream.events(1, 10)) == [*texts("a"), END]
    assert await stream.passed(3) == ([], 0)


@in_virtual_time
async def test_a_reader_that_comes_late_catches_up_in_pieces_and_in_order() -> None:
    """Others get their turn after each, and the stream goes on meanwhile."""
    live, page = Live(), Page()
    words = [f"{number} " for number in range(2000)]
    for word in words:
        live.say(word)
    reader = live.attach(page)
    assert page.body == b"<Start>" + "".join(words[: reader.seq - 1]).encode()
    seqs = [0, reader.seq]
    while reader.behind:
        live.say("more ")
        words.append("more ")
        await asyncio.sleep(0)
        seqs.append(reader.seq)
    assert max(later - before for before, later in pairwise(seqs)) <= 256
    assert len(seqs) > 7
    live.say("last")
    assert page.body == b"<Start>" + "".join([*words, "last"]).encode()
    assert live.tap.calls == []
    await live.finish()
    assert page.last == END


@in_virtual_time
async def test_of_many_that_come_late_one_takes_a_step_at_each_turn() -> None:
    """Of several streams, so that however many they are, everybody else waits for one step only."""
    live = Live()
    other = live.streams.create(header(T))
    words = [f"{number} " for number in range(2000)]
    live.say(*words)
    other.producer.emit_all(texts(*words))
    pages = [Page() for _ in range(12)]
    readers = []
    for page, stream in zip(pages, [live.stream, other] * 6, strict=True):
        readers.append(Reader(stream.header.id, live.streams.log, Plain(), page))
        stream.attach(readers[-1])
    seqs = [sum(reader.seq for reader in readers)]
    while any(reader.behind for reader in readers):
        await asyncio.sleep(0)
        seqs.append(sum(reader.seq for reader in readers))
    assert max(later - before for before, later in pairwise([0, *seqs])) <= 256
    assert {page.body for page in pages} == {b"<Start>" + "".join(words).encode()}
    other.producer.end("completed")
    await live.finish()


@in_virtual_time
async def test_a_reader_that_catches_up_stops_where_there_is_no_room() -> None:
    live, page = Live(), Page(2, lambda: live.stream.block(reader))
    for number in range(2000):
        live.say(f"{number} ")
    reader = Reader(S, live.streams.log, Plain(), page)
    live.stream.attach(reader)
    await turns()
    assert (len(page.writes), reader.seq, reader.behind) == (2, 512, False)
    assert live.tap.calls == ["pause"]
    page.room = None
    live.stream.unblock(reader)
    live.stream.unblock(reader)
    await turns()
    assert reader.seq == 2001
    assert live.tap.calls == ["pause", "resume"]
    live.stream.detach(reader)
    await live.stopped()


@in_virtual_time
async def test_a_reader_that_leaves_while_it_catches_up_is_told_no_more() -> None:
    live, page = Live(), Page()
    for number in range(2000):
        live.say(f"{number} ")
    reader = live.attach(page)
    live.stream.detach(reader)
    await live.stopped()
    await turns()
    assert len(page.writes) == 1
    assert live.tap.calls == ["pause"]


@in_virtual_time
async def test_a_stream_that_comes_into_the_archive_while_others_are_asked_is_found() -> None:
    """As one does that another process has, which ends just then."""
    streams = made(retain=60.0)

    async def elsewhere(_: str) -> None:
        streams.create(header()).producer.emit(END)
        await streams.settle()
        assert streams.get(S) is None

    streams.elsewhere = elsewhere
    assert (await streams.find(S, "c")).end == END


@in_virtual_time
async def test_what_a_process_that_does_not_answer_may_have_is_not_said_to_be_none() -> None:
    streams = made()

    async def elsewhere(_: str) -> None:
        raise Overloaded("try again")

    streams.elsewhere = elsewhere
    with pytest.raises(Overloaded):
        await kept_stream(streams, "c", f"resp_{S}")
