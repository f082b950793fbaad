"""A stream that lives for long does not keep what others have written, and loses nothing by that."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.loops import in_virtual_time, on_both_loops, turns, until
from tests.streams.parts import END, ManualClock, Plain, S, T, header, texts
from tests.streams.processes import Home, Process
from tests.streams.test_power import Door
from tidegate.core.attempt import Attempt, Seam
from tidegate.core.event import AnyEvent, Start
from tidegate.streams.disk import DiskLog
from tidegate.streams.segments import Segments, Slot

ALL = 1 << 40
SEGMENT = 2000
PADDING = "x" * 400


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


class Steps:
    """Takes the steps of a work when the test says so."""

    def __init__(self) -> None:
        self.works: list[Iterator[None]] = []

    def __call__(self, work: Iterator[None]) -> None:
        self.works.append(work)

    def take(self) -> bool:
        """Take a step; False when there is none."""
        if not self.works:
            return False
        if next(self.works[0], self) is self:
            del self.works[0]
        return True


def pass_by(log: DiskLog, count: int) -> None:
    """Streams that begin and end, and are not needed any more."""
    for number in range(count):
        name = f"{number:032x}"
        log.create(header(name))
        log.follow(name, lambda _: None)
        log.append(name, 1, texts(PADDING))
        log.append(name, 1, [END])
        log.delete(name)


def log_of(process: Process) -> DiskLog:
    log = process.streams.log
    assert isinstance(log, DiskLog)
    return log


def bytes_in(slot: Slot) -> int:
    return sum(file.stat().st_size for file in slot.files())


def copy_of(home: Home, folder: Path) -> Home:
    """The data folder as it is at this moment, as a process that is killed now would leave it."""
    copy = Home(folder)
    shutil.copytree(home.folder, copy.folder, dirs_exist_ok=True)
    copy.begun = home.begun
    return copy


@in_virtual_time
async def test_files_are_few_while_a_slow_stream_is_open_beside_others(home: Home) -> None:
    process = Process(home, SEGMENT)
    log = log_of(process)
    said: list[AnyEvent] = [Start()]
    stream = process.begin(S, said)
    stream.producer.attempted(Attempt(deployment="d", began_ms=1, seconds=1.0, outcome="failed"))
    stream.producer.join(Seam(seq=1, characters=0, before="a", after="b"))
    written = 0
    for number in range(300):
        word = texts(str(number))
        log.append(S, 1, word)
        said += word
        pass_by(log, 1)
        written += 700
        assert bytes_in(process.slot) < 3 * log.size(S) + 8 * SEGMENT
    assert written > 4 * bytes_in(process.slot)
    assert log.read(S, 0, ALL) == said
    assert [each.seq for each in log.records(S, 0, ALL)] == list(range(1, len(said) + 1))
    for after in (0, 1, 150, 300):
        assert process.read(S, after) == Plain().render(said[after:])
    assert len(log.whole(S).records) == len(said)
    process.kill()
    again = Process(home)
    (found,) = await again.recovered()
    await again.settle()
    assert found.said == said
    assert [attempt.deployment for attempt in found.stream.attempts] == ["d"]
    assert [seam.before for seam in found.stream.seams] == ["a"]


@in_virtual_time
async def test_a_large_request_is_copied_with_its_stream(home: Home) -> None:
    process = Process(home, SEGMENT)
    log = log_of(process)
    large = msgspec.structs.replace(header(), body=b"\n\xff" * 50_000)
    process.streams.create(large)
    log.append(S, 1, texts("a"))
    begun = log._streams[S].head
    for _ in range(600):
        pass_by(log, 1)
    assert log._streams[S].head > begun
    process.kill()
    again = Process(home)
    (found,) = await again.recovered()
    await again.settle()
    assert (found.stream.header, found.said) == (large, texts("a"))


@in_virtual_time
async def test_a_kill_in_the_middle_of_copying_loses_and_repeats_nothing(home: Home, tmp_path: Path) -> None:
    """At every step, with events that come in between; and wherever the copy was torn."""
    steps = Steps()
    process = Process(home, SEGMENT, steps)
    log = log_of(process)
    said = [Start(), *texts(*map(str, range(700)))]
    stream = process.begin(S, *([event] for event in said))
    stream.producer.join(Seam(seq=1, characters=0, before="a", after="b"))
    process.begin(T, texts("other"))
    pass_by(log, 200)
    taken = 0
    while steps.take():
        taken += 1
        word = texts(f"during {taken}")
        log.append(S, 1, word)
        said += word
        for number, torn in enumerate((0, 1, 60, 1000)):
            copy = copy_of(home, tmp_path / f"copy-{taken}-{number}")
            newest = sorted((copy.folder / "0").glob("*.log"))[-1]
            os.truncate(newest, max(newest.stat().st_size - torn, 0))
            after = Process(copy)
            found = {each.stream.header.id: each for each in await after.recovered()}
            await after.settle()
            assert found[S].said == said[: len(found[S].said)]
            assert len(found[S].said) >= (701 if torn else len(said))
            assert [seam.before for seam in found[S].stream.seams] == ["a"]
            assert torn or found[T].said == texts("other")
            after.kill()
    assert taken >= 3
    assert log.read(S, 0, ALL) == said
    assert process.slot.files()[0].name != "00000000.log"
    process.kill()
    last = Process(home)
    assert (await last.recover())[S] == said
    await last.settle()


@pytest.mark.parametrize("keep", [True, False])
@in_virtual_time
async def test_a_copy_of_a_stream_that_went_meanwhile_is_no_stream(home: Home, keep: bool) -> None:
    """Else an answer that nobody waits for would be bought again."""
    steps = Steps()
    process = Process(home, SEGMENT, steps)
    log = log_of(process)
    stream = process.begin(S, *([event] for event in texts(*map(str, range(700)))), keep=keep)
    pass_by(log, 200)
    log.append(S, 1, [END])
    assert steps.take()
    log.delete(S)
    del process.streams._streams[S], stream
    while steps.take():
        pass
    first = Segments.number(log._segments.append(b""))
    pass_by(log, 1)
    assert int(process.slot.files()[0].stem) >= first
    process.kill()
    last = Process(home)
    assert await last.recover() == {}
    await last.settle()


@in_virtual_time
async def test_a_full_disk_stops_the_copying_and_nothing_else(home: Home) -> None:
    steps = Steps()
    process = Process(home, SEGMENT, steps)
    log = log_of(process)
    said = texts(*map(str, range(700)))
    process.begin(S, *([event] for event in said))
    pass_by(log, 200)
    assert steps.take()
    there, none = os.dup(log._segments.tail.file), os.open("/dev/full", os.O_RDWR)
    os.dup2(none, log._segments.tail.file)
    log._segments.tail.size = 0  # so that it does not begin another file
    assert steps.take()
    os.dup2(there, log._segments.tail.file)
    log._segments.tail.size = os.fstat(there).st_size
    os.close(there)
    os.close(none)
    assert not steps.take()
    assert log.read(S, 0, ALL) == said
    log.append(S, 1, texts("on"))
    before = len(process.slot.files())
    pass_by(log, 20)
    while steps.take():
        pass
    assert len(process.slot.files()) < before
    assert log.read(S, 0, ALL) == [*said, *texts("on")]
    process.kill()
    last = Process(home)
    assert await last.recover() == {S: [*said, *texts("on")]}
    await last.settle()


@in_virtual_time
async def test_a_damaged_stream_stays_where_it_is(home: Home) -> None:
    """As it is read, it ends where it is damaged; a copy must not be shorter."""
    process = Process(home, SEGMENT)
    log = log_of(process)
    process.begin(S, *([event] for event in texts("a", "b", "c")))
    (path,) = process.slot.files()
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"B"'))
    pass_by(log, 100)
    assert process.slot.files()[0] == path
    assert log.read(S, 2, ALL) == texts("c")
    log.delete(S)
    assert not path.exists()


@on_both_loops
async def test_with_power_the_old_files_go_when_the_copy_is_safe(tmp_path: Path) -> None:
    door, steps = Door(tmp_path, SEGMENT), Steps()
    log = DiskLog(ManualClock(), lambda *_: None, door, power=True, in_steps=steps)
    try:
        log.create(header())
        log.append(S, 1, texts("a"))
        pass_by(log, 20)
        oldest = door.oldest
        await until(lambda: door.syncs == 1)
        while steps.take():
            pass
        await turns()
        assert door.oldest == oldest
        door.let(1)  # it was begun before the copy
        await until(lambda: door.syncs == 2)
        await turns()
        assert door.oldest == oldest
        door.let(1)
        await until(lambda: door.oldest > oldest)
        assert log.read(S, 0, ALL) == texts("a")
        oldest, door.error = door.oldest, OSError(errno.EIO, os.strerror(errno.EIO))
        pass_by(log, 20)
        while steps.take():
            pass
        door.let(1000)
        log.close()
        await turns()
        assert int(door._slot.files()[0].stem) == oldest
    finally:
        door.let(1000)
        door._slot.remove()
