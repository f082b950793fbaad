"""The log whose events are shown when a power cut would not lose them any more."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.loops import on_both_loops, turns, until
from tests.streams.parts import END, ManualClock, Page, Plain, S, T, header, texts
from tidegate.core.event import AnyEvent, End, Failure
from tidegate.errors import Full
from tidegate.streams.archive import Archive, MemoryArchive, Summary
from tidegate.streams.disk import DiskLog
from tidegate.streams.log import Committed, StreamLog
from tidegate.streams.memory import MemoryLog
from tidegate.streams.reader import Reader
from tidegate.streams.records import HEAD_SIZE, read_events
from tidegate.streams.registry import Streams
from tidegate.streams.segments import Segments, Slot, read_segment

ALL = 1 << 40


class Door(Segments):
    """Files whose syncs wait until the test lets them."""

    def __init__(self, folder: Path, segment_bytes: int = 1 << 20) -> None:
        super().__init__(Slot(folder / "slot"), segment_bytes)
        self._steps = threading.Semaphore(0)
        self.syncs = 0
        self.error: OSError | None = None

    def sync(self) -> None:
        self.syncs += 1
        self._steps.acquire()
        super().sync()
        if self.error is not None:
            raise self.error

    def let(self, syncs: int = 1) -> None:
        self._steps.release(syncs)


class Power:
    """A log that waits for its disk."""

    def __init__(self, folder: Path, segment_bytes: int, most: int) -> None:
        self.folder = folder
        self.door = Door(folder, segment_bytes)
        self.commits: list[tuple[str, int]] = []
        self.log = DiskLog(ManualClock(), self._committed, self.door, most=most, power=True)
        self.log.create(header())

    def _committed(self, stream: str, seq: int) -> None:
        self.commits.append((stream, seq))

    async def synced(self, seq: int) -> None:
        """The disk syncs once; then this is committed."""
        self.door.let()
        await until(lambda: self.log.last_seq(S) == seq)


@asynccontextmanager
async def opened(segment_bytes: int = 1 << 20, most: int = 1 << 30) -> AsyncIterator[Power]:
    with TemporaryDirectory(prefix="tidegate-power-") as folder:
        power = Power(Path(folder), segment_bytes, most)
        try:
            yield power
        finally:
            power.door.let(1000)
            power.log.close()
            await turns()


@on_both_loops
async def test_events_are_shown_after_the_sync_and_not_before() -> None:
    async with opened() as power:
        power.log.append(S, 1, texts("a"))
        await until(lambda: power.door.syncs == 1)
        await turns()
        assert (power.commits, power.log.read(S, 0, ALL), power.log.records(S, 0, ALL)) == ([], [], [])
        await power.synced(1)
        assert power.commits == [(S, 1)]
        assert power.log.read(S, 0, ALL) == texts("a")


@on_both_loops
async def test_what_comes_during_a_sync_waits_for_the_next_and_shares_it() -> None:
    async with opened() as power:
        power.log.create(header(T))
        power.log.append(S, 1, texts("a"))
        await until(lambda: power.door.syncs == 1)
        for word in "bcd":
            power.log.append(S, 1, texts(word))
            power.log.append(T, 1, texts(word))
        await power.synced(1)
        await until(lambda: power.door.syncs == 2)
        await turns()
        assert power.commits == [(S, 1)]
        await power.synced(4)
        assert power.commits == [(S, 1), *((name, seq + (name == S)) for seq in (1, 2, 3) for name in (S, T))]
        assert power.log.read(S, 0, ALL) == texts("a", "b", "c", "d")
        assert power.log.read(S, 1, 2) == texts("b", "c")
        assert power.log.read(T, 0, ALL) == texts("b", "c", "d")
        assert power.door.syncs == 2


@on_both_loops
async def test_who_follows_is_told_in_order() -> None:
    async with opened() as power:
        told: list[AnyEvent] = []
        power.log.follow(S, told.extend)
        for word in "abc":
            power.log.append(S, 1, texts(word))
        power.log.append(S, 1, [END])
        assert told == []
        power.door.let(4)
        await until(lambda: len(told) == 4)
        assert told == [*texts("a", "b", "c"), END]


@on_both_loops
async def test_a_sync_that_fails_ends_the_stream_in_an_error() -> None:
    async with opened() as power:
        power.log.append(S, 1, texts("a"))
        await power.synced(1)
        power.door.error = OSError(errno.EIO, os.strerror(errno.EIO))
        power.log.append(S, 1, texts("b"))
        power.log.append(S, 1, texts("c"))
        power.door.let(2)
        await until(lambda: power.door.syncs >= 2)
        await until(lambda: power.log._streams[S].broken)
        with pytest.raises(Full, match=r"durable: .*Input/output error"):
            power.log.append(S, 1, texts("d"))
        last = End(outcome="failed", error=Failure("lost"))
        power.log.append(S, 1, [last])
        await turns()
        assert power.commits == [(S, 1), (S, 2)]
        assert power.log.read(S, 0, ALL) == [*texts("a"), last]
        assert power.log.read(S, 1, 1) == [last]
        assert [(each.seq, each.event) for each in power.log.records(S, 1, ALL)] == [(2, last)]
        whole = power.log.whole(S)
        kept = [read_events(data[HEAD_SIZE:]) for data in whole.records]
        assert (list(whole.firsts), kept) == ([1, 2], [texts("a"), [last]])


@on_both_loops
async def test_an_end_that_could_not_be_made_safe_becomes_an_error() -> None:
    async with opened() as power:
        told: list[AnyEvent] = []
        power.log.follow(S, told.extend)
        power.door.error = OSError(errno.EIO, os.strerror(errno.EIO))
        power.log.append(S, 1, [*texts("a"), END])
        power.door.let()
        await until(lambda: told)
        (end,) = told
        assert isinstance(end, End)
        assert (end.outcome, end.error and end.error.status) == ("failed", 507)
        assert end.error is not None
        assert "Input/output error" in end.error.message
        power.door.error = None
        power.log.create(header(T))
        power.log.append(T, 1, [*texts("on"), END])  # with room again others go on
        power.door.let()
        await until(lambda: power.log.last_seq(T) == 2)


@on_both_loops
async def test_an_end_beyond_the_bounds_waits_for_what_is_before_it() -> None:
    async with opened(most=1000) as power:
        told: list[AnyEvent] = []
        power.log.follow(S, told.extend)
        power.log.append(S, 1, texts("x" * 2000))
        await until(lambda: power.door.syncs == 1)
        power.log.append(S, 1, [END])
        await turns()
        assert told == []
        power.door.let(2)
        await until(lambda: len(told) == 2)
        assert told == [*texts("x" * 2000), END]
        assert power.log.read(S, 0, ALL) == told


@on_both_loops
async def test_closing_syncs_what_waits() -> None:
    async with opened() as power:
        for word in "abc":
            power.log.append(S, 1, texts(word))
        power.door.let(4)
        power.log.close()
        await until(lambda: power.log.last_seq(S) == 3)
        found = [kept.seq for path in Slot.files(power.door._slot) for kept in read_segment(path)]
        assert found == [0, 1, 2, 3]


@on_both_loops
async def test_a_stream_that_is_forgotten_meanwhile_is_nobodys_error() -> None:
    async with opened(segment_bytes=1) as power:
        power.log.create(header(T))
        power.log.append(S, 1, texts("a"))
        power.log.append(T, 1, texts("b"))
        await until(lambda: power.door.syncs == 1)
        power.log.delete(S)  # its files go while they are about to be synced
        power.door.let(2)
        await until(lambda: power.log.last_seq(T) == 1)
        assert power.commits == [(T, 1)]


class Noting(MemoryArchive):
    """Keeps nothing, and knows what it was asked to keep."""

    def __init__(self) -> None:
        super().__init__(MemoryLog(ManualClock(), lambda *_: None), ManualClock())
        self.kept: list[Summary] = []

    async def keep(self, ended: object) -> None:
        self.kept += ended  # type: ignore[arg-type]


@on_both_loops
async def test_a_stream_is_archived_when_its_end_may_be_shown() -> None:
    """However long the disk takes: the archive must never get a stream without its end."""
    with TemporaryDirectory(prefix="tidegate-power-") as folder:
        door, archive = Door(Path(folder)), Noting()

        def make(committed: Committed) -> tuple[StreamLog, Archive]:
            return DiskLog(ManualClock(), committed, door, power=True), archive

        streams, page = Streams(ManualClock(), make, retain=60), Page()
        stream = streams.create(header())
        reader = Reader(S, streams.log, Plain(), page)
        stream.attach(reader)
        stream.producer.emit_all([*texts("a"), END])
        await asyncio.sleep(0.12)  # twice as long as an archive collects
        assert (archive.kept, page.writes) == ([], [])
        stream.detach(reader)
        door.let(1000)
        await streams.settle()
        assert [(each.last_seq, each.end) for each in archive.kept] == [(3, END)]
        assert streams.get(S) is None
        streams.log.close()
        await turns()


@on_both_loops
async def test_the_end_of_a_stream_is_the_one_that_is_told() -> None:
    """The disk may refuse an end after its producer has gone."""
    with TemporaryDirectory(prefix="tidegate-power-") as folder:
        door, archive = Door(Path(folder)), Noting()

        def make(committed: Committed) -> tuple[StreamLog, Archive]:
            return DiskLog(ManualClock(), committed, door, power=True), archive

        streams = Streams(ManualClock(), make, retain=60)
        stream = streams.create(header())
        stream.producer.emit_all([*texts("a"), END])
        assert streams.log.waits(S)
        door.error = OSError(errno.EIO, os.strerror(errno.EIO))
        door.let(1000)
        await until(lambda: not streams.log.waits(S))
        told = stream.producer.end_event
        assert told is not None
        assert (told.outcome, told.error and told.error.status) == ("failed", 507)
        await streams.settle()
        assert [each.end for each in archive.kept] == [told]
        streams.log.close()
        await turns()


@on_both_loops
async def test_the_name_of_a_new_file_is_made_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut could take the whole file, however often what is in it was synced."""
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    slot = Slot(tmp_path / "streams" / "slot")
    segments = Segments(slot, 100)
    try:
        segments.append(b"x" * 200)
        segments.sync()
        assert str(slot.folder) in synced
        assert str(slot.folder.parent) in synced
        synced.clear()
        segments.sync()
        assert synced == []
        segments.append(b"y")
        segments.sync()
        assert str(slot.folder) in synced
    finally:
        segments.close()
        slot.remove()
