"""The log on disk where it touches the disk: torn and damaged files, no room, and files that go."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway import eventually
from tests.properties import examples
from tests.streams.parts import END, ManualClock, Page, Plain, S, T, header, texts
from tidegate.core.event import AnyEvent, End, Failure, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.usage import Usage
from tidegate.errors import Full, LogError
from tidegate.streams.disk import DiskLog
from tidegate.streams.reader import Reader
from tidegate.streams.records import (
    EVENTS,
    HEAD_SIZE,
    HEADER,
    Kept,
    kept_header,
    read_events,
    read_header,
    read_record,
)
from tidegate.streams.segments import MAGIC, Segments, Slot, read_segment

ALL = 1 << 40


class Disk:
    """A log in a folder, with what it has told of commits."""

    def __init__(self, folder: Path, segment_bytes: int = 1 << 24, most: int = 1 << 30) -> None:
        self.slot = Slot(folder / "slot")
        self.segments = Segments(self.slot, segment_bytes)
        self.commits: list[tuple[str, int]] = []
        self.log = DiskLog(ManualClock(), self._committed, self.segments, most=most)

    def _committed(self, stream: str, seq: int) -> None:
        self.commits.append((stream, seq))

    @property
    def files(self) -> list[str]:
        return [path.stem.lstrip("0") or "0" for path in self.slot.files()]

    def bytes(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.slot.files())

    def found(self) -> list[Kept]:
        """What whoever comes next would find."""
        return [kept for path in self.slot.files() for kept in read_segment(path)]

    @contextmanager
    def full(self) -> Iterator[None]:
        """The file that is written to takes no more."""
        there, none = os.dup(self.segments.tail.file), os.open("/dev/full", os.O_RDWR)
        os.dup2(none, self.segments.tail.file)
        try:
            yield
        finally:
            os.dup2(there, self.segments.tail.file)
            os.close(there)
            os.close(none)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path)
    made.log.create(header())
    yield made
    made.log.close()
    made.slot.close()


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process gets longer: a write is cut short there, and the next one is refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def no_room() -> End:
    """How a stream ends that could not be kept."""
    reason = (
        "the answer cannot be kept: no space left on device; make room in TIDEGATE_HOME or set streams.log"
    )
    return End(outcome="failed", error=Failure(f"{reason} to memory", status=507))


def test_a_torn_file_is_whole_up_to_where_it_was_torn(disk: Disk, tmp_path: Path) -> None:
    """At every byte of it."""
    for word in ("one", "two", "three"):
        disk.log.append(S, 1, texts(word))
    whole, data = disk.found(), disk.bytes()
    assert [(kept.kind, kept.seq) for kept in whole] == [(HEADER, 0), (EVENTS, 1), (EVENTS, 2), (EVENTS, 3)]
    ends = [len(MAGIC) + sum(len(kept.raw) for kept in whole[: count + 1]) for count in range(len(whole))]
    assert ends[-1] == len(data)
    torn = tmp_path / "torn.log"
    for size in range(len(data) + 1):
        torn.write_bytes(data[:size])
        found = [kept.raw for kept in read_segment(torn)]
        assert found == [kept.raw for kept, end in zip(whole, ends, strict=True) if end <= size]


def test_a_file_of_another_version_is_refused(disk: Disk, tmp_path: Path) -> None:
    newer, other = tmp_path / "newer.log", tmp_path / "other.log"
    newer.write_bytes(b"tidegate log 2\r\n" + disk.bytes())
    other.write_bytes(b"something else altogether")
    with pytest.raises(LogError, match="newer version"):
        list(read_segment(newer))
    with pytest.raises(LogError, match="no stream log"):
        list(read_segment(other))


@pytest.mark.parametrize("bit", [0, 7])
def test_a_damaged_record_is_an_error_and_never_a_gap(disk: Disk, bit: int) -> None:
    """Whichever of its bytes it is: its length, its checksum, its head or its events."""
    for word in ("one", "two", "three"):
        disk.log.append(S, 1, texts(word))
    path, data = disk.slot.files()[0], disk.bytes()
    last, damaged = len(disk.found()[-1].raw), disk.found()[-2]
    start = len(data) - last - len(damaged.raw)
    for offset in range(start, start + len(damaged.raw)):
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(bytes([data[offset] ^ 1 << bit]))
        assert disk.log.read(S, 0, 1) == texts("one")
        assert disk.log.read(S, 2, ALL) == texts("three")
        for after in (0, 1):
            with pytest.raises(LogError, match="damaged"):
                disk.log.read(S, after, ALL)
        path.write_bytes(data)
    assert disk.log.read(S, 0, ALL) == texts("one", "two", "three")


def test_a_damaged_record_ends_whoever_needs_it_and_nobody_else(disk: Disk) -> None:
    for word in ("one", "two"):
        disk.log.append(S, 1, texts(word))
    path, data = disk.slot.files()[0], disk.bytes()
    path.write_bytes(data.replace(b'"two"', b'"2.0"'))
    early, late = Page(), Page()
    ahead, behind = (Reader(S, disk.log, Plain(), page, seq) for page, seq in ((early, 2), (late, 0)))
    behind.advance()
    disk.log.append(S, 1, [*texts("three"), END])
    for reader in (ahead, behind):
        reader.advance()
    assert (early.body, early.last) == (b"three<End>", END)
    assert late.last is not None
    assert late.last.error is not None
    assert "damaged" in late.last.error.message
    assert late.body == b"<End>"


def test_a_record_that_stands_where_another_belongs_is_an_error(disk: Disk) -> None:
    """Whole records at the wrong places, as a copy of an old disk would have them."""
    for word in ("one", "two", "six"):
        disk.log.append(S, 1, texts(word))
    disk.log.create(header(T))
    disk.log.append(T, 1, texts("one"))
    disk.log.append(T, 1, texts("two"))
    data = disk.bytes()
    ones = [kept.raw for kept in disk.found() if kept.kind == EVENTS]
    path = disk.slot.files()[0]
    for here, there in ((0, 2), (0, 3)):
        path.write_bytes(data.replace(ones[here], ones[there]))
        with pytest.raises(LogError, match="damaged"):
            disk.log.read(S, 0, ALL)


def test_a_full_disk_refuses_and_the_end_is_told_all_the_same(disk: Disk) -> None:
    disk.log.append(S, 1, texts("one"))
    told: list[AnyEvent] = []
    disk.log.follow(S, told.extend)
    error = Failure("no room", status=507)
    with disk.full():
        with pytest.raises(Full, match=r"no space left on device; make room in TIDEGATE_HOME") as raised:
            disk.log.append(S, 1, texts("two"))
        assert raised.value.status == 507
        assert told == []
        disk.log.append(S, 1, [Finish(reason="stop"), End(outcome="failed", error=error)])
    assert told == [End(outcome="failed", error=error)]
    assert disk.log.last_seq(S) == 2
    assert disk.log.read(S, 0, ALL) == [*texts("one"), *told]
    assert disk.log.read(S, 1, ALL) == told
    assert [(each.seq, each.event) for each in disk.log.records(S, 0, ALL)] == [
        (1, Text(text="one")),
        (2, told[0]),
    ]
    whole = disk.log.whole(S)
    assert (list(whole.firsts), whole.last_seq, whole.damaged) == ([1, 2], 2, False)
    assert [read_events(data[HEAD_SIZE:]) for data in whole.records] == [texts("one"), told]


def test_what_is_gathered_is_what_was_written_while_files_come_and_go(tmp_path: Path) -> None:
    """By a thread that keeps them mapped, also the one that still grows."""
    disk = Disk(tmp_path, segment_bytes=2000)
    for number in range(40):
        stream = f"{number:032x}"
        disk.log.create(header(stream))
        said = [texts(f"{number} {each}") for each in range(number)]
        for events in said:
            disk.log.append(stream, 1, events)
        whole = disk.log.whole(stream)
        assert [read_events(data[HEAD_SIZE:]) for data in whole.records] == said
        assert (list(whole.firsts), whole.last_seq) == (list(range(1, number + 1)), number)
        disk.log.delete(stream)
        if number % 10 == 9:
            disk.log.gathering.close()
    disk.log.create(header())
    disk.log.append(S, 1, texts("gone"))
    disk.log.close()
    disk.log.gathering.close()
    with pytest.raises(LogError, match="not kept") as raised:
        disk.log.whole(S)
    assert raised.value.status == 410


@pytest.mark.parametrize("length", [2**32 - 1, 400])
def test_what_is_gathered_ends_where_a_length_cannot_be(disk: Disk, length: int) -> None:
    """Beyond the file, or into the next record."""
    for word in ("one", "two", "three"):
        disk.log.append(S, 1, texts(word))
        disk.log.append(S, 1, texts("x" * 200))
    path, data = disk.slot.files()[0], disk.bytes()
    damaged = disk.found()[3]
    at = data.index(damaged.raw)
    path.write_bytes(data[:at] + length.to_bytes(4, "little") + data[at + 4 :])
    whole = disk.log.whole(S)
    assert (whole.damaged, whole.last_seq, list(whole.firsts)) == (True, 2, [1, 2])
    assert [read_events(data[HEAD_SIZE:]) for data in whole.records] == [texts("one"), texts("x" * 200)]


def test_what_a_disk_does_not_give_is_missing_and_kills_nobody(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a map it would be a signal that ends the process (SIGBUS)."""
    for number in range(200):
        disk.log.append(S, 1, texts(f"{number} " + "x" * 100))
    bad = range(2 * 4096, 3 * 4096)
    pread = os.pread

    def failing(descriptor: int, size: int, offset: int) -> bytes:
        if offset < bad.stop and offset + size > bad.start:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", failing)
    whole = disk.log.whole(S)
    disk.log.gathering.close()
    shown = 0
    while read_record(whole.records[shown]) is not None:
        shown += 1
    assert 0 < shown < 200
    assert sum(len(record) for record in whole.records[:shown]) > bad.start - 4096
    monkeypatch.undo()
    assert len([each for each in disk.log.whole(S).records if read_record(each)]) == 200


def test_a_stream_that_was_refused_stays_so_and_others_go_on(disk: Disk) -> None:
    """What it lacks would be a gap; with room again the others lack nothing."""
    disk.log.create(header(T))
    with disk.full():
        with pytest.raises(Full):
            disk.log.create(header("9" * 32))
        with pytest.raises(Full):
            disk.log.append(S, 1, texts("lost"))
    with pytest.raises(Full):
        disk.log.append(S, 1, texts("after"))
    disk.log.append(T, 1, texts("on"))
    disk.log.append(S, 1, [END])
    assert disk.log.read(T, 0, ALL) == texts("on")
    assert disk.log.read(S, 0, ALL) == [no_room()]
    disk.log.create(header("9" * 32))
    disk.log.append("9" * 32, 1, texts("new"))
    assert disk.log.read("9" * 32, 0, ALL) == texts("new")


def test_an_end_is_told_when_the_stream_and_the_disk_are_full(tmp_path: Path) -> None:
    disk = Disk(tmp_path, most=1000)
    disk.log.create(header())
    disk.log.append(S, 1, texts("x" * 2000))
    with pytest.raises(Full, match="outgrew"):
        disk.log.append(S, 1, texts("more"))
    with disk.full():
        disk.log.append(S, 1, [END])
    assert disk.log.read(S, 0, ALL)[-1] == no_room()
    assert disk.commits[-1] == (S, 2)
    disk.log.close()


def test_an_answer_whose_last_words_found_no_room_has_not_succeeded(disk: Disk) -> None:
    """They may come with the end, in one piece: all of it or nothing."""
    disk.log.append(S, 1, texts("one"))
    with disk.full():
        disk.log.append(S, 1, [*texts("two"), Finish(reason="stop"), END])
    assert disk.log.read(S, 0, ALL) == [*texts("one"), no_room()]


def test_half_a_record_is_taken_back(disk: Disk) -> None:
    """Wherever the room ends: what comes after it must be found."""
    disk.log.append(S, 1, texts("one"))
    size = len(disk.bytes())
    disk.log.create(header(T))
    begun = len(disk.bytes())
    for room in range(60):
        with file_size_limit(begun + room), pytest.raises(Full):
            disk.segments.append(b"x" * 60)
        assert len(disk.bytes()) == begun
    disk.log.append(T, 1, texts("two"))
    assert [kept.stream for kept in disk.found()] == [S, S, T, T]
    assert disk.log.read(T, 0, ALL) == texts("two")
    assert size < begun


def test_a_file_that_could_not_be_begun_is_begun_later(tmp_path: Path) -> None:
    disk = Disk(tmp_path, segment_bytes=100)
    for room in range(len(MAGIC)):
        with file_size_limit(room), pytest.raises(Full):
            disk.log.create(header())
    disk.log.create(header())
    disk.log.append(S, 1, texts("one"))
    for room in range(len(MAGIC)):
        with file_size_limit(room), pytest.raises(Full):
            disk.segments.append(b"x")
    disk.log.append(S, 1, texts("two"))
    assert disk.log.read(S, 0, ALL) == texts("one", "two")
    assert [kept.seq for kept in disk.found()] == [0, 1, 2]
    disk.log.close()


def test_files_go_when_nothing_in_them_is_needed_and_never_before(tmp_path: Path) -> None:
    disk = Disk(tmp_path, segment_bytes=1)  # every record has a file of its own

    def begin(stream: str) -> None:
        disk.log.create(header(stream))
        disk.log.append(stream, 1, texts("a", "b"))

    begin(S)
    begin(T)
    begin("9" * 32)
    assert disk.files == ["0", "1", "2", "3", "4", "5"]
    disk.log.delete(T)  # in the middle
    assert disk.files == ["0", "1", "2", "3", "4", "5"]
    assert disk.log.read(S, 0, ALL) == texts("a", "b")
    disk.log.append(S, 1, texts("c"))
    disk.log.delete(S)
    assert disk.files == ["4", "5", "6"]
    assert disk.log.read("9" * 32, 0, ALL) == texts("a", "b")
    disk.log.delete("9" * 32)
    assert disk.files == ["6"]  # the file that is written to stays
    begin(S)
    assert disk.files == ["7", "8"]
    assert disk.log.read(S, 0, ALL) == texts("a", "b")
    disk.log.close()
    assert disk.files == ["7", "8"]


@examples(50)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["append", "end"])), max_size=40))
def test_the_files_of_streams_that_live_are_there(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    disk = Disk(tmp_path_factory.mktemp("log"), segment_bytes=300)
    live: dict[str, list[AnyEvent]] = {}
    first: dict[str, int] = {}
    for number, (letter, step) in enumerate(steps):
        stream = letter * 32
        if step == "end" and stream in live:
            disk.log.delete(stream)
            del live[stream], first[stream]
        elif step == "append":
            if stream not in live:
                disk.log.create(header(stream))
                live[stream], first[stream] = [], int(disk.files[-1])
            disk.log.append(stream, 1, texts(str(number)))
            live[stream] += texts(str(number))
        for each, said in live.items():
            assert disk.log.read(each, 0, ALL) == said
        newest = int(disk.files[-1]) if disk.files else 0
        assert (
            list(map(int, disk.files))
            == list(range(min([*first.values(), newest]), newest + 1))[: len(disk.files)]
        )
    disk.log.close()
    disk.slot.close()


@pytest.mark.parametrize("size", [100, 511, 512, 513, 5000, 3 * 2**20])
def test_records_of_every_size(tmp_path: Path, size: int) -> None:
    """More than is read at once, and more than a file is meant to hold."""
    disk = Disk(tmp_path, segment_bytes=1 << 20)
    disk.log.create(header())
    said = texts("before", "x" * size, "after")
    for event in said:
        disk.log.append(S, 1, [event])
    assert disk.log.read(S, 0, ALL) == said
    assert disk.log.read(S, 1, 1) == said[1:2]
    assert [event for kept in disk.found() if kept.kind == EVENTS for event in read_events(kept.content)] == (
        said
    )
    disk.log.close()


ODD: list[AnyEvent] = [
    Start(
        model="m",
        usage=Usage(1, 2, extra={"n": 2**65}),
        extra={"chunk": {"x": -(2**63) - 1}},
    ),
    Text(text="cut \ud83d", extra={"delta": {"\ud800": [2**64, None, True, 1.5e300]}}),
    Text(text="\x00\x1f\u2028 \U0001f600", logprobs={"content": [{"token": "a", "bytes": [97]}]}),
    Thinking(text="", signature="s", redacted="r", origin="anthropic-messages", block=2**31),
    Tool(arguments='{"a":', call_id="c", name="f", custom=True, choice=127),
    Item(kind="x", value={"deep": [[[[{"a": [1, "2", 3.25]}]]]]}, block=3),
    Finish(reason="stop", stop="\n"),
    End(
        outcome="failed",
        usage=Usage(2**40),
        error=Failure("é", code="c", param="p", status=507, retry_after=0.5),
    ),
]


@pytest.mark.parametrize("event", ODD, ids=lambda event: type(event).__name__)
def test_what_is_kept_is_what_was_said(disk: Disk, event: AnyEvent) -> None:
    disk.log.append(S, 1, [event])
    disk.log.append(S, 1, [END])
    assert disk.log.read(S, 0, 1) == [event]
    assert disk.log.records(S, 0, 1)[0].event == event


def test_a_number_that_json_lacks_is_read_as_every_client_is_told_it(disk: Disk) -> None:
    disk.log.append(S, 1, [Text(text="a", extra={"x": float("nan"), "y": float("-inf")})])
    disk.log.append(S, 1, [END])
    assert disk.log.read(S, 0, 1) == [Text(text="a", extra={"x": None, "y": None})]


def test_a_header_is_kept_as_it_was(disk: Disk) -> None:
    kept = disk.found()[0]
    assert (kept.stream, kept.epoch, kept.seq, kept.total, kept.at_ms) == (S, 1, 0, 0, 100_000)
    assert read_header(kept.content) == header()


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 300_000])
def test_a_request_of_any_size_is_kept_as_it_was(disk: Disk, size: int) -> None:
    large = msgspec.structs.replace(header(T), body=(b'{"a":\n\x00\xff"' * (size // 8 + 1))[:size])
    disk.log.create(large)
    disk.log.append(T, 1, texts("a"))
    assert disk.log.read(T, 0, ALL) == texts("a")
    _, kept, said = disk.found()
    assert read_header(kept.content) == large
    assert read_events(said.content) == texts("a")
    assert read_header(kept_header(large)) == large


def test_a_large_request_that_the_disk_takes_half_of_is_refused_and_leaves_nothing(disk: Disk) -> None:
    before = disk.bytes()
    with file_size_limit(len(before) + 100_000), pytest.raises(Full):
        disk.log.create(msgspec.structs.replace(header(T), body=b"x" * 200_000))
    assert disk.bytes() == before
    disk.log.append(S, 1, texts("a"))
    assert [kept.stream for kept in disk.found()] == [S, S]


def test_a_file_that_is_not_needed_any_more_is_deleted_aside(tmp_path: Path) -> None:
    works: list[Callable[[], None]] = []
    slot = Slot(tmp_path / "slot")
    segments = Segments(slot, 100, works.append)
    first = segments.append(b"x" * 200)
    segments.hold(first)
    segments.append(b"y" * 200)
    assert len(slot.files()) == 2
    segments.release(first)
    assert segments.oldest == segments.newest
    assert len(slot.files()) == 2
    works.pop()()
    assert [path.stem for path in slot.files()] == ["00000001"]
    segments.close()
    slot.close()


HOLD = (
    "import sys; from pathlib import Path; from tidegate.streams.segments import Slot\n"
    "slot = Slot(Path(sys.argv[1])); print('mine', flush=True); sys.stdin.read()"
)


def test_a_slot_has_one_owner_until_that_dies(tmp_path: Path) -> None:
    folder = tmp_path / "slot"
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"mine\n"
        assert Slot.abandoned(folder) is None
        owner.kill()
        owner.wait()
        slot = Slot.abandoned(folder)
        assert slot is not None
        assert Slot.abandoned(folder) is None  # nor a second time in one process
        slot.close()


def waiting_locks() -> str:
    return "".join(line for line in Path("/proc/locks").read_text().splitlines() if "->" in line)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="who waits for a lock is read from /proc")
def test_a_slot_that_is_cleared_away_while_it_is_begun_is_begun_again(tmp_path: Path) -> None:
    """Another process that starts takes a folder that nobody holds yet for one that was left."""
    folder = tmp_path / "slot"
    folder.mkdir()
    other = Slot.abandoned(folder)
    assert other is not None
    made: list[Slot] = []
    beginning = Thread(target=lambda: made.append(Slot(folder)))
    beginning.start()
    eventually(lambda: f":{(folder / 'lock').stat().st_ino} " in waiting_locks(), "it waits for the lock")
    other.remove()
    beginning.join(10)
    Segments(made[0]).append(b"x")
    assert [path.name for path in made[0].files()] == ["00000000.log"]
    assert Slot.abandoned(folder) is None
    made[0].close()
