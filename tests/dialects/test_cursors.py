"""Cursors: how they are written, which frame has which, and what is left behind one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.recorded import cases, header_for
from tidegate.core.event import AnyEvent, End, Finish, Start, Text
from tidegate.core.run import coalesce
from tidegate.core.usage import Usage
from tidegate.dialects import load_dialect, load_shown, renderer
from tidegate.dialects.cursor import Cursor, Numbered, read_cursor

CHAT = load_dialect("openai-chat")
SAID: list[AnyEvent] = [
    Start(model="m"),
    Text(text="世"),
    Text(text="\ud83d"),
    Finish(reason="stop"),
    End(outcome="completed", usage=Usage(1, 2)),
]


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        ("0", Cursor(0)),
        ("17", Cursor(17)),
        (" 17 ", Cursor(17)),
        ("017", Cursor(17)),
        ("17-2", Cursor(16, 2)),
        ("1-1", Cursor(0, 1)),
        ("9" * 5000, Cursor(10**15)),
        ("1-" + "9" * 5000, Cursor(0, 10**15)),
        *(
            (wrong, None)
            for wrong in ("", "-1", "x", "1.0", "17-", "-", "17-0", "0-1", "1-2-3", "１７", "+1")
        ),
    ],
)
def test_cursors_are_read(text: str, cursor: Cursor | None) -> None:
    assert read_cursor(text) == cursor


@given(st.text(max_size=8))
def test_no_text_is_a_surprise(text: str) -> None:
    cursor = read_cursor(text)
    assert cursor is None or (cursor.seq >= 0 and cursor.frames >= 0)


def test_the_last_frame_of_an_event_has_its_number_and_the_earlier_ones_are_counted() -> None:
    rendering = Numbered(renderer(CHAT, header_for(CHAT, include_usage=True)))
    body = rendering.render([Text(text="a"), End(outcome="completed", usage=Usage(1, 2))])
    ids = [line for line in body.split(b"\n") if line.startswith(b"id: ")]
    assert ids == [b"id: 1-1", b"id: 1", b"id: 2-1", b"id: 2-2", b"id: 2"]
    assert rendering.keep_alive() == CHAT.renderer(header_for(CHAT)).keep_alive().replace(
        b'"finish_reason":null}]', b'"finish_reason":null}],"usage":null'
    )


@pytest.mark.parametrize("cut", range(len(SAID)))
def test_numbers_go_on_behind_what_was_skipped(cut: int) -> None:
    header = header_for(CHAT, include_usage=True)
    whole = Numbered(renderer(CHAT, header))
    expected = [whole.render((event,)) for event in SAID]
    again = Numbered(renderer(CHAT, header))
    for item in coalesce(SAID[:cut]):
        again.skip(item)
    assert again.render(SAID[cut:]) == b"".join(expected[cut:])


def test_a_numbered_response_is_kept_as_any_other() -> None:
    dialect = load_dialect("openai-responses")
    rendering = Numbered(renderer(dialect, header_for(dialect)))
    responses = [rendering.response]
    rendering.render(SAID)
    responses.append(rendering.response)
    assert [each and each["status"] for each in responses] == [None, "completed"]


def test_events_are_told_in_ascii_with_what_their_upstream_said_beside_them() -> None:
    events = load_shown("events")
    case = next(case for case in cases(CHAT) if any(event.extra for event in case.events))
    shown = events.renderer(header_for(CHAT))
    body = shown.render([*SAID[:3], *case.events])
    assert body.isascii()
    assert body.startswith(b'data: {"seq":1,"event":"start","model":"m"}\n\ndata: {"seq":2,"event":"text",')
    assert b'{"seq":3,"event":"text","text":"\\ud83d"}' in body
    assert b'"extra":{' in body
    assert len(shown.frames(body)) == 3 + len(case.events)


def test_skipped_events_are_counted() -> None:
    events = load_shown("events")
    shown = events.renderer(header_for(CHAT))
    words: list[AnyEvent] = [Text(text="a"), Text(text="b"), Text(text="c")]
    assert [shown.skip(item) for item in coalesce(words)] == [3]
    assert shown.render(SAID[-1:]).startswith(b'data: {"seq":4,')
    assert shown.keep_alive() == b'data: {"event":"keep_alive"}\n\n'


def test_a_whole_list_of_events_comes_with_a_good_end_alone() -> None:
    events = load_shown("events")
    shown = events.renderer(header_for(CHAT, stream=False))
    assert shown.render(SAID[:-1]) == b""
    assert shown.render(SAID[-1:]).startswith(b'{"object":"list","data":[{"seq":1,')
    assert shown.keep_alive() == b""
    failing = events.renderer(header_for(CHAT, stream=False))
    assert failing.render([End(outcome="failed")]) == b""
