"""Every recorded answer, shown in every dialect and read again there: the same text, thinking and calls.

The second reading is that of the dialect's own decoder, which takes what its upstreams send."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.feeding import feed
from tests.dialects.recorded import Case, cases, dialects, header_for
from tidegate.core.event import AnyEvent, End, Finish, Text, Thinking, Tool
from tidegate.dialects import Dialect

LIMIT = 1 << 22
ALL = [case for dialect in dialects() for case in cases(dialect) if not case.error]
SHOWN = [dialect for dialect in dialects() if "tools" not in dialect.lacks]
"""Dialects that can show whatever a model says."""


@dataclass
class Facts:
    """What an answer says, whatever the dialect."""

    text: str = ""
    thinking: str = ""
    calls: dict[int, list[Any]] = field(default_factory=dict)
    reason: str = ""
    outcome: str = ""


def facts(events: Iterable[AnyEvent]) -> Facts:
    """Of the first choice, for some dialects have but one."""
    found = Facts()
    for event in events:
        if isinstance(event, End):
            found.outcome = event.outcome
        elif getattr(event, "choice", 0) != 0:
            continue
        elif isinstance(event, Text):
            found.text += event.text
        elif isinstance(event, Thinking):
            found.thinking += event.text
        elif isinstance(event, Tool):
            call = found.calls.setdefault(event.block, [event.name or "", ""])
            call[1] += event.arguments
        elif isinstance(event, Finish):
            found.reason = event.reason
    return found


def shown(dialect: Dialect, events: Sequence[AnyEvent], batch: int) -> bytes:
    """A stream in a dialect, rendered in batches of so many events."""
    renderer = dialect.renderer(header_for(dialect, include_usage=True))
    starts = range(0, len(events), batch)
    return b"".join(renderer.render(events[start : start + batch]) for start in starts)


def read(dialect: Dialect, pieces: Iterable[bytes]) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    decoder = dialect.decoder(LIMIT)
    for piece in pieces:
        feed(decoder, piece, events)
    if not events or type(events[-1]) is not End:
        decoder.finish(events)
    return events


def calls(found: Facts, *, as_values: bool) -> list[tuple[str, Any]]:
    """The calls in order; a dialect that holds arguments as values writes their text anew.

    No arguments are an empty object."""
    told = [(name, arguments or "{}") for name, arguments in found.calls.values()]
    return [(name, json.loads(text or "{}")) for name, text in told] if as_values else told


def whole_calls(found: Facts) -> bool:
    """Whether all arguments are JSON: a call that was cut at a limit is not."""
    try:
        calls(found, as_values=True)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("dialect", SHOWN, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_an_answer_says_the_same_in_every_dialect(case: Case, dialect: Dialect) -> None:
    said = facts(case.events)
    body = shown(dialect, case.events, batch=1)
    assert body == shown(dialect, case.events, batch=len(case.events))
    for step in (len(body), 1, 7):
        again = facts(read(dialect, (body[at : at + step] for at in range(0, len(body), step))))
        assert (again.text, again.thinking) == (said.text, said.thinking)
        assert again.outcome == said.outcome
        if whole_calls(said):
            values = dialect.name == "gemini"
            assert calls(again, as_values=values) == calls(said, as_values=values)


@st.composite
def answers(draw: st.DrawFn) -> list[AnyEvent]:
    """Text, thinking and calls in blocks at random, their texts cut anywhere."""
    events: list[AnyEvent] = []
    for block, kind in enumerate(draw(st.lists(st.sampled_from(["text", "thinking", "tool"]), max_size=5))):
        words = draw(st.text(min_size=1, max_size=20))
        if kind == "tool":
            text = json.dumps({"value": words}, ensure_ascii=False)
            events.append(Tool(arguments="", block=block, call_id=f"call_{block}", name="f"))
        else:
            text = words
        for piece in _cut(text, draw(st.integers(1, 6))):
            if kind == "text":
                events.append(Text(text=piece, block=block))
            elif kind == "thinking":
                events.append(Thinking(text=piece, block=block))
            else:
                events.append(Tool(arguments=piece, block=block))
    reason = "tool_calls" if any(isinstance(event, Tool) for event in events) else "stop"
    return [*events, Finish(reason=reason), End(outcome="completed")]


def _cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("dialect", SHOWN, ids=lambda dialect: dialect.name)
@given(events=answers(), batch=st.integers(1, 5), step=st.integers(1, 40))
def test_any_answer_survives_any_dialect_and_any_cut(
    dialect: Dialect, events: list[AnyEvent], batch: int, step: int
) -> None:
    body = shown(dialect, events, batch)
    again = facts(read(dialect, (body[at : at + step] for at in range(0, len(body), step))))
    said = facts(events)
    values = dialect.name == "gemini"
    assert (again.text, again.thinking, again.reason) == (said.text, said.thinking, said.reason)
    assert calls(again, as_values=values) == calls(said, as_values=values)


@pytest.mark.parametrize("dialect", SHOWN, ids=lambda dialect: dialect.name)
@given(events=answers(), batch=st.integers(1, 5))
def test_a_whole_answer_says_what_the_stream_says(
    dialect: Dialect, events: list[AnyEvent], batch: int
) -> None:
    renderer = dialect.renderer(header_for(dialect, stream=False))
    body = b"".join(renderer.render(events[at : at + batch]) for at in range(0, len(events), batch))
    again: list[AnyEvent] = []
    dialect.decoder(LIMIT).whole(body, again)
    said, found = facts(events), facts(again)
    assert (found.text, found.thinking, found.reason) == (said.text, said.thinking, said.reason)
    assert calls(found, as_values=True) == calls(said, as_values=True)
    assert msgspec.json.decode(body)
