"""The life of a stream: whatever is interleaved, blocks open and close properly and a stream ends once."""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.event import AnyEvent, End, Failure, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.lifecycle import TABLE, Action, Lifecycle, Said, SideBySide, State, Step

STOP = Finish(reason="stop")
DONE = End(outcome="completed")
BROKEN = End(outcome="failed", error=Failure("broken"))
OWN = "own-dialect"


def steps(*events: AnyEvent) -> list[Step]:
    return list(Lifecycle(frozenset({OWN})).steps(events))


def shown(*events: AnyEvent) -> str:
    """The steps in short: ``open0 delta0 close0 …``, with the block's index."""
    words = []
    for action, _, block in steps(*events):
        about_block = action in (Action.OPEN, Action.DELTA, Action.CLOSE) and block is not None
        words.append(action.name.lower() + (str(block.index) if about_block and block is not None else ""))
    return " ".join(words)


def call(block: int, arguments: str, name: str | None = None) -> Tool:
    return Tool(arguments=arguments, block=block, name=name, call_id=name and f"call_{name}")


def test_a_plain_answer() -> None:
    said = shown(Start(), Text(text="a"), Text(text="b"), STOP, DONE)
    assert said == "start open0 delta0 delta0 close0 finish end"


def test_an_answer_that_does_not_say_that_it_starts() -> None:
    assert shown(Text(text="a"), STOP, DONE) == "start open0 delta0 close0 finish end"


def test_an_empty_answer() -> None:
    assert shown(Start(), STOP, DONE) == "start finish end"


def test_an_answer_that_ends_without_a_finish_gets_one() -> None:
    assert shown(Start(), Text(text="a"), DONE) == "start open0 delta0 close0 finish end"
    assert shown(DONE) == "start finish end"


def test_blocks_follow_one_another() -> None:
    events: list[AnyEvent] = [
        Start(),
        Thinking(text="t", block=0),
        Text(text="a", block=1),
        call(2, "{}", "f"),
    ]
    said = shown(*events, STOP, DONE)
    assert said == "start open0 delta0 close0 open1 delta1 close1 open2 delta2 close2 finish end"


def test_a_failure_closes_nothing_and_nothing_follows_it() -> None:
    assert shown(Start(), call(0, '{"a', "f"), BROKEN, Text(text="late")) == "start open0 delta0 end"
    assert shown(BROKEN) == "end"


def test_calls_that_alternate_are_put_in_order() -> None:
    events: list[AnyEvent] = [
        call(0, '{"a":', "f"),
        call(1, '{"b":', "g"),
        call(0, "1}"),
        call(1, "2}"),
        STOP,
        DONE,
    ]
    told = steps(Start(), *events)
    arguments = [(step.block.index, step.event.arguments) for step in told if _is_delta(step)]  # type: ignore[union-attr]
    assert arguments == [(0, '{"a":'), (0, "1}"), (1, '{"b":'), (1, "2}")]


def test_what_is_held_back_goes_on_as_soon_as_the_call_is_complete() -> None:
    lifecycle = Lifecycle()
    first = list(lifecycle.steps([Start(), call(0, "{", "f"), call(1, "{}", "g")]))
    assert [step.action for step in first] == [Action.START, Action.OPEN, Action.DELTA]
    then = list(lifecycle.steps([call(0, "}")]))
    assert [step.action for step in then] == [Action.DELTA, Action.CLOSE, Action.OPEN, Action.DELTA]


def test_what_is_held_back_comes_at_the_latest_with_the_finish() -> None:
    said = shown(call(0, "{", "f"), call(1, "{", "g"), Text(text="a", block=2), Finish(reason="length"), DONE)
    assert said == "start open0 delta0 close0 open1 delta1 close1 open2 delta2 close2 finish end"


def test_a_custom_call_is_never_waited_for() -> None:
    free = Tool(arguments="not JSON", name="f", call_id="c", custom=True)
    assert shown(free, Text(text="a", block=1)) == "start open0 delta0 close0 open1 delta1"


def test_a_turn_of_calls_that_says_stop_means_tool_calls() -> None:
    finish = next(step for step in steps(call(0, "{}", "f"), STOP) if step.action is Action.FINISH)
    assert finish.event == Finish(reason="tool_calls")


@pytest.mark.parametrize("reason", ["length", "content_filter", "tool_calls", "pause_turn"])
def test_other_reasons_are_kept(reason: str) -> None:
    finish = next(step for step in steps(call(0, "{", "f"), Finish(reason=reason)) if _is_finish(step))
    assert finish.event == Finish(reason=reason)


def test_a_stop_sequence_stays_one_after_calls() -> None:
    stopped = Finish(reason="stop", stop="END")
    assert next(step for step in steps(call(0, "{}", "f"), stopped) if _is_finish(step)).event == stopped


def test_items_inside_a_block_leave_it_open() -> None:
    assert shown(Text(text="a"), Item(kind="citation", value={}), Text(text="b")) == (
        "start open0 delta0 item delta0"
    )


def test_pieces_of_an_unknown_block_of_ones_own_make_a_block() -> None:
    pieces = [Item(kind=OWN, value=value, block=1) for value in ("begins", "goes on")]
    said = shown(Text(text="a"), *pieces, Text(text="b", block=2))
    assert said == "start open0 delta0 close0 open1 delta1 delta1 close1 open2 delta2"


def test_pieces_of_anothers_unknown_block_take_no_place() -> None:
    foreign = Item(kind="other-dialect", value={}, block=1)
    assert shown(Text(text="a"), foreign, Text(text="b", block=2)) == (
        "start open0 delta0 close0 open1 delta1"
    )


def test_other_choices_are_not_shown() -> None:
    assert shown(Text(text="a"), Text(text="b", choice=1), Finish(reason="stop", choice=1)) == (
        "start open0 delta0"
    )


def test_the_hot_path_knows_when_nothing_changes() -> None:
    lifecycle = Lifecycle()
    assert not lifecycle.continues(Text(text="a"))
    list(lifecycle.steps([Start(), Text(text="a")]))
    assert lifecycle.continues(Text(text="b"))
    assert not lifecycle.continues(Text(text="b", block=1))
    assert not lifecycle.continues(Thinking(text="b"))
    list(lifecycle.steps([STOP]))
    assert not lifecycle.continues(Text(text="c"))


def test_every_state_is_in_the_table() -> None:
    assert set(TABLE) == set(State)
    assert all(Said.FAILED in TABLE[state] for state in State if state is not State.ENDED)


def _is_delta(step: Step) -> bool:
    return step.action is Action.DELTA


def _is_finish(step: Step) -> bool:
    return step.action is Action.FINISH


KINDS = ("text", "thinking", "tool", "own", "foreign", "item")


@st.composite
def answers(draw: st.DrawFn) -> list[AnyEvent]:
    """An answer whose deltas are interleaved at random; a block keeps its kind."""
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=6))
    order = draw(st.lists(st.integers(0, max(len(kinds) - 1, 0)), max_size=30)) if kinds else []
    arguments = {block: dumps({"key": "value" * block}) for block in range(len(kinds))}
    events: list[AnyEvent] = [Start()] if draw(st.booleans()) else []
    for block in order:
        kind = kinds[block]
        if kind == "text":
            events.append(Text(text="x", block=block))
        elif kind == "thinking":
            events.append(Thinking(text="x", block=block))
        elif kind == "tool":
            size = draw(st.integers(0, 8))
            piece, arguments[block] = arguments[block][:size], arguments[block][size:]
            events.append(Tool(arguments=piece, block=block))
        elif kind == "item":
            events.append(Item(kind="citation", value=block))
        else:
            events.append(Item(kind=OWN if kind == "own" else "other", value=block, block=block))
    if draw(st.booleans()):
        events += [Finish(reason="stop"), DONE]
    else:
        events.append(draw(st.sampled_from([DONE, BROKEN])))
    return events


@given(answers(), st.integers(1, 4))
def test_whatever_is_interleaved_blocks_are_nested_and_nothing_is_lost(
    events: Sequence[AnyEvent], batch: int
) -> None:
    lifecycle = Lifecycle(frozenset({OWN}))
    told = [
        step
        for begin in range(0, len(events), batch)
        for step in lifecycle.steps(events[begin : begin + batch])
    ]
    opened, open_index = 0, None
    for action, event, block in told:
        if action is Action.OPEN:
            assert open_index is None
            assert block is not None
            assert block.index == opened
            opened, open_index = opened + 1, block.index
        elif action is Action.DELTA:
            assert block is not None
            assert block.index == open_index
            assert type(event) is block.kind
        elif action is Action.CLOSE:
            assert block is not None
            assert block.index == open_index
            open_index = None
    actions = [step.action for step in told]
    completed = events[-1] is DONE
    assert actions.count(Action.END) == 1
    assert actions[-1] is Action.END
    assert actions.count(Action.START) == (1 if completed or len(actions) > 1 else 0)
    assert actions.count(Action.FINISH) == (1 if completed else actions.count(Action.FINISH))
    if completed:
        assert open_index is None
        mine = [event for event in events if isinstance(event, (Text, Thinking, Tool))]
        assert len([step for step in told if _is_delta(step) and not isinstance(step.event, Item)]) == len(
            mine
        )
        assert _arguments(told) == _arguments([Step(Action.DELTA, event, None) for event in events])


def _arguments(told: Sequence[Step]) -> dict[int, str]:
    """The arguments of each call, by the source's number of its block."""
    found: dict[int, str] = {}
    for step in told:
        if step.action is Action.DELTA and isinstance(step.event, Tool):
            found[step.event.block] = found.get(step.event.block, "") + step.event.arguments
    return found


# Renderings whose blocks may alternate.


def side_by_side(*events: AnyEvent) -> str:
    life = SideBySide()
    told = [each for event in events for each in life.actions(event)]
    return " ".join(f"{action.name.lower()}{choice}" for action, choice in told)


def test_nothing_is_held_back_side_by_side() -> None:
    said = side_by_side(Start(), call(0, '{"a"', "f"), call(1, "{", "g"), call(0, ":1}"), STOP, DONE)
    assert said == "start0 open0 delta0 delta0 delta0 close0 finish0 end0"


def test_every_choice_has_a_life_of_its_own_side_by_side() -> None:
    said = side_by_side(Start(), Text(text="a"), Text(text="b", choice=1), STOP, DONE)
    assert said == "start0 open0 delta0 start1 open1 delta1 close0 finish0 close1 finish1 end0"


def test_what_broke_off_is_not_finished_side_by_side() -> None:
    assert side_by_side(Start(), Text(text="a"), Text(text="b", choice=1), BROKEN) == (
        "start0 open0 delta0 start1 open1 delta1 end0"
    )


def test_nothing_is_rendered_after_an_end_side_by_side() -> None:
    assert side_by_side(DONE, Text(text="a"), STOP, DONE) == "start0 finish0 end0"
    assert side_by_side(Text(text="a"), STOP, STOP, Text(text="b"), DONE) == (
        "start0 open0 delta0 close0 finish0 end0"
    )
