"""Retry, fallback and deadlines: what is tried again, where, when, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from tests.loops import LoopClock, in_virtual_time
from tests.routing.deeds import REQUEST, Deed, Doing, Watching, deployment, fails, route, says, stalls
from tests.streams.parts import S, header
from tidegate.config import Retry, Timeouts
from tidegate.core.event import AnyEvent, End, Item, Start, Text
from tidegate.core.source import Output
from tidegate.core.usage import Usage
from tidegate.errors import Broken, Overloaded, Rejected, SourceError, TimedOut, Unreachable
from tidegate.routing.attempt import Attempts
from tidegate.routing.plan import Asked
from tidegate.routing.table import Deployment
from tidegate.streams.memory import MemoryLog
from tidegate.streams.producer import Producer

GONE = Unreachable("gone")


class Run:
    """Attempts on a stream of its own; with no chance, the pauses between them are half of the longest."""

    def __init__(self, *sources: Doing, timeouts: Timeouts | None = None, retry: Retry | None = None) -> None:
        self.clock = LoopClock()
        self.sources = sources
        self.deployments: list[Deployment] = [
            deployment(name, source, self.clock) for name, source in zip("abcdef", sources, strict=False)
        ]
        self.route = route(*self.deployments, retry=retry, timeouts=timeouts)
        self.watching = Watching()
        self.log = MemoryLog(self.clock, lambda *_: None)
        self.log.create(header())
        self.out = Producer(header(), self.log, self.clock)

    async def answer(self) -> None:
        plan = (Asked(self.route, REQUEST),)
        await Attempts(self.clock, lambda: 0.0, self.watching).answer(plan, self.out)

    async def fail(self) -> SourceError:
        with pytest.raises(SourceError) as raised:
            await self.answer()
        return raised.value

    @property
    def events(self) -> list[AnyEvent]:
        return self.log.read(S, 0, 1000)

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Text))


@in_virtual_time
async def test_the_first_deployment_answers() -> None:
    run = Run(Doing(says("a", "b")), Doing(says("c")))
    await run.answer()
    assert run.text == "ab"
    assert run.watching.attempts == [("a", "")]
    assert [each.health.successes for each in run.deployments] == [1, 0]
    assert [each.health.open for each in run.deployments] == [0, 0]


@in_virtual_time
async def test_a_failure_is_retried_and_leaves_no_trace() -> None:
    run = Run(Doing(fails(GONE), fails(GONE), says("a")))
    await run.answer()
    assert [type(event) for event in run.events][:2] == [Start, Text]
    assert sum(isinstance(event, Start) for event in run.events) == 1
    assert run.watching.attempts == [("a", "gone"), ("a", "gone"), ("a", "")]
    assert (run.deployments[0].health.failures, run.deployments[0].health.successes) == (2, 1)


@in_virtual_time
async def test_every_attempt_is_recorded() -> None:
    """With what its source counted and what it showed; a failure has neither."""
    counted = Usage(input_tokens=3, output_tokens=2)

    async def counts(out: Output) -> None:
        out.emit_all([Start(usage=Usage(input_tokens=3)), Text(text="one"), Text(text=" two")])
        out.emit(End(outcome="completed", usage=counted))

    async def breaks(out: Output) -> None:
        await asyncio.sleep(2)
        raise ZeroDivisionError

    run = Run(Doing(fails(GONE)), Doing(counts), retry=Retry(attempts=1))
    await run.answer()
    first, second = run.out.attempts
    assert (first.deployment, first.outcome, first.error) == ("a", "failed", "upstream_error")
    assert (first.deltas, first.characters, first.usage) == (0, 0, None)
    assert (second.deployment, second.outcome, second.usage) == ("b", "completed", counted)
    assert (second.deltas, second.characters) == (2, 7)
    defect = Run(Doing(breaks))
    with pytest.raises(ZeroDivisionError):
        await defect.answer()
    (only,) = defect.out.attempts
    assert (only.outcome, only.error, only.seconds) == ("failed", "internal_error", 2)


@in_virtual_time
async def test_pauses_between_attempts_grow() -> None:
    source = Doing(fails(GONE))
    run = Run(source, retry=Retry(attempts=6, backoff=1.0))
    await run.fail()
    gaps = [b - a for a, b in zip(source.asked_at, source.asked_at[1:], strict=False)]
    assert gaps == [0.5, 1, 2, 2.5, 2.5]


@in_virtual_time
async def test_then_the_next_deployment_is_tried() -> None:
    run = Run(Doing(fails(GONE)), Doing(fails(Broken("cut"))), Doing(says("c")), retry=Retry(attempts=2))
    await run.answer()
    assert run.text == "c"
    assert [name for name, _ in run.watching.attempts] == ["a", "a", "b", "b", "c"]


@in_virtual_time
async def test_without_a_fallback_only_the_first_is_asked() -> None:
    run = Run(Doing(fails(GONE)), Doing(says("b")), retry=Retry(attempts=2))
    plan = (Asked(run.route, msgspec.structs.replace(REQUEST, fallback=False)),)
    with pytest.raises(Unreachable):
        await Attempts(run.clock, lambda: 0.0, run.watching).answer(plan, run.out)
    assert [name for name, _ in run.watching.attempts] == ["a", "a"]


@in_virtual_time
async def test_when_nobody_answers_the_last_error_is_told() -> None:
    run = Run(Doing(fails(GONE)), Doing(fails(Broken("cut"))), retry=Retry(attempts=1))
    error = await run.fail()
    assert error.message == "cut"
    assert run.events == []


@pytest.mark.parametrize("status", [400, 405, 413, 415, 422])
@in_virtual_time
async def test_what_blames_the_request_is_told_at_once(status: int) -> None:
    """Any other deployment would refuse it as well; and it says nothing about this one's health."""
    run = Run(Doing(fails(Rejected("bad", status=status))), Doing(says("b")))
    error = await run.fail()
    assert (error.message, error.status) == ("bad", status)
    assert len(run.watching.attempts) == 1
    assert run.deployments[0].health.failures == 0


@pytest.mark.parametrize("status", [404, 402, 502])
@in_virtual_time
async def test_what_is_not_worth_a_retry_falls_back(status: int) -> None:
    run = Run(Doing(fails(Rejected("no", status=status, retryable=False))), Doing(says("b")))
    await run.answer()
    assert run.text == "b"
    assert [name for name, _ in run.watching.attempts] == ["a", "b"]
    assert run.deployments[0].health.failures == 1


@in_virtual_time
async def test_an_upstream_that_asks_to_wait_a_little_is_waited_for() -> None:
    source = Doing(fails(Rejected("busy", status=429, retry_after=4.5)), says("a"))
    run = Run(source)
    await run.answer()
    assert source.asked_at == [0, 4.5]


@in_virtual_time
async def test_one_that_asks_to_wait_long_is_not() -> None:
    source = Doing(fails(Rejected("busy", status=429, retry_after=60)), says("a"))
    run = Run(source)
    error = await run.fail()
    assert (source.asked_at, error.retry_after) == ([0], 60)


@in_virtual_time
async def test_another_deployment_need_not_wait_for_it() -> None:
    second = Doing(says("b"))
    run = Run(Doing(fails(Rejected("busy", status=429, retry_after=60))), second)
    await run.answer()
    assert (run.text, second.asked_at) == ("b", [0])


@in_virtual_time
async def test_after_something_was_shown_nothing_is_tried_again() -> None:
    run = Run(Doing(fails(Broken("cut"), "a")), Doing(says("b")))
    error = await run.fail()
    assert (error.message, run.text) == ("cut", "a")
    assert run.watching.attempts == [("a", "cut")]
    assert run.deployments[0].health.failures == 1


@in_virtual_time
async def test_a_start_that_had_to_be_committed_hinders_no_fallback() -> None:
    run = Run(Doing(fails(GONE, after=1)), Doing(says("b")), retry=Retry(attempts=1))
    task = asyncio.get_running_loop().create_task(run.answer())
    await asyncio.sleep(0.5)
    run.out.commit_start()
    await task
    assert [type(event) for event in run.events][:2] == [Start, Text]
    assert run.text == "b"


@in_virtual_time
async def test_chunks_that_show_nothing_hinder_none_either() -> None:
    async def only_chunks(out: Output) -> None:
        out.emit_all([Start(), Item(kind="chunk", value={"x": 1})])
        raise GONE

    run = Run(Doing(only_chunks, says("a")))
    await run.answer()
    assert [type(event) for event in run.events][:2] == [Start, Text]


@in_virtual_time
async def test_an_answer_without_an_end_is_none() -> None:
    async def stops(out: Output) -> None:
        out.emit(Start())

    run = Run(Doing(stops), Doing(says("b")), retry=Retry(attempts=1))
    await run.answer()
    assert run.text == "b"
    assert run.watching.attempts[0] == ("a", "a ended its answer without an end")


@in_virtual_time
async def test_nor_is_one_that_stops_in_the_middle() -> None:
    async def stops(out: Output) -> None:
        out.emit(Text(text="a"))

    run = Run(Doing(stops), Doing(says("b")))
    assert "without an end" in (await run.fail()).message
    assert run.text == "a"


@in_virtual_time
async def test_a_defect_of_a_source_is_nobodys_failure() -> None:
    async def breaks(out: Output) -> None:
        raise ZeroDivisionError

    run = Run(Doing(breaks), Doing(says("b")))
    with pytest.raises(ZeroDivisionError):
        await run.answer()
    assert run.deployments[0].health.open == 0


@in_virtual_time
async def test_where_everyone_is_full_the_caller_is_told_to_come_again() -> None:
    run = Run(Doing(says("a")))
    run.route = route(deployment("a", max_streams=0))
    with pytest.raises(Overloaded, match="model 'm' has as many streams as it may have") as raised:
        await run.answer()
    assert raised.value.retry_after == 1


@in_virtual_time
async def test_attempts_under_way_are_counted() -> None:
    run = Run(Doing(stalls("a")))
    task = asyncio.get_running_loop().create_task(run.answer())
    await asyncio.sleep(1)
    assert run.deployments[0].health.open == 1
    task.cancel()
    await asyncio.wait([task])
    assert run.deployments[0].health.open == 0


# Deadlines

TIMEOUTS = Timeouts(first_token=10, idle=20, total=100)


@pytest.mark.parametrize(
    ("deed", "code", "at", "message"),
    [
        (stalls(), "first_token", 10, "no token came within 10 s"),
        (stalls("a"), "idle", 20, "no token came for 20 s"),
        (stalls("a", "b", "c", every=8), "idle", 8 * 3 + 20, "no token came for 20 s"),
        (stalls(*"x" * 50, every=9.5), "total", 100, "the answer was not complete within 100 s"),
    ],
)
@in_virtual_time
async def test_deadlines(deed: Deed, code: str, at: float, message: str) -> None:
    source = Doing(deed)
    run = Run(source, timeouts=TIMEOUTS)
    error = await run.fail()
    assert isinstance(error, TimedOut)
    assert (error.code, error.status, error.message) == (code, 504, message)
    assert asyncio.get_running_loop().time() == pytest.approx(at, abs=0.01)
    assert source.cancelled == 1
    assert len(source.asked_at) == 1
    assert run.deployments[0].health.failures == 1


@in_virtual_time
async def test_silence_is_noticed_in_time_where_the_first_token_may_take_long() -> None:
    run = Run(Doing(stalls("a")), timeouts=Timeouts(first_token=500, idle=20))
    error = await run.fail()
    assert error.code == "idle"
    assert asyncio.get_running_loop().time() == pytest.approx(20, abs=0.01)


@in_virtual_time
async def test_a_slow_first_token_is_not_worth_a_retry_but_a_fallback() -> None:
    slow, quick = Doing(stalls()), Doing(says("b"))
    run = Run(slow, quick, timeouts=TIMEOUTS)
    await run.answer()
    assert len(slow.asked_at) == 1
    assert quick.asked_at == pytest.approx([10], abs=0.01)
    assert run.text == "b"


@in_virtual_time
async def test_role_chunks_and_pings_are_no_tokens() -> None:
    """A provider that only keeps its connection alive is as good as silent."""

    async def pings(out: Output) -> None:
        for _ in range(100):
            out.emit_all([Start(), Item(kind="chunk", value={})])
            await asyncio.sleep(1)

    run = Run(Doing(pings), timeouts=TIMEOUTS)
    error = await run.fail()
    assert error.code == "first_token"


@in_virtual_time
async def test_nor_are_they_signs_of_life_later() -> None:
    async def pings(out: Output) -> None:
        out.emit(Text(text="a"))
        for _ in range(100):
            await asyncio.sleep(1)
            out.emit(Item(kind="chunk", value={}))

    run = Run(Doing(pings), timeouts=TIMEOUTS)
    error = await run.fail()
    assert error.code == "idle"
    assert asyncio.get_running_loop().time() == pytest.approx(20, abs=0.01)


@in_virtual_time
async def test_the_total_is_for_all_attempts_together() -> None:
    source = Doing(fails(GONE, after=45))
    run = Run(source, timeouts=Timeouts(first_token=60, total=100), retry=Retry(attempts=9, backoff=2))
    error = await run.fail()
    assert error.code == "total"
    assert asyncio.get_running_loop().time() == pytest.approx(100, abs=0.01)
    assert len(source.asked_at) == 3


@in_virtual_time
async def test_after_the_total_no_fallback_is_begun() -> None:
    second = Doing(says("b"))
    run = Run(Doing(stalls()), second, timeouts=Timeouts(first_token=60, total=5))
    assert (await run.fail()).code == "total"
    assert second.asked_at == []


@in_virtual_time
async def test_the_idle_deadline_stands_still_while_the_reader_is_slow() -> None:
    run = Run(Doing(stalls("a")), timeouts=TIMEOUTS)
    task = asyncio.get_running_loop().create_task(run.fail())
    await asyncio.sleep(15)
    run.out.pause()
    await asyncio.sleep(60)
    assert not task.done()
    run.out.resume()
    await asyncio.sleep(19)
    assert not task.done()
    error = await task
    assert error.code == "idle"
    assert asyncio.get_running_loop().time() == pytest.approx(15 + 60 + 20, abs=0.01)


@in_virtual_time
async def test_the_total_does_not() -> None:
    run = Run(Doing(stalls("a")), timeouts=TIMEOUTS)
    task = asyncio.get_running_loop().create_task(run.fail())
    await asyncio.sleep(1)
    run.out.pause()
    assert (await task).code == "total"
    assert asyncio.get_running_loop().time() == pytest.approx(100, abs=0.01)


@in_virtual_time
async def test_an_answer_in_time_leaves_no_timer_behind() -> None:
    run = Run(Doing(says("a")), timeouts=TIMEOUTS)
    await run.answer()
    await asyncio.sleep(1000)
    assert run.text == "a"


@pytest.mark.parametrize("deed", [stalls(), stalls("a"), fails(GONE)])
@in_virtual_time
async def test_cancellation_passes_through(deed: Deed) -> None:
    """Before a token, after one, and between attempts; it is no failure of anybody."""
    source = Doing(deed)
    run = Run(source, timeouts=TIMEOUTS, retry=Retry(attempts=9, backoff=5))
    task = asyncio.get_running_loop().create_task(run.answer())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert run.deployments[0].health.open == 0
    assert run.deployments[0].health.failures == len(run.watching.attempts)
    asked = len(source.asked_at)
    await asyncio.sleep(1000)
    assert len(source.asked_at) == asked


@in_virtual_time
async def test_a_cancellation_that_meets_a_deadline_wins() -> None:
    run = Run(Doing(stalls()), timeouts=TIMEOUTS)
    loop = asyncio.get_running_loop()
    task = loop.create_task(run.answer())
    cancel: Callable[[], object] = task.cancel
    loop.call_at(10.0, cancel)
    await asyncio.wait([task])
    assert task.cancelled()


@in_virtual_time
async def test_a_deadline_does_not_cancel_what_comes_after_it() -> None:
    """The task that was cancelled by its own watchdog goes on, and can be cancelled again."""
    second = Doing(stalls("b"))
    run = Run(Doing(stalls()), second, timeouts=TIMEOUTS)
    task = asyncio.get_running_loop().create_task(run.answer())
    await asyncio.sleep(15)
    assert run.text == "b"
    assert task.cancelling() == 0
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert not any(isinstance(event, End) for event in run.events)
