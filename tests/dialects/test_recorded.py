"""Recorded answers of every vendor: the events that they mean, however they are cut, and what clients get."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pytest

from tests.dialects.feeding import feed
from tests.dialects.recorded import Case, cases, dialects
from tidegate.core.event import AnyEvent, End, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.fold import Fold
from tidegate.errors import SourceError

ALL = [case for dialect in dialects() for case in cases(dialect)]
LIMIT = 1 << 20


def every(chosen: Iterable[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(each, id=each.name) for each in chosen])


def heard(case: Case, pieces: Iterable[bytes]) -> tuple[list[AnyEvent], SourceError | None]:
    """What a new decoder makes of an answer in pieces: its events, and the error that it ends in."""
    events: list[AnyEvent] = []
    decoder = case.dialect.decoder(LIMIT)
    try:
        if case.streamed:
            for piece in pieces:
                feed(decoder, piece, events)
            if not events or type(events[-1]) is not End:
                decoder.finish(events)
        else:
            decoder.whole(b"".join(pieces), events)
    except SourceError as error:
        return events, error
    return events, None


def check(case: Case, pieces: Iterable[bytes]) -> None:
    events, error = heard(case, pieces)
    assert events == case.events
    told = {name: getattr(error, name) for name in case.error} if error is not None else {}
    assert told == case.error


def test_every_dialect_has_recordings() -> None:
    assert {case.dialect.name for case in ALL} == {dialect.name for dialect in dialects()}


@every(ALL)
def test_whole(case: Case) -> None:
    check(case, [case.sent])


@every(case for case in ALL if case.streamed)
def test_byte_by_byte(case: Case) -> None:
    check(case, (case.sent[at : at + 1] for at in range(len(case.sent))))


@every(case for case in ALL if case.streamed)
def test_frame_by_frame(case: Case) -> None:
    """As upstreams write them: the way that learns, and then recognises, what frames have in common."""
    check(case, [frame + b"\n\n" for frame in case.sent.split(b"\n\n") if frame])


@every(case for case in ALL if case.streamed)
def test_in_other_lines(case: Case) -> None:
    for end in (b"\r\n", b"\r"):
        check(case, [case.sent.replace(b"\n", end)])
    check(case, [b"\xef\xbb\xbf" + case.sent.rstrip(b"\n")])


def split_points(data: bytes) -> Iterator[int]:
    """Every point of a short answer; of a long one those around the ends of lines, and a few between."""
    for at in range(len(data) + 1):
        if len(data) < 1000 or at % 97 == 0 or b"\n" in data[max(at - 2, 0) : at + 2]:
            yield at


@every(case for case in ALL if case.streamed)
def test_cut_in_two_anywhere(case: Case) -> None:
    for at in split_points(case.sent):
        check(case, [case.sent[:at], case.sent[at:]])


@every(ALL)
def test_it_ends_once(case: Case) -> None:
    """In exactly one of: an End, which is the last event, or an error."""
    ends = [event for event in case.events if type(event) is End]
    assert len(ends) == (0 if case.error else 1)
    assert not ends or case.events[-1] is ends[0]


@every(ALL)
def test_rendering(case: Case) -> None:
    assert case.dialect.renderer(case.header).render(case.events) == case.rendered


@every(ALL)
def test_rendering_one_by_one(case: Case) -> None:
    """However events are batched; a renderer that has seen similar ones before writes the same bytes."""
    renderer = case.dialect.renderer(case.header)
    assert b"".join(renderer.render([event]) for event in case.events) == case.rendered
    halves = case.dialect.renderer(case.header)
    at = len(case.events) // 2
    assert halves.render(case.events[:at]) + halves.render(case.events[at:]) == case.rendered


@every(ALL)
def test_rendering_does_not_depend_on_identity(case: Case) -> None:
    """Events out of a log on disk are equal and not the same objects."""
    expected = case.dialect.renderer(case.header)
    decoded, _ = heard(case, [case.sent])
    assert expected.render(decoded) == case.rendered


def answer(events: Iterable[AnyEvent]) -> dict[int, dict[str, Any]]:
    """What a stream adds up to, choice by choice; a finish in our words, a made-up id as none."""
    fold = Fold()
    fold.add(list(events))
    return {
        index: {
            "text": "".join(choice.text),
            "thinking": "".join(choice.thinking),
            "calls": [
                (call.name or "", "".join(call.arguments), call.extra, call.inside)
                for call in choice.calls.values()
            ],
            "logprobs": choice.logprobs,
            "delta": choice.extra.get("delta", {}),
            "reason": "stop" if choice.reason == "end_turn" else choice.reason,
        }
        for index, choice in fold.choices.items()
    }


@every(case for case in ALL if not case.error)
def test_what_is_rendered_says_what_was_said(case: Case) -> None:
    """Decoded again, the answer adds up to the same. A gateway behind a gateway changes nothing."""
    events: list[AnyEvent] = []
    decoder = case.dialect.decoder(LIMIT)
    feed(decoder, case.rendered, events)
    if type(events[-1]) is not End:  # where only the end of the body tells that there is no more
        decoder.finish(events)
    assert answer(events) == answer(case.events)
    first, last, expected = events[0], events[-1], case.events[-1]
    assert isinstance(first, Start)
    assert isinstance(last, End)
    assert isinstance(expected, End)
    assert last.outcome == "completed"
    if case.header.include_usage:
        assert expected.usage is not None
        assert last.usage is not None
        assert msgspec.structs.replace(last.usage, extra=None) == msgspec.structs.replace(
            expected.usage, extra=None
        )
        assert last.extra == expected.extra


@every(case for case in ALL if not case.error)
def test_a_whole_answer_is_the_fold_of_the_stream(case: Case) -> None:
    """Rendered in one piece and read again it is the answer that the stream adds up to."""
    renderer = case.dialect.renderer(msgspec.structs.replace(case.header, stream=False))
    parts = [renderer.render([event]) for event in case.events]
    assert not any(parts[:-1])
    events: list[AnyEvent] = []
    case.dialect.decoder(LIMIT).whole(parts[-1], events)
    assert answer(events) == answer(case.events)


@every(ALL)
def test_blocks_follow_each_other(case: Case) -> None:
    """Numbered from 0 in each choice, each block of one kind, and nothing after its choice has finished."""
    kinds: dict[tuple[int, int], type] = {}
    finished: set[int] = set()
    for event in case.events:
        if isinstance(event, (Text, Thinking, Tool, Item)) and event.block is not None:
            assert kinds.setdefault((event.choice, event.block), type(event)) is type(event)
        if isinstance(event, (Text, Thinking, Tool, Item, Finish)):
            assert event.choice not in finished
        if isinstance(event, Finish):
            finished.add(event.choice)
    for choice in {choice for choice, _ in kinds}:
        blocks = [block for each, block in kinds if each == choice]
        assert blocks == list(range(len(blocks)))
