"""Events are values: frozen, JSON-shaped, told apart by their tag."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tidegate.core.event import AnyEvent, End, Failure, Finish, Item, Start, Text, Thinking, Tool, failure
from tidegate.core.usage import Usage
from tidegate.errors import Rejected, TidegateError, TimedOut

names = st.text(st.characters(codec="utf-8"), max_size=12)
extras = st.none() | st.dictionaries(
    st.sampled_from(["chunk", "choice", "delta", "tool"]), st.dictionaries(names, st.integers() | names)
)
choices = st.integers(0, 127)
counts = st.integers(0, 1 << 40)
usages = st.builds(Usage, counts, counts, counts, counts, st.none() | st.dictionaries(names, counts))
failures = st.builds(Failure, names, names, st.none() | names, st.none() | names, st.integers(400, 599))
events: st.SearchStrategy[AnyEvent] = st.one_of(
    st.builds(Start, model=st.none() | names, extra=extras),
    st.builds(
        Text, text=names, choice=choices, block=choices, logprobs=st.none() | st.just({}), extra=extras
    ),
    st.builds(Thinking, text=names, choice=choices, signature=st.none() | names, extra=extras),
    st.builds(Tool, arguments=names, choice=choices, call_id=st.none() | names, name=st.none() | names),
    st.builds(Item, kind=names, value=st.none() | names | st.lists(names), choice=choices),
    st.builds(Finish, reason=names, choice=choices, stop=st.none() | names, extra=extras),
    st.builds(
        End,
        outcome=st.sampled_from(["completed", "failed", "cancelled", "interrupted"]),
        usage=st.none() | usages,
        error=st.none() | failures,
    ),
)


@examples(100)
@given(events)
def test_a_log_can_keep_any_event_as_json(event: AnyEvent) -> None:
    assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event


@examples(50)
@given(events)
def test_events_cannot_be_changed(event: AnyEvent) -> None:
    with pytest.raises(AttributeError):
        setattr(event, "extra", {})  # noqa: B010 - a checker would refuse the assignment


def test_defaults_cost_no_bytes() -> None:
    assert msgspec.json.encode(Text(text="a")) == b'{"event":"text","text":"a"}'
    assert msgspec.json.encode(Start()) == b'{"event":"start"}'


@pytest.mark.parametrize(
    "error",
    [
        TimedOut("late", code="idle"),
        Rejected("no", status=429, type="rate_limit_error", param="n", retry_after=1.5),
        TidegateError("x"),
    ],
)
def test_a_failure_says_what_its_exception_said(error: TidegateError) -> None:
    told: dict[str, Any] = msgspec.structs.asdict(failure(error))
    assert told == {name: getattr(error, name) for name in told}
