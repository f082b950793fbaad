"""What every stream log promises, whatever it keeps its streams in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tests.streams.parts import END, LOGS, Bench, MakeLog, ManualClock, S, T, header, texts
from tidegate.core.event import AnyEvent, Record, Text, Thinking, Tool
from tidegate.errors import Fenced, Full, LogError
from tidegate.streams.log import StreamLog

ALL = 1000


@pytest.fixture(params=LOGS)
def make(request: pytest.FixtureRequest) -> MakeLog:
    return LOGS[request.param]


@pytest.fixture
def bench(make: MakeLog) -> Bench:
    bench = Bench(make)
    bench.log.create(header())
    return bench


def seqs(log: StreamLog, stream: str = S, after: int = 0) -> list[int]:
    return [record.seq for record in log.records(stream, after, ALL)]


def test_a_new_stream_is_empty(bench: Bench) -> None:
    assert bench.log.read(S, 0, ALL) == []
    assert bench.log.records(S, 0, ALL) == []


def test_seq_is_dense_from_1(bench: Bench) -> None:
    bench.log.append(S, 1, texts("a", "b"))
    bench.log.append(S, 1, texts("c"))
    assert seqs(bench.log) == [1, 2, 3]


def test_events_come_back_in_their_order(bench: Bench) -> None:
    events: list[AnyEvent] = [*texts("a"), Thinking(text=T), Tool(arguments="{}"), END]
    bench.log.append(S, 1, events)
    assert bench.log.read(S, 0, ALL) == events


def test_what_is_given_may_change_afterwards(bench: Bench) -> None:
    events = texts("a")
    bench.log.append(S, 1, events)
    events.append(END)
    bench.log.read(S, 0, ALL).clear()
    assert bench.log.read(S, 0, ALL) == texts("a")


def test_each_append_is_committed_before_it_returns(bench: Bench) -> None:
    bench.log.append(S, 1, texts("a", "b"))
    assert bench.commits == [(S, 2)]
    bench.log.append(S, 1, texts("c"))
    assert bench.commits == [(S, 2), (S, 3)]


def test_what_is_committed_can_be_read_at_once(make: MakeLog) -> None:
    """Inside the callback, which is where readers live."""
    seen: list[AnyEvent] = []

    def committed(stream: str, seq: int) -> None:
        seen.extend(log.read(stream, seq - 1, ALL))

    log = make(ManualClock(), committed, most=1 << 20)
    log.create(header())
    log.append(S, 1, texts("a"))
    log.append(S, 1, texts("b"))
    assert seen == texts("a", "b")


@pytest.mark.parametrize(
    ("after", "most", "found"),
    [(0, 2, "ab"), (1, 2, "bc"), (3, 9, "d"), (4, 9, ""), (9, 9, ""), (0, 0, ""), (2, 1, "c")],
)
def test_windows(bench: Bench, after: int, most: int, found: str) -> None:
    bench.log.append(S, 1, texts(*"abcd"))
    assert bench.log.read(S, after, most) == texts(*found)
    assert [(each.seq, each.event) for each in bench.log.records(S, after, most)] == list(
        enumerate(texts(*found), after + 1)
    )


def test_records_tell_epoch_seq_and_time(bench: Bench) -> None:
    bench.log.append(S, 1, texts("a"))
    bench.clock.seconds += 2.5
    bench.log.append(S, 1, texts("b", "c"))
    assert bench.log.records(S, 0, ALL) == [
        Record(1, 1, 100_000, Text(text="a")),
        Record(1, 2, 102_500, Text(text="b")),
        Record(1, 3, 102_500, Text(text="c")),
    ]


def test_streams_are_apart(bench: Bench) -> None:
    bench.log.create(header(T))
    bench.log.append(S, 1, texts("a"))
    bench.log.append(T, 1, texts("b", "c"))
    assert bench.log.read(S, 0, ALL) == texts("a")
    assert bench.log.read(T, 0, ALL) == texts("b", "c")
    assert bench.commits == [(S, 1), (T, 2)]


@pytest.mark.parametrize("epoch", [0, 2])
def test_another_epoch_is_fenced(bench: Bench, epoch: int) -> None:
    bench.log.append(S, 1, texts("a"))
    with pytest.raises(Fenced):
        bench.log.append(S, epoch, texts("b"))
    assert bench.log.read(S, 0, ALL) == texts("a")
    assert bench.commits == [(S, 1)]


def test_a_deleted_stream_is_forgotten(bench: Bench) -> None:
    bench.log.create(header(T))
    bench.log.append(S, 1, texts("a"))
    bench.log.append(T, 1, texts("b"))
    bench.log.delete(S)
    bench.log.delete(S)
    with pytest.raises((KeyError, LogError)):
        bench.log.read(S, 0, ALL)
    with pytest.raises((KeyError, LogError)):
        bench.log.append(S, 1, texts("c"))
    assert bench.log.read(T, 0, ALL) == texts("b")


def test_a_stream_may_be_deleted_while_its_end_is_committed(make: MakeLog) -> None:
    """Its last reader lets go of it inside of the callback."""
    log = make(ManualClock(), lambda stream, _: log.delete(stream), most=1 << 20)
    log.create(header())
    log.append(S, 1, [*texts("a" * 1000), END])
    with pytest.raises((KeyError, LogError)):
        log.read(S, 0, ALL)


WORD = "x" * 1000


def fill(bench: Bench) -> None:
    for _ in range(100):
        bench.log.append(S, 1, texts(WORD))


def test_a_stream_over_its_bounds_is_full(make: MakeLog) -> None:
    bench = Bench(make, most=20_000)
    bench.log.create(header())
    with pytest.raises(Full):
        fill(bench)
    kept = len(bench.log.read(S, 0, ALL))
    assert 10 <= kept <= 20
    assert bench.commits[-1] == (S, kept)


def test_the_end_always_has_room(make: MakeLog) -> None:
    """Else a stream that is full could not be told to have failed."""
    bench = Bench(make, most=5_000)
    bench.log.create(header())
    with pytest.raises(Full):
        fill(bench)
    bench.log.append(S, 1, [END])
    assert bench.log.read(S, 0, ALL)[-1] == END
    assert bench.commits[-1][1] == len(bench.log.read(S, 0, ALL))


@examples(100)
@given(
    batches=st.lists(st.lists(st.text(max_size=3), min_size=1, max_size=5), max_size=8),
    after=st.integers(0, 45),
    most=st.integers(0, 45),
)
def test_a_log_reads_as_a_list_does(batches: list[list[str]], after: int, most: int) -> None:
    for make in LOGS.values():
        bench = Bench(make)
        bench.log.create(header())
        model: list[AnyEvent] = []
        for batch in batches:
            bench.log.append(S, 1, texts(*batch))
            model += texts(*batch)
        assert bench.log.read(S, after, most) == model[after : after + most]
        assert [each.event for each in bench.log.records(S, after, most)] == model[after : after + most]
        assert [seq for _, seq in bench.commits] == [
            sum(map(len, batches[: number + 1])) for number in range(len(batches))
        ]
        bench.log.close()
