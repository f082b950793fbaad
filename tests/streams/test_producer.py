"""The one writer of a stream: what it holds back, what cannot be taken back, and when its source waits."""

from __future__ import annotations

import asyncio

import pytest

from tests.loops import in_virtual_time
from tests.streams.parts import END, Bench, ManualClock, S, Tap, header, texts
from tidegate.core.event import AnyEvent, End, Failure, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.usage import Usage
from tidegate.streams.memory import MemoryLog
from tidegate.streams.producer import Producer, shows

START = Start(model="m", extra={"chunk": {"fingerprint": "f"}})
FINISH = Finish(reason="stop")


class Made:
    """A producer on a log of its own."""

    def __init__(self) -> None:
        bench = Bench(MemoryLog)
        bench.log.create(header())
        self.log = bench.log
        self.clock: ManualClock = bench.clock
        self.commits = bench.commits
        self.out = Producer(header(), bench.log, bench.clock)

    def state(self) -> tuple[bool, bool]:
        """Whether it has started, and whether it shows something."""
        return self.out.started, self.out.visible

    def progress(self) -> tuple[float | None, float, int]:
        """When the first delta came, when the last, and how many there were."""
        return self.out.first_delta_at, self.out.last_delta_at, self.out.deltas

    @property
    def logged(self) -> list[AnyEvent]:
        return self.log.read(S, 0, 1000)


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (Text(text="a"), True),
        (Thinking(text="a"), True),
        (Tool(arguments=""), True),
        (Item(kind="citation", value={}), True),
        (Item(kind="delta", value={}), True),
        (Item(kind="chunk", value={}), False),
        (Item(kind="choice", value={}), False),
        (START, False),
        (FINISH, False),
        (END, False),
    ],
)
def test_what_shows_something(event: AnyEvent, shown: bool) -> None:
    assert shows(event) is shown


def test_a_start_is_held_until_something_shows(made: Made) -> None:
    made.out.emit(START)
    made.out.emit(Item(kind="chunk", value={"a": 1}))
    assert made.logged == []
    assert made.state() == (False, False)
    made.out.emit(Text(text="a"))
    assert made.logged == [START, Item(kind="chunk", value={"a": 1}), Text(text="a")]
    assert made.state() == (True, True)


@pytest.mark.parametrize("first", [[FINISH], [END], [Text(text="a"), FINISH, END]])
def test_a_stream_without_a_start_is_given_one(made: Made, first: list[AnyEvent]) -> None:
    made.out.emit_all(first)
    assert made.logged == [Start(), *first]


def test_what_is_emitted_at_once_is_committed_at_once(made: Made) -> None:
    made.out.emit_all([START, *texts("a", "b")])
    made.out.emit_all(texts("c", "d"))
    assert made.commits == [(S, 3), (S, 5)]


def test_an_attempt_that_showed_nothing_leaves_no_trace(made: Made) -> None:
    made.out.emit(START)
    made.out.restart()
    made.out.emit_all([Start(model="other"), *texts("a")])
    assert made.logged == [Start(model="other"), Text(text="a")]


def test_a_start_that_is_committed_early_is_the_attempts_own(made: Made) -> None:
    made.out.emit(START)
    made.out.commit_start()
    assert made.logged == [START]
    assert made.state() == (True, False)
    made.out.emit(Text(text="a"))
    assert made.logged == [START, Text(text="a")]


def test_a_start_is_committed_once(made: Made) -> None:
    made.out.commit_start()
    made.out.commit_start()
    assert made.logged == [Start()]
    made.out.emit_all([Start(model="late"), *texts("a")])
    made.out.commit_start()
    assert made.logged == [Start(), Text(text="a")]


def test_what_a_late_start_said_beyond_the_model_is_told_all_the_same(made: Made) -> None:
    made.out.commit_start()
    made.out.emit_all([START, Text(text="a")])
    assert made.logged == [Start(), Item(kind="chunk", value={"fingerprint": "f"}), Text(text="a")]


def test_unless_the_first_delta_says_it_too(made: Made) -> None:
    first = Text(text="a", extra=START.extra)
    made.out.commit_start()
    made.out.emit_all([START, first])
    assert made.logged == [Start(), first]


def test_retry_is_possible_after_a_committed_start(made: Made) -> None:
    made.out.emit(START)
    made.out.commit_start()
    made.out.restart()
    made.out.emit_all([Start(model="other"), *texts("a")])
    assert made.logged == [START, Text(text="a")]


def test_it_ends_once(made: Made) -> None:
    made.out.emit_all([*texts("a"), FINISH, END])
    assert made.out.ended
    made.out.end("failed", error=Failure("late"))
    made.out.emit(Text(text="late"))
    made.out.commit_start()
    assert made.logged == [Start(), Text(text="a"), FINISH, END]


def test_an_end_says_how(made: Made) -> None:
    error = Failure("why", code="idle")
    made.out.end("failed", usage=Usage(1, 2), error=error)
    made.out.end("cancelled")
    assert made.logged == [End(outcome="failed", usage=Usage(1, 2), error=error)]


def test_what_is_held_goes_when_the_stream_is_ended(made: Made) -> None:
    """An early failure keeps its true status: no start says that an answer was coming."""
    made.out.emit(START)
    made.out.end("failed", error=Failure("why"))
    assert [type(event) for event in made.logged] == [End]


def test_deltas_and_their_times_are_kept(made: Made) -> None:
    made.clock.seconds = 101
    made.out.emit(START)
    assert made.progress() == (None, 100, 0)
    made.clock.seconds = 102
    made.out.emit_all([START, *texts("a", "b")])
    assert made.progress() == (102, 102, 2)
    made.clock.seconds = 103
    made.out.emit(Text(text="c"))
    made.out.emit_all([Text(text="d"), FINISH])
    assert made.progress() == (102, 103, 4)
    made.clock.seconds = 104
    made.out.emit_all([Item(kind="chunk", value={}), END])
    assert made.progress() == (102, 103, 4)


def test_an_answer_without_deltas_has_no_first_one(made: Made) -> None:
    made.out.emit_all([START, FINISH, END])
    assert made.state() == (True, True)
    assert made.progress() == (None, 100, 0)


def test_the_source_is_paused_and_resumed_once(made: Made) -> None:
    tap = Tap()
    made.out.control(tap)
    for step in (made.out.pause, made.out.pause, made.out.resume, made.out.resume):
        step()
    assert tap.calls == ["pause", "resume"]


def test_a_source_that_begins_while_paused_is_paused(made: Made) -> None:
    """A retry connects again; the reader has no more room for it than before."""
    made.out.pause()
    tap = Tap()
    made.out.control(tap)
    assert tap.calls == ["pause"]
    made.out.resume()
    assert tap.calls == ["pause", "resume"]


def test_a_source_that_has_gone_is_left_alone(made: Made) -> None:
    tap = Tap()
    made.out.control(tap)
    made.out.control(None)
    made.out.pause()
    made.out.resume()
    assert tap.calls == []


def test_time_does_not_pass_while_paused(made: Made) -> None:
    made.out.emit(Text(text="a"))
    made.out.pause()
    made.clock.seconds += 1000
    made.out.resume()
    assert made.out.last_delta_at == made.clock.seconds


@in_virtual_time
async def test_a_source_that_pulls_waits_for_room() -> None:
    made = Made()
    order: list[str] = []

    async def source() -> None:
        for word in "ab":
            await made.out.ready()
            order.append(word)
            made.out.pause()

    task = asyncio.get_running_loop().create_task(source())
    await asyncio.sleep(1)
    assert order == ["a"]
    made.out.resume()
    await task
    assert order == ["a", "b"]
    made.out.resume()
    await made.out.ready()
