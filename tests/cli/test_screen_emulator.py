"""The terminal emulator of these tests does what a terminal does, so that what it shows can be believed."""

from __future__ import annotations

import pytest

from tests.cli.screen import Screen


def shown(text: str, columns: int = 10, rows: int = 3) -> Screen:
    screen = Screen(columns, rows)
    screen.feed(text)
    return screen


def test_lines_scroll_up_and_are_kept() -> None:
    screen = shown("1\r\n2\r\n3\r\n4")
    assert screen.visible == ["2", "3", "4"]
    assert screen.lines == ["1", "2", "3", "4"]


def test_long_lines_and_wide_characters_wrap() -> None:
    assert shown("abcdefghijk").lines == ["abcdefghij", "k"]
    assert shown("123456789世界").lines == ["123456789", "世界"]


def test_erased_lines_are_written_over() -> None:
    assert shown("one\r\ntwo\r\x1b[2K\x1b[1A\x1b[2Kthree").lines == ["three", ""]


def test_a_sequence_may_come_in_two_parts() -> None:
    screen = shown("one\x1b[")
    screen.feed("2K\rtwo")
    assert screen.lines == ["two"]


def test_moving_above_the_screen_is_an_error() -> None:
    with pytest.raises(AssertionError, match="above the top"):
        shown("one\x1b[1A")
