"""What every archive promises of streams that have ended, in memory or in a real database."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest

from tests.loops import on_both_loops
from tests.streams.parts import END, ManualClock, Page, Plain, S, T, header, texts
from tidegate.core.attempt import Attempt, Seam
from tidegate.core.event import AnyEvent, End, Failure
from tidegate.errors import Gone, LogError, StoreError
from tidegate.store.database import Database
from tidegate.streams.archive import Archive, Claim, MemoryArchive, Summary
from tidegate.streams.disk import DiskLog
from tidegate.streams.finished import Finished
from tidegate.streams.log import StreamLog
from tidegate.streams.memory import MemoryLog
from tidegate.streams.reader import Reader
from tidegate.streams.segments import Segments, Slot
from tidegate.streams.stored import StoredStreams

ALL = 1 << 30
EXPIRES = 200_000
"""When what is kept here expires; the clock of these tests begins at 100,000 ms."""


class Kept:
    """An archive, and the log that it takes streams from."""

    def __init__(self, log: StreamLog, archive: Archive, clock: ManualClock) -> None:
        self.log = log
        self.archive = archive
        self.clock = clock

    def say(self, name: str, *batches: Sequence[AnyEvent]) -> Summary:
        """A stream that has ended."""
        self.log.create(header(name))
        for batch in (*batches, [END]):
            self.log.append(name, 1, batch)
        return Summary(
            header=header(name),
            end=END,
            last_seq=self.log.last_seq(name),
            size=self.log.size(name),
            created_ms=100_000,
            ended_ms=110_000,
            expires_ms=EXPIRES,
        )

    async def keep(self, name: str, *batches: Sequence[AnyEvent]) -> None:
        await self.archive.keep([self.say(name, *batches)])

    async def all(self, name: str, most: int = ALL, into: list[AnyEvent] | None = None) -> list[AnyEvent]:
        """Everything, as a reader asks for it."""
        found: list[AnyEvent] = [] if into is None else into
        while not found or not isinstance(found[-1], End):
            found += await self.archive.events(name, len(found), most)
        return found


Opened = AbstractAsyncContextManager[Kept]


@asynccontextmanager
async def in_memory(_: Path, most: int = 1 << 30) -> AsyncIterator[Kept]:
    clock = ManualClock()
    log = MemoryLog(clock, lambda *_: None)
    yield Kept(log, MemoryArchive(log, clock, most), clock)


def _entries(folder: Path) -> int:
    return len(list(folder.iterdir()))


@asynccontextmanager
async def in_the_store(folder: Path, most: int = 1 << 30) -> AsyncIterator[Kept]:
    clock = ManualClock()
    number = _entries(folder)
    slot = Slot(folder / f"slot-{number}")
    log = DiskLog(clock, lambda *_: None, Segments(slot, 1 << 16))
    database = Database(folder / f"{number}.db", busy_seconds=0.2)
    await database.open()
    try:
        yield Kept(log, StoredStreams(database, log, clock, most), clock)
    finally:
        log.close()
        slot.close()
        await database.close()


Open = Callable[..., Opened]


@pytest.fixture(params=[in_memory, in_the_store])
def open_archive(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    def opened(most: int = 1 << 30) -> Opened:
        made: Opened = request.param(tmp_path, most)
        return made

    return opened


@on_both_loops
async def test_what_is_kept_is_found_with_all_that_was_told_of_it(open_archive: Open) -> None:
    async with open_archive() as kept:
        summary = msgspec.structs.replace(
            kept.say(S, texts("a", "b"), texts("c")),
            attempts=(Attempt(deployment="d", began_ms=1, seconds=2.5, outcome="completed"),),
            seams=(Seam(seq=1, characters=2, before="a", after="b", error="x"),),
        )
        large = msgspec.structs.replace(summary.header, body=b"\n\xff" * 50_000)
        summary = msgspec.structs.replace(summary, header=large)
        await kept.archive.keep([summary])
        kept.log.delete(S)
        found = await kept.archive.find(S)
        assert found is not None
        assert msgspec.structs.replace(found, size=summary.size) == summary
        assert await kept.archive.events(S, 0, ALL) == [*texts("a", "b", "c"), END]
        assert await kept.archive.find(T) is None


@on_both_loops
async def test_events_are_read_from_anywhere(open_archive: Open) -> None:
    async with open_archive() as kept:
        said = [*texts("a", "b", "c", "d"), END]
        await kept.keep(S, said[:3], said[3:4])
        for after in range(6):
            for most in range(1, 6):
                found = await kept.archive.events(S, after, most)
                assert found == said[after : after + len(found)]
                assert bool(found) == (after < 5)
                assert len(found) <= most


@pytest.mark.parametrize("each", [1, 1023, 1024, 1025, 3000])
@on_both_loops
async def test_long_streams_are_whole_wherever_a_reader_begins(open_archive: Open, each: int) -> None:
    """However they were appended: they are kept in chunks of about 1,024 events."""
    async with open_archive() as kept:
        said = texts(*map(str, range(3000)))
        await kept.keep(S, *(said[at : at + each] for at in range(0, 3000, each)))
        kept.log.delete(S)
        assert await kept.all(S, 256) == [*said, END]
        for after in (0, 1, 1022, 1023, 1024, 1025, 2047, 2048, 2999, 3000):
            found = await kept.archive.events(S, after, 300)
            assert found == [*said, END][after : after + len(found)]
            assert found
        assert await kept.archive.events(S, 3001, 300) == []


@on_both_loops
async def test_keeping_again_changes_nothing(open_archive: Open) -> None:
    async with open_archive() as kept:
        summary = kept.say(S, texts("a"))
        await kept.archive.keep([summary])
        other = kept.say(T, texts("t"))
        await kept.archive.keep([msgspec.structs.replace(summary, expires_ms=EXPIRES * 2), other])
        found = await kept.archive.find(S)
        assert found is not None
        assert found.expires_ms == EXPIRES
        assert await kept.all(S) == [*texts("a"), END]
        assert await kept.all(T) == [*texts("t"), END]


@on_both_loops
async def test_a_stream_is_gone_when_it_expires_and_not_a_millisecond_before(open_archive: Open) -> None:
    async with open_archive() as kept:
        await kept.keep(S, texts("a"))
        kept.clock.seconds = (EXPIRES - 1) / 1000
        await kept.archive.expire()
        assert await kept.archive.find(S) is not None
        kept.clock.seconds = EXPIRES / 1000
        for _ in range(2):
            with pytest.raises(Gone, match="expired") as raised:
                await kept.archive.find(S)
            assert raised.value.status == 410
            await kept.archive.expire()
        with pytest.raises(Gone):
            await kept.archive.events(S, 0, 1)
        assert await kept.archive.find(T) is None  # one that never was is told from it
        assert await kept.archive.listed("c", None, 9) == []


@on_both_loops
async def test_the_oldest_go_when_it_is_too_much(open_archive: Open) -> None:
    async with open_archive(most=5000) as kept:
        names = [f"{number:032x}" for number in range(10)]
        for number, name in enumerate(names):
            # Packing does not make these small.
            summary = kept.say(name, texts(Random(number).randbytes(800).hex()))
            await kept.archive.keep([msgspec.structs.replace(summary, ended_ms=110_000 + number)])
        await kept.archive.expire()
        there = []
        for name in names:
            try:
                assert await kept.archive.find(name) is not None
                there.append(name)
            except Gone:
                pass
        assert 2 <= len(there) < 10
        assert there == names[-len(there) :]
        assert [each.header.id for each in await kept.archive.listed("c", None, 20)] == there
        for name in there:
            assert len(await kept.all(name)) == 2


@on_both_loops
async def test_one_that_is_too_long_alone_goes_and_others_can_be_kept(open_archive: Open) -> None:
    async with open_archive(most=2000) as kept:
        await kept.keep(S, texts(Random(1).randbytes(50_000).hex()))
        await kept.archive.expire()
        with pytest.raises(Gone):
            await kept.archive.find(S)
        await kept.keep(T, texts("a"))
        await kept.archive.expire()
        assert await kept.archive.find(T) is not None


@on_both_loops
async def test_streams_are_listed_for_their_caller_the_newest_first(open_archive: Open) -> None:
    async with open_archive() as kept:
        names = [f"{number:032x}" for number in range(6)]
        for number, name in enumerate(names):
            summary = kept.say(name, texts("a"))
            caller = "other" if number == 2 else "c"
            end = End(outcome="failed", error=Failure("no")) if number == 3 else END
            summary = msgspec.structs.replace(
                summary,
                header=msgspec.structs.replace(header(name), caller=caller),
                created_ms=100_000 + number // 2,
                end=end,
            )
            await kept.archive.keep([summary])

        async def listed(before: tuple[int, str] | None, most: int) -> list[int]:
            return [int(each.header.id, 16) for each in await kept.archive.listed("c", before, most)]

        assert await listed(None, 9) == [4, 5, 3, 0, 1]
        assert await listed(None, 2) == [4, 5]
        assert await listed((100_002, names[5]), 9) == [3, 0, 1]
        assert await listed((100_000, names[0]), 9) == [1]
        assert [int(each.header.id, 16) for each in await kept.archive.listed("other", None, 9)] == [2]
        assert len(await kept.archive.listed("c", None, 9, "completed")) >= 4


@on_both_loops
async def test_a_key_stands_for_the_stream_that_claimed_it_first(open_archive: Open) -> None:
    async with open_archive() as kept:
        first, second = Claim(S, "hash", 1), Claim(T, "other", 2)
        assert await kept.archive.claim("c", "key", first) == first
        assert await kept.archive.claim("c", "key", second) == first
        assert await kept.archive.claim("other", "key", second) == second
        assert await kept.archive.claim("c", "other", second) == second
        await kept.archive.release("c", "key", T)  # not this one's
        assert await kept.archive.claim("c", "key", second) == first
        await kept.archive.release("c", "key", S)
        await kept.archive.release("c", "key", S)
        assert await kept.archive.claim("c", "key", second) == second
        assert await kept.archive.claim("other", "key", first) == second


@on_both_loops
async def test_of_many_that_claim_at_once_one_gets_the_key(open_archive: Open) -> None:
    async with open_archive() as kept:
        claims = [Claim(f"{number:032x}", "hash", number) for number in range(50)]
        answers = await asyncio.gather(*(kept.archive.claim("c", "key", claim) for claim in claims))
        assert len(set(answers)) == 1
        assert answers[0] in claims


@on_both_loops
async def test_claims_outlive_their_streams_and_go_in_the_end(open_archive: Open) -> None:
    async with open_archive() as kept:
        claim = Claim(S, "hash", 100_000)
        await kept.archive.claim("c", "key", claim)
        kept.clock.seconds = EXPIRES
        await kept.archive.expire()
        assert await kept.archive.claim("c", "key", Claim(T, "hash", 1)) == claim


# What can only happen to a database.


def change(tmp_path: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(tmp_path / "0.db") as connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


CUT = "UPDATE stream_chunks SET events = substr(events, 1, length(events) / 2) WHERE first_seq = 1"
DAMAGES = {
    "a bit": "UPDATE stream_chunks SET events = CAST(substr(events, 1, 500) || x'00' || substr(events, 502) "
    "AS BLOB) WHERE first_seq = 1",
    "cut": CUT,
    "empty": "UPDATE stream_chunks SET events = x'' WHERE first_seq = 1",
    "missing": "DELETE FROM stream_chunks WHERE first_seq = 1",
}


@pytest.mark.parametrize("statement", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_chunk_is_an_error_and_never_a_gap(tmp_path: Path, statement: str) -> None:
    async def main() -> None:
        async with in_the_store(tmp_path) as kept:
            said = texts(*(f"{number} {number**7}" for number in range(3000)))
            await kept.keep(S, *([event] for event in said))
            change(tmp_path, statement)
            found: list[AnyEvent] = []
            with pytest.raises(LogError, match=r"damaged|missing"):
                await kept.all(S, 256, found)
            assert found == said[: len(found)]
            assert len(found) < 1024
            summary = await kept.archive.find(S)
            assert summary is not None
            # The rest is whole, and whoever reads from the start is told that something is not.
            assert (await kept.archive.events(S, 1024, 1)) == said[1024:1025]
            page = Page()
            stream = Finished(summary, kept.archive)
            reader = Reader(S, kept.log, Plain(), page)
            stream.attach(reader)
            await asyncio.wait([stream._feeds[reader].task])
            assert page.last is not None
            assert page.last.outcome == "failed"
            assert page.last.error is not None
            assert ("missing" if statement.startswith("DELETE") else "damaged") in page.last.error.message

    asyncio.run(main())


def test_a_stream_without_its_end_is_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        async with in_the_store(tmp_path) as kept:
            await kept.keep(S, texts("a"))
            change(tmp_path, "DELETE FROM stream_chunks")
            with pytest.raises(LogError, match="missing"):
                await kept.archive.find(S)

    asyncio.run(main())


def test_one_damaged_stream_does_not_keep_others_out_of_the_store(tmp_path: Path) -> None:
    async def main() -> None:
        async with in_the_store(tmp_path) as kept:
            damaged, whole = kept.say(S, texts("one"), texts("two")), kept.say(T, texts("a"))
            (path,) = (tmp_path / "slot-0").glob("*.log")
            path.write_bytes(path.read_bytes().replace(b'"two"', b'"2.0"'))
            await kept.archive.keep([damaged, whole])
            assert await kept.all(T) == [*texts("a"), END]
            with pytest.raises(LogError):
                await kept.archive.find(S)

    asyncio.run(main())


def test_a_long_stream_that_is_damaged_is_kept_up_to_there_and_others_too(tmp_path: Path) -> None:
    """What its parts come to is not known then."""

    async def main() -> None:
        async with in_the_store(tmp_path) as kept:
            said = texts(*map(str, range(3000)))
            damaged = kept.say(S, *([event] for event in said))
            other = kept.say(T, texts("a"))
            for path in (tmp_path / "slot-0").glob("*.log"):
                path.write_bytes(path.read_bytes().replace(b'"500"', b'"5\x00"'))
            await kept.archive.keep([damaged, other])
            assert await kept.all(T) == [*texts("a"), END]
            found: list[AnyEvent] = []
            with pytest.raises(LogError, match="damaged"):
                await kept.all(S, 256, found)
            assert found == said[:500]

    asyncio.run(main())


def test_a_store_that_another_program_keeps_to_itself_gets_it_later(tmp_path: Path) -> None:
    async def main() -> None:
        async with in_the_store(tmp_path) as kept:
            summary = kept.say(S, texts("a"))
            other = sqlite3.connect(tmp_path / "0.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked"):
                await kept.archive.keep([summary])
            with pytest.raises(StoreError, match="locked"):
                await kept.archive.claim("c", "key", Claim(S, "hash", 1))
            assert await kept.archive.find(S) is None  # reading does not wait for it
            other.execute("ROLLBACK")
            other.close()
            await kept.archive.keep([summary])
            assert await kept.all(S) == [*texts("a"), END]

    asyncio.run(main())


def test_two_processes_claim_a_key_once(tmp_path: Path) -> None:
    """Two databases on one file, as two processes have them."""

    async def main() -> None:
        async with in_the_store(tmp_path) as kept:
            other = Database(tmp_path / "0.db")
            await other.open()
            assert isinstance(kept.log, DiskLog)
            second = StoredStreams(other, kept.log, kept.clock, 1 << 30)
            for number in range(20):
                mine, theirs = (Claim(f"{number:031x}{side}", "hash", 1) for side in "ab")
                answers = await asyncio.gather(
                    kept.archive.claim("c", str(number), mine), second.claim("c", str(number), theirs)
                )
                assert len(set(answers)) == 1
            await other.close()

    asyncio.run(main())
