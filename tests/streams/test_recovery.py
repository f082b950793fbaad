"""What killed processes leave behind is taken over once and whole, wherever they were killed."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.loops import in_virtual_time
from tests.streams.parts import END, Plain, S, T, header, texts
from tests.streams.processes import Home, Process
from tidegate.core.attempt import Attempt, Seam
from tidegate.core.event import AnyEvent, End, Start
from tidegate.errors import Fenced, Full, Gone, Overloaded, StoreError
from tidegate.streams.archive import Summary
from tidegate.streams.records import Kept
from tidegate.streams.recovery import Recovery
from tidegate.streams.segments import MAGIC, Slot, read_segment

ALL = 1 << 40
HELLO: list[AnyEvent] = [Start(), *texts("a", "b", "c")]
"""What an unfinished stream has in its log."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@in_virtual_time
async def test_an_unfinished_stream_is_whole_and_goes_on(home: Home) -> None:
    first = Process(home)
    stream = first.begin(S, HELLO[:2], HELLO[2:])
    attempt = Attempt(deployment="d", began_ms=1, seconds=1.0, outcome="failed")
    stream.producer.attempted(attempt)
    stream.producer.join(Seam(seq=2, characters=1, before="a", after="b"))
    first.kill()
    second = Process(home)
    (found,) = await second.recovered()
    assert (found.stream.header, found.said) == (header(), HELLO)
    assert found.stream.producer.attempts == (attempt,)
    assert [seam.before for seam in found.stream.seams] == ["a"]
    assert home.slots() == ["1"]
    for after in range(5):
        assert second.read(S, after) == Plain().render(HELLO[after:])
    found.stream.producer.emit_all([*texts("d"), END])
    records = second.streams.log.records(S, 0, ALL)
    assert [(each.seq, each.epoch) for each in records] == [(seq, 2) for seq in range(1, 7)]
    assert [each.event for each in records] == [*HELLO, *texts("d"), END]
    await second.streams.settle()


@in_virtual_time
async def test_nothing_is_lost_wherever_a_record_was_torn(home: Home) -> None:
    """Of what was whole; and what goes on behind it is found when that process is killed as well."""
    first = Process(home)
    first.begin(S, *([event] for event in HELLO))
    first.kill()
    (path,) = (home.folder / "0").glob("*.log")
    data = path.read_bytes()
    whole = next(read_segment(path)).end
    """Where the header ends; a stream without one is none."""
    for size in (*range(len(MAGIC), len(data), 3), len(data)):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data[:size])
        second = Process(home)
        found = await second.recover()
        said = found.get(S)
        if said is None:
            assert size < whole
            second.slot.remove()
            continue
        assert said == HELLO[: len(said)]
        again = second.streams.get(S)
        assert again is not None
        again.producer.emit_all(texts("z"))
        expected = second.streams.log.read(S, 0, ALL)
        second.kill()
        third = Process(home)
        assert await third.recover() == {S: expected}
        third.kill()
        third.slot._lock = Slot.abandoned(third.slot.folder)._lock  # type: ignore[union-attr]
        third.slot.remove()
    assert said == HELLO


@in_virtual_time
async def test_several_killed_processes_are_taken_over_together(home: Home) -> None:
    first, second = Process(home), Process(home)
    first.begin(S, HELLO)
    second.begin(T, HELLO[:2])
    second.begin("9" * 32)
    first.kill()
    second.kill()
    third = Process(home)
    assert await third.recover() == {S: HELLO, T: HELLO[:2], "9" * 32: []}
    assert home.slots() == ["2"]


@in_virtual_time
async def test_a_process_that_lives_keeps_its_streams(home: Home) -> None:
    first, second = Process(home), Process(home)
    first.begin(S, HELLO)
    assert await second.recover() == {}
    assert home.slots() == ["0", "1"]
    first.streams.log.append(S, 1, texts("d"))
    assert first.streams.log.read(S, 4, ALL) == texts("d")


@in_virtual_time
async def test_processes_that_start_together_take_over_each_stream_once(home: Home) -> None:
    old = [Process(home) for _ in range(4)]
    for number, process in enumerate(old):
        process.begin(f"{number:032x}", HELLO)
    for process in old:
        process.kill()
    new = [Process(home) for _ in range(3)]
    found = await asyncio.gather(*(process.recover() for process in new))
    assert sorted(name for each in found for name in each) == [f"{number:032x}" for number in range(4)]


@pytest.mark.parametrize("copied", range(5))
@in_virtual_time
async def test_the_longer_copy_counts_where_a_take_over_was_cut_short(home: Home, copied: int) -> None:
    first = Process(home)
    stream = first.begin(S, HELLO[:2], HELLO[2:])
    stream.producer.attempted(Attempt(deployment="d", began_ms=1, seconds=1.0, outcome="failed"))
    first.kill()
    second = Process(home)  # is killed while it copies
    second.begin(S, HELLO[:copied], epoch=2) if copied else second.begin(S, epoch=2)
    second.kill()
    third = Process(home)
    (found,) = await third.recovered()
    assert found.said == HELLO
    assert third.streams.log.records(S, 0, 1)[0].epoch == (3 if copied == 4 else 2)
    assert home.slots() == ["2"]


@in_virtual_time
async def test_what_went_on_counts_where_the_old_copy_could_not_be_cleared_away(home: Home) -> None:
    first, second = Process(home), Process(home)
    first.begin(S, HELLO)
    second.begin(S, HELLO, texts("d"), epoch=2)
    first.kill()
    second.kill()
    third = Process(home)
    assert await third.recover() == {S: [*HELLO, *texts("d")]}


@in_virtual_time
async def test_a_stream_that_changed_hands_within_a_process_is_whole(home: Home) -> None:
    first = Process(home)
    first.begin(S, HELLO)
    log = first.streams.log
    epoch = log.take_over(S)
    with pytest.raises(Fenced):
        log.append(S, 1, texts("late"))
    log.append(S, epoch, texts("d"))
    first.kill()
    second = Process(home)
    assert await second.recover() == {S: [*HELLO, *texts("d")]}
    assert second.streams.log.records(S, 0, 1)[0].epoch > epoch


@in_virtual_time
async def test_a_stream_that_had_ended_comes_into_the_archive(home: Home) -> None:
    first = Process(home)
    first.begin(S, HELLO, [END])
    first.kill()
    second = Process(home)
    assert await second.recover() == {}
    await second.streams.settle()
    assert second.streams.get(S) is None
    assert (await second.streams.find(S, "c")).end == END
    assert await home.archive.events(S, 0, ALL) == [*HELLO, END]


@in_virtual_time
async def test_a_stream_that_is_archived_is_left_alone(home: Home) -> None:
    """It was killed between the archive and the end of its log, or long ago."""
    first = Process(home)
    for name in (S, T):
        first.begin(name, HELLO, [END])
        expires = 101_000 if name == T else 160_000
        ended = Summary(
            header=header(name), end=END, last_seq=5, size=9, created_ms=0, ended_ms=0, expires_ms=expires
        )
        await home.archive.keep([ended])
    first.kill()
    home.clock.seconds += 5
    second = Process(home)
    assert await second.recover() == {}
    assert (len(second.streams), second.streams.get(S), second.streams.get(T)) == (0, None, None)
    assert (await second.streams.find(S, "c")).end == END
    with pytest.raises(Gone):
        await second.streams.find(T, "c")
    assert home.slots() == ["1"]


@in_virtual_time
async def test_a_stream_that_nobody_wants_kept_is_not(home: Home) -> None:
    """`store: false`: it goes at its end, also where the process was killed before it could."""
    first = Process(home)
    first.begin(S, HELLO, [END], keep=False)
    first.begin(T, HELLO, keep=False)
    first.kill()
    second = Process(home)
    assert await second.recover() == {T: HELLO}
    assert second.streams.get(S) is None
    stream = second.streams.get(T)
    assert stream is not None
    stream.producer.emit(END)
    await second.streams.settle()
    assert second.streams.get(T) is None
    assert await home.archive.find(S) is None
    assert await home.archive.find(T) is None
    assert not second.streams.unsettled


@in_virtual_time
async def test_a_stream_whose_log_is_damaged_ends_there_and_others_do_not(home: Home) -> None:
    """What stood behind the damage may have been shown, so nothing else may take its place."""
    first = Process(home)
    first.begin(S, *([event] for event in HELLO))
    first.begin(T, *([event] for event in HELLO), [END])
    first.kill()
    (path,) = (home.folder / "0").glob("*.log")
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"B"', 1))
    second = Process(home)
    assert await second.recover() == {}
    await second.streams.settle()
    cut = (await second.streams.find(S, "c")).end
    assert cut is not None
    assert (cut.outcome, cut.error is not None and "damaged" in cut.error.message) == ("interrupted", True)
    assert await home.archive.events(S, 0, ALL) == [*HELLO[:2], cut]
    assert await home.archive.events(T, 0, ALL) == [*HELLO, END]


@in_virtual_time
async def test_a_log_of_a_newer_version_is_refused_and_left(home: Home) -> None:
    first = Process(home)
    first.begin(S, HELLO)
    first.kill()
    newer = home.folder / "0" / "00000001.log"
    newer.write_bytes(b"tidegate log 2\r\nwhat only it can read")
    for _ in range(2):
        second = Process(home)
        found = await second.recover()
        assert found in ({S: HELLO}, {})
        assert newer.read_bytes() == b"tidegate log 2\r\nwhat only it can read"
        assert not (home.folder / "0" / "00000000.log").exists()
        second.slot.remove()
    assert found == {}


@in_virtual_time
async def test_slots_are_left_for_another_try_when_the_archive_cannot_be_asked(home: Home) -> None:
    first = Process(home)
    first.begin(S, HELLO)
    first.kill()
    second = Process(home)

    async def refuse(_: str) -> Summary | None:
        raise StoreError("the store is not there")

    home.archive.find = refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(StoreError):
        await second.recover()
    del home.archive.find
    assert home.slots() == ["0", "1"]
    second.kill()
    third = Process(home)
    assert await third.recover() == {S: HELLO}
    assert home.slots() == ["2"]


@in_virtual_time
async def test_streams_that_lie_in_many_files_are_whole(home: Home) -> None:
    first = Process(home, segment_bytes=400)
    said = {f"{number:032x}": [Start(), *texts(*map(str, range(number)))] for number in range(9)}
    for name in said:
        first.begin(name)
    for at in range(10):
        for name, events in said.items():
            if at < len(events):
                first.streams.log.append(name, 1, [events[at]])
    first.kill()
    assert len(list((home.folder / "0").glob("*.log"))) > 9
    second = Process(home)
    assert await second.recover() == said


@in_virtual_time
async def test_one_end_however_often_it_is_killed(home: Home) -> None:
    process = Process(home)
    process.begin(S, HELLO)
    for number in range(5):
        process.kill()
        process = Process(home)
        (found,) = await process.recovered()
        found.stream.producer.emit_all(texts(str(number)))
    found.stream.producer.end("interrupted")
    process.kill()
    process = Process(home)
    assert await process.recover() == {}
    await process.streams.settle()
    events = await home.archive.events(S, 0, ALL)
    assert events == [*HELLO, *texts("0", "1", "2", "3", "4"), End(outcome="interrupted")]


@in_virtual_time
async def test_what_others_leave_is_taken_over_as_often_as_one_looks(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be read stays, and is told once."""
    here = Process(home)
    recovery = Recovery(home.folder, here.slot, here.streams)
    assert await recovery.take_over() == []
    first = Process(home)
    first.begin(S, HELLO)
    assert await recovery.take_over() == []  # somebody has it
    first.kill()
    (found,) = await recovery.take_over()
    assert found.said == HELLO
    second = Process(home)
    (second.slot.folder / "0.log").write_bytes(b"tidegate log 9\r\n")
    second.begin(T, HELLO)
    second.kill()
    (found,) = await recovery.take_over()
    assert found.stream.header.id == T
    for _ in range(3):
        assert await recovery.take_over() == []
    assert home.slots() == ["0", "2"]
    assert caplog.text.count("newer version") == 1


@in_virtual_time
async def test_two_do_not_take_over_at_once(home: Home) -> None:
    """Each might find a copy of one stream: with whoever had it, and with whoever died copying it."""
    first = Process(home)
    first.begin(S, HELLO)
    first.kill()
    here = Process(home)
    folder = os.open(home.folder, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with pytest.raises(Overloaded):
        await here.recover()
    assert home.slots() == ["0", "1"]
    recovery = asyncio.create_task(here.recover())
    await asyncio.sleep(0.1)
    os.close(folder)
    assert await recovery == {S: HELLO}
    assert home.slots() == ["1"]


@in_virtual_time
async def test_what_one_that_died_copying_still_holds_is_waited_for(home: Home) -> None:
    first = Process(home)
    first.begin(S, HELLO)
    first.kill()
    held = Slot.abandoned(first.slot.folder)
    assert held is not None
    second = Process(home)  # had copied half of it
    second.begin(S, HELLO[:2], epoch=2)
    second.kill()
    third = Process(home)
    recovery = asyncio.create_task(third.recover())
    await asyncio.sleep(0)
    held.close()  # as a process does at its end, one after the other
    assert await recovery == {S: HELLO}
    assert home.slots() == ["2"]


@in_virtual_time
async def test_what_a_full_disk_does_not_take_waits_and_the_rest_goes_on(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Process(home)
    first.begin(S, HELLO, texts(*"x" * 600))
    first.begin(T, HELLO)
    first.kill()
    here = Process(home)
    recovery = Recovery(home.folder, here.slot, here.streams)
    append = here.streams.log.append

    def refuse(stream: str, epoch: int, events: Sequence[AnyEvent]) -> None:
        if stream == S:
            raise Full("the disk is full")
        append(stream, epoch, events)

    monkeypatch.setattr(here.streams.log, "append", refuse)
    (found,) = await recovery.take_over()
    assert (found.stream.header.id, found.said) == (T, HELLO)
    assert here.streams.get(S) is None
    assert len(here.streams) == 1
    assert Slot.is_held(first.slot.folder)
    assert await recovery.take_over() == []
    found.stream.producer.emit(END)  # and is archived, so that it is nobody's any more
    await here.streams.settle()
    monkeypatch.undo()
    (found,) = await recovery.take_over()
    assert (found.stream.header.id, len(found.said)) == (S, len(HELLO) + 600)
    assert home.slots() == ["1"]


@in_virtual_time
async def test_without_descriptors_nothing_is_given_up(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Process(home)
    first.begin(S, HELLO)
    first.kill()
    here = Process(home)
    recovery = Recovery(home.folder, here.slot, here.streams)

    def refuse(_: Path) -> Iterator[Kept]:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr("tidegate.streams.recovery.read_segment", refuse)
    with pytest.raises(OSError, match="too many"):
        await recovery.take_over()
    monkeypatch.undo()
    (found,) = await recovery.take_over()
    assert found.said == HELLO
