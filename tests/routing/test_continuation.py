"""Going on with an answer that broke off: who is asked, with what, how often, and what the stream tells."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.loops import LoopClock, in_virtual_time
from tests.routing.deeds import Deed, Doing, GoingOn, Watching, deployment, fails, route, stalls
from tests.streams.parts import S, header
from tidegate.config import Retry, Timeouts
from tidegate.core.event import AnyEvent, End, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.request import Begun, OnBreak, Request
from tidegate.core.source import Output
from tidegate.core.usage import Usage
from tidegate.dialects import load_dialect
from tidegate.errors import Broken, Interrupted, LogError, Rejected, SourceError, TimedOut, Unreachable
from tidegate.routing.attempt import Attempts
from tidegate.routing.plan import Asked
from tidegate.streams.memory import MemoryLog
from tidegate.streams.producer import Producer

CUT = Broken("cut")
SHORT = Retry(attempts=2, backoff=0.1)


def request(**fields: Any) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": "Go."}], **fields}
    return load_dialect("openai-chat").read_request(msgspec.json.encode(body))


def says(*events: AnyEvent | str, usage: Usage | None = None, start: Usage | None = None) -> Deed:
    """A whole answer: its words and other events, a finish, and an end with these counts."""

    async def deed(out: Output) -> None:
        out.emit(Start(usage=start))
        for event in events:
            out.emit(Text(text=event) if isinstance(event, str) else event)
        out.emit_all([Finish(reason="length"), End(outcome="completed", usage=usage)])

    return deed


class Run:
    """Attempts on a stream of its own; all deployments have the same model, ``others`` aside."""

    def __init__(
        self,
        *sources: Doing,
        others: Sequence[Doing] = (),
        retry: Retry = SHORT,
        timeouts: Timeouts | None = None,
        on_break: OnBreak = "continue",
        **fields: Any,
    ) -> None:
        self.clock = LoopClock()
        self.deployments = [
            deployment(name, source, self.clock, model="x" if source in sources else f"other-{name}")
            for name, source in zip("abcdef", [*sources, *others], strict=False)
        ]
        made = route(*self.deployments, retry=retry, timeouts=timeouts)
        self.route = type(made)(made.model, made.deployments, made.timeouts, made.retry, on_break=on_break)
        self.request = request(**fields)
        self.watching = Watching()
        self.log = MemoryLog(self.clock, lambda *_: None)
        self.log.create(header())
        self.out = Producer(header(), self.log, self.clock)
        self.attempts = Attempts(self.clock, lambda: 0.0, self.watching)

    async def answer(self) -> None:
        await self.attempts.answer((Asked(self.route, self.request),), self.out)

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

    @property
    def asked(self) -> list[str]:
        return [name for name, _ in self.watching.attempts]

    @property
    def end(self) -> End:
        (end,) = (event for event in self.events if isinstance(event, End))
        return end


@in_virtual_time
async def test_another_deployment_of_the_model_goes_on() -> None:
    second = GoingOn(says(" two", " three"))
    run = Run(GoingOn(fails(CUT, "one")), second)
    await run.answer()
    assert run.text == "one two three"
    assert [type(event) for event in run.events] == [Start, Text, Text, Text, Finish, End]
    assert second.asked[0].begun == Begun("one", 1)
    assert run.asked == ["a", "b"]
    assert (run.deployments[0].health.failures, run.deployments[1].health.successes) == (1, 1)


@in_virtual_time
async def test_the_record_has_every_attempt_and_the_seam() -> None:
    counted = Usage(input_tokens=20, output_tokens=5)
    run = Run(GoingOn(fails(CUT, "one", " two", after=2)), GoingOn(says(" three", usage=counted)))
    await run.answer()
    first, second = run.out.attempts
    assert (first.deployment, first.outcome, first.error) == ("a", "failed", "upstream_error")
    assert (first.deltas, first.characters, first.usage, first.seconds) == (2, 7, None, 2)
    assert (second.deployment, second.outcome, second.error) == ("b", "completed", None)
    assert (second.deltas, second.characters, second.usage) == (1, 6, counted)
    (seam,) = run.out.seams
    assert (seam.seq, seam.characters, seam.before, seam.after) == (3, 7, "a", "b")
    assert seam.error == "upstream_error"


@in_virtual_time
async def test_the_end_tells_the_seams_and_the_tokens_of_both() -> None:
    counted = Usage(input_tokens=22, output_tokens=5, cached_tokens=20)
    run = Run(GoingOn(fails(CUT, "one", " two")), GoingOn(says(" three", usage=counted)))
    await run.answer()
    told = {"tidegate": {"seams": [{"seq": 3, "characters": 7, "error": "upstream_error"}]}}
    assert run.end.extra == told
    assert [event.extra for event in run.events if isinstance(event, Finish)] == [told]
    assert run.end.usage == Usage(input_tokens=20, output_tokens=7, cached_tokens=20)


@in_virtual_time
async def test_an_upstream_that_counts_the_prompt_first_is_believed() -> None:
    async def cut(out: Output) -> None:
        out.emit(Start(usage=Usage(input_tokens=9, output_tokens=1)))
        out.emit_all([Text(text="one"), Text(text=" two")])
        raise CUT

    run = Run(GoingOn(cut), GoingOn(says(" three", usage=Usage(input_tokens=99, output_tokens=5))))
    await run.answer()
    assert run.end.usage == Usage(input_tokens=9, output_tokens=7)
    assert run.out.attempts[0].usage == Usage(input_tokens=9, output_tokens=1)


@in_virtual_time
async def test_without_a_break_nothing_is_told() -> None:
    run = Run(GoingOn(says("one")))
    await run.answer()
    assert run.end.extra is None
    assert run.out.seams == ()


@in_virtual_time
async def test_the_one_that_broke_is_asked_last() -> None:
    first, second = GoingOn(fails(CUT, "one"), says(" two")), GoingOn(fails(Unreachable("gone")))
    run = Run(first, second)
    await run.answer()
    assert run.text == "one two"
    assert run.asked == ["a", "b", "b", "a"]
    assert [attempt.outcome for attempt in run.out.attempts] == ["failed"] * 3 + ["completed"]


@in_virtual_time
async def test_alone_it_goes_on_itself() -> None:
    run = Run(GoingOn(fails(CUT, "one"), says(" two")))
    await run.answer()
    assert run.text == "one two"


@in_virtual_time
async def test_it_may_break_again() -> None:
    first = GoingOn(fails(CUT, "one"), fails(CUT, " three"))
    second = GoingOn(fails(CUT, " two"), says(" four"))
    run = Run(first, second)
    await run.answer()
    assert run.text == "one two three four"
    assert run.asked == ["a", "b", "a", "b"]
    assert [each.begun for each in (*second.asked, *first.asked[1:])] == [
        Begun("one", 1),
        Begun("one two three", 3),
        Begun("one two", 2),
    ]
    assert [(seam.seq, seam.after) for seam in run.out.seams] == [(2, "b"), (3, "a"), (4, "b")]
    assert sum(isinstance(event, Start) for event in run.events) == 1


@in_virtual_time
async def test_but_not_for_ever() -> None:
    run = Run(GoingOn(fails(CUT, "a ")), GoingOn(fails(CUT, "b ")))
    assert (await run.fail()).message == "cut"
    assert run.asked == ["a", "b", "a", "b", "a"]
    assert run.text == "a b a b a "


@pytest.mark.parametrize("how", ["the route", "the request"])
@in_virtual_time
async def test_it_can_be_refused(how: str) -> None:
    second = GoingOn(says(" two"))
    run = Run(GoingOn(fails(CUT, "one")), second, on_break="fail" if how == "the route" else "continue")
    if how == "the request":
        run.request = msgspec.structs.replace(run.request, on_break="fail")
    assert (await run.fail()).message == "cut"
    assert (run.text, second.asked) == ("one", [])


@in_virtual_time
async def test_a_request_may_want_it_where_the_route_does_not() -> None:
    run = Run(GoingOn(fails(CUT, "one")), GoingOn(says(" two")), on_break="fail")
    run.request = msgspec.structs.replace(run.request, on_break="continue")
    await run.answer()
    assert run.text == "one two"


@in_virtual_time
async def test_without_a_fallback_only_the_one_that_broke_goes_on() -> None:
    first, second = GoingOn(fails(CUT, "one"), fails(Unreachable("gone")), says(" two")), GoingOn(says(" no"))
    run = Run(first, second)
    run.request = msgspec.structs.replace(run.request, fallback=False)
    await run.answer()
    assert (run.text, second.asked) == ("one two", [])


@in_virtual_time
async def test_another_model_is_not_asked() -> None:
    other, dumb = GoingOn(says(" two")), Doing(says(" two"))
    cannot = GoingOn(says(" two"))
    cannot.how = None
    run = Run(Doing(fails(CUT, "one")), dumb, cannot, others=[other])
    assert (await run.fail()).message == "cut"
    assert (other.asked, dumb.asked, cannot.asked) == ([], [], [])


@in_virtual_time
async def test_the_operators_word_makes_models_the_same() -> None:
    run = Run(Doing(fails(CUT, "one")))
    labelled = [
        deployment("a", Doing(fails(CUT, "one")), run.clock, model="x", same_as="llama"),
        deployment("b", GoingOn(says(" two")), run.clock, model="y", same_as="llama"),
    ]
    run.route = route(*labelled, retry=SHORT)
    await run.answer()
    assert run.text == "one two"


@pytest.mark.parametrize(
    "shown",
    [
        [Tool(arguments="{", name="f")],
        [Text(text="one"), Tool(arguments="", name="f")],
        [Thinking(text="hm"), Text(text="one")],
        [Text(text="one"), Item(kind="delta", value={"audio": {}})],
        [Text(text="I will not", refusal=True)],
    ],
)
@in_virtual_time
async def test_what_cannot_be_spliced_ends_in_the_error(shown: list[AnyEvent]) -> None:
    async def cut(out: Output) -> None:
        out.emit_all(shown)
        raise CUT

    second = GoingOn(says(" two"))
    run = Run(GoingOn(cut), second)
    assert (await run.fail()).message == "cut"
    assert second.asked == []


@in_virtual_time
async def test_what_blames_the_request_is_told() -> None:
    second = GoingOn(says(" two"))
    run = Run(GoingOn(fails(Rejected("filtered", status=400), "one")), second)
    assert (await run.fail()).message == "filtered"
    assert second.asked == []


@in_virtual_time
async def test_a_refused_continuation_is_not_the_callers_fault() -> None:
    """An upstream that takes no beginning after all: the next is asked, and the break itself is told."""
    refusing = GoingOn(fails(Rejected("no prefill", status=400, retryable=False)))
    run = Run(Doing(fails(CUT, "one")), refusing)
    assert (await run.fail()).message == "cut"
    assert len(refusing.asked) == 1
    assert run.deployments[1].health.failures == 0


@pytest.mark.parametrize(
    "first",
    [Thinking(text="hm"), Tool(arguments="", name="f"), Text(text="no", refusal=True), "<think>", "One, t"],
)
@in_virtual_time
async def test_what_does_not_go_on_is_refused(first: AnyEvent | str) -> None:
    begun = "One, two, three, four, five, six"
    again = begun[:26] + "?" if first == "One, t" else first
    run = Run(Doing(fails(CUT, begun)), GoingOn(says(again, "two")), retry=Retry(attempts=1))
    assert (await run.fail()).message == "cut"
    assert run.text == begun
    assert run.out.seams == ()


@in_virtual_time
async def test_a_call_may_follow_the_text_that_goes_on() -> None:
    call = Tool(arguments="{}", name="f", block=1)
    run = Run(Doing(fails(CUT, "one")), GoingOn(says(" two", call)))
    await run.answer()
    assert run.events[-3] == call


@in_virtual_time
async def test_what_is_repeated_is_shown_once() -> None:
    shown = "The quick brown fox jumps"
    run = Run(Doing(fails(CUT, *shown)), GoingOn(says(*"brown fox jumps over")))
    await run.answer()
    assert run.text == shown + " over"


@in_virtual_time
async def test_an_echo_of_little_is_known_for_what_it_is() -> None:
    second = GoingOn(says("One", ",", " two"))
    second.how = "echoing"
    run = Run(Doing(fails(CUT, "One", ",")), second)
    await run.answer()
    assert run.text == "One, two"


@in_virtual_time
async def test_white_space_at_the_end_is_not_sent_and_not_shown_twice() -> None:
    second = GoingOn(says("\n", "\n", "Two"))
    run = Run(Doing(fails(CUT, "One.", "\n\n")), second)
    await run.answer()
    assert second.asked[0].begun is not None
    assert second.asked[0].begun.text == "One."
    assert run.text == "One.\n\nTwo"


@in_virtual_time
async def test_an_answer_that_lacked_but_its_end_gets_one() -> None:
    run = Run(Doing(fails(CUT, "one")), GoingOn(says()))
    await run.answer()
    assert (run.text, run.end.outcome) == ("one", "completed")


@in_virtual_time
async def test_the_text_goes_on_in_its_block() -> None:
    async def cut(out: Output) -> None:
        out.emit_all([Text(text="one", block=2)])
        raise CUT

    more: list[AnyEvent] = [Text(text=" two"), Text(text=" three"), Tool(arguments="", name="f", block=1)]
    run = Run(Doing(cut), GoingOn(says(*more)))
    await run.answer()
    blocks = [event.block for event in run.events if isinstance(event, (Text, Tool))]
    assert blocks == [2, 2, 2, 3]


@in_virtual_time
async def test_starts_and_chunks_of_the_other_upstream_are_left_out() -> None:
    async def deed(out: Output) -> None:
        out.emit_all([Start(model="other", extra={"chunk": {"y": 1}}), Item(kind="chunk", value={"y": 1})])
        out.emit_all([Text(text=" two"), Item(kind="chunk", value={"z": 1}), Finish(reason="stop")])
        out.emit(End(outcome="completed"))

    run = Run(Doing(fails(CUT, "one")), GoingOn(deed))
    await run.answer()
    assert [type(event) for event in run.events] == [Start, Text, Text, Item, Finish, End]


@in_virtual_time
async def test_the_counts_of_the_last_attempt_alone_are_not_told() -> None:
    async def deed(out: Output) -> None:
        extra = {"anthropic-messages": {"usage": {"output_tokens": 1}, "delta": {"stop_reason": "end_turn"}}}
        out.emit_all([Text(text=" two"), Finish(reason="stop", extra=extra), End(outcome="completed")])

    run = Run(Doing(fails(CUT, "one")), GoingOn(deed))
    await run.answer()
    (finish,) = (event for event in run.events if isinstance(event, Finish))
    assert finish.extra is not None
    assert finish.extra["anthropic-messages"] == {"delta": {"stop_reason": "end_turn"}}


@in_virtual_time
async def test_silence_counts_as_a_break() -> None:
    second = GoingOn(says(" two"))
    run = Run(GoingOn(stalls("one")), second, timeouts=Timeouts(first_token=10, idle=20, total=100))
    await run.answer()
    assert run.text == "one two"
    assert second.asked_at == pytest.approx([20], abs=0.01)
    assert run.out.attempts[0].error == "idle"


@in_virtual_time
async def test_who_goes_on_has_to_begin_in_time() -> None:
    run = Run(Doing(fails(CUT, "one")), GoingOn(stalls()), timeouts=Timeouts(first_token=10, idle=20))
    assert (await run.fail()).message == "cut"
    assert asyncio.get_running_loop().time() == pytest.approx(10, abs=0.01)


@in_virtual_time
async def test_the_deadline_is_that_of_the_whole_answer() -> None:
    timeouts = Timeouts(first_token=50, idle=20, total=30)
    second = GoingOn(stalls(*["x"] * 9, every=4))
    run = Run(GoingOn(stalls("one")), second, timeouts=timeouts)
    error = await run.fail()
    assert (error.code, isinstance(error, TimedOut)) == ("total", True)
    assert asyncio.get_running_loop().time() == pytest.approx(30, abs=0.01)
    assert len(second.asked) == 1


@in_virtual_time
async def test_a_stream_that_is_too_slow_counts_as_broken() -> None:
    slow = stalls(*["x "] * 100, every=2.0)
    run = Run(GoingOn(slow), GoingOn(says(" two")), timeouts=Timeouts(min_speed=1))
    await run.answer()
    assert run.out.attempts[0].error == "slow"
    assert run.out.attempts[0].seconds < 25
    assert run.text.endswith("x two")


@pytest.mark.parametrize(("words", "every"), [("x ", 0.9), ("many words at once ", 2.5)])
@in_virtual_time
async def test_one_that_is_fast_enough_does_not(words: str, every: float) -> None:
    async def deed(out: Output) -> None:
        for _ in range(60):
            await asyncio.sleep(every)
            out.emit(Text(text=words))
        out.emit_all([Finish(reason="stop"), End(outcome="completed")])

    run = Run(GoingOn(deed), timeouts=Timeouts(min_speed=1))
    await run.answer()
    assert len(run.out.attempts) == 1


@in_virtual_time
async def test_nor_one_whose_reader_is_slow() -> None:
    async def deed(out: Output) -> None:
        out.emit(Text(text="x"))
        for _ in range(12):
            await asyncio.sleep(4)
            run.out.pause()
            await asyncio.sleep(4)
            run.out.resume()
            out.emit(Text(text="x"))
        out.emit_all([Finish(reason="stop"), End(outcome="completed")])

    run = Run(GoingOn(deed), timeouts=Timeouts(min_speed=1))
    await run.answer()
    assert len(run.out.attempts) == 1


@in_virtual_time
async def test_a_cancelled_seam_is_left_at_once() -> None:
    second = GoingOn(stalls())
    run = Run(Doing(fails(CUT, "one")), second)
    task = asyncio.get_running_loop().create_task(run.answer())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert second.cancelled == 1
    assert [attempt.outcome for attempt in run.out.attempts] == ["failed", "cancelled"]
    assert [each.health.open for each in run.deployments] == [0, 0]


@in_virtual_time
async def test_a_log_that_kept_nothing_is_said_to_be_the_break() -> None:
    class Forgetful(Producer):
        def said(self) -> list[AnyEvent]:
            raise LogError("not kept")

    second = GoingOn(says(" two"))
    run = Run(Doing(fails(CUT, "one")), second)
    run.out = Forgetful(header(), run.log, run.clock)
    assert (await run.fail()).message == "cut"
    assert second.asked == []


@in_virtual_time
async def test_what_is_still_on_its_way_to_the_disk_is_waited_for() -> None:
    """A log that syncs groups shows a little later what it was given; to go on without it would repeat it."""

    class Slow(Producer):
        looked = 0

        def said(self) -> list[AnyEvent]:
            self.looked += 1
            said = super().said()
            return said if self.looked > 3 else said[:2]

    second = GoingOn(says(" three"))
    run = Run(Doing(fails(CUT, "one", " two")), second)
    run.out = Slow(header(), run.log, run.clock)
    await run.answer()
    assert run.text == "one two three"
    assert second.asked[0].begun == Begun("one two", 2)


# After a crash


class Recovery(Run):
    """A stream whose producer was killed when it had said this."""

    def __init__(self, said: list[AnyEvent], *sources: Doing, **more: Any) -> None:
        super().__init__(*sources, **more)
        if said:
            self.log.append(S, 1, said)
        self.out.started = bool(said)
        self.out.visible = len(said) > 1

    async def go_on(self, name: str | None = None) -> None:
        plan = (Asked(self.route, self.request),)
        await self.attempts.go_on(plan, self.out, self.events, name)


@pytest.mark.parametrize("said", [[], [Start()]])
@in_virtual_time
async def test_where_nothing_was_shown_the_answer_begins_anew(said: list[AnyEvent]) -> None:
    run = Recovery(said, Doing(says("one")))
    await run.go_on()
    assert run.text == "one"
    assert sum(isinstance(event, Start) for event in run.events) == 1
    assert run.out.seams == ()


@pytest.mark.parametrize("name", ["a", "b", None])
@in_virtual_time
async def test_what_was_shown_is_gone_on_with(name: str | None) -> None:
    source = GoingOn(says(" two", usage=Usage(input_tokens=8, output_tokens=3)))
    run = Recovery([Start(), Text(text="one")], source, source)
    await run.go_on(name)
    assert run.text == "one two"
    assert run.end.usage == Usage(input_tokens=7, output_tokens=4)
    assert run.out.seams[0].error == "interrupted"


@in_virtual_time
async def test_who_answered_must_be_known_where_models_differ() -> None:
    source, other = GoingOn(says(" two")), GoingOn(says(" no"))
    run = Recovery([Start(), Text(text="one")], source, others=[other])
    with pytest.raises(Interrupted):
        await run.go_on()
    await run.go_on("a")
    assert run.text == "one two"


@in_virtual_time
async def test_or_by_the_name_that_its_upstream_answered_under() -> None:
    source, other = GoingOn(says(" no")), GoingOn(says(" two"))
    run = Recovery([Start(model="other-b"), Text(text="one")], source, others=[other])
    await run.go_on()
    assert (run.text, source.asked) == ("one two", [])


@pytest.mark.parametrize("shown", [Thinking(text="hm"), Tool(arguments="", name="f"), Finish(reason="stop")])
@in_virtual_time
async def test_what_cannot_be_gone_on_with_was_interrupted(shown: AnyEvent) -> None:
    source = GoingOn(says(" two"))
    run = Recovery([Start(), Text(text="one"), shown], source)
    with pytest.raises(Interrupted, match="the gateway was stopped before the answer ended"):
        await run.go_on("a")
    assert source.asked == []


@in_virtual_time
async def test_and_so_was_what_nobody_could_go_on_with() -> None:
    run = Recovery([Start(), Text(text="one")], GoingOn(fails(Unreachable("gone"))))
    with pytest.raises(Interrupted) as raised:
        await run.go_on("a")
    assert raised.value.type == "interrupted"


@in_virtual_time
async def test_a_break_after_more_was_shown_is_told_as_it_is() -> None:
    run = Recovery([Start(), Text(text="one")], GoingOn(fails(CUT, " two")), retry=Retry(attempts=1))
    with pytest.raises(Broken, match="cut"):
        await run.go_on("a")
