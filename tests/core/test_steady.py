"""Templates: what is the same in all frames, and places for what is not."""

from __future__ import annotations

import pytest

from tidegate.core.steady import TEXT, WORD, Marks, cut

MARKS = Marks("the-text", "the-word")


def test_cut_leaves_a_place_where_a_mark_stood() -> None:
    assert cut(f'{{"text":"{MARKS.text}"}}'.encode(), MARKS) == (b'{"text":"', TEXT, b'"}')


def test_cut_finds_text_and_word_in_either_order() -> None:
    text_first = f'"{MARKS.text}" "{MARKS.word}"'.encode()
    word_first = f'"{MARKS.word}" "{MARKS.text}"'.encode()
    assert cut(text_first, MARKS) == (b'"', TEXT, b'" "', WORD, b'"')
    assert cut(word_first, MARKS) == (b'"', WORD, b'" "', TEXT, b'"')


@pytest.mark.parametrize("made", [f"{MARKS.text} {MARKS.text}", f"{MARKS.text} {MARKS.word} {MARKS.word}"])
def test_cut_refuses_what_shows_something_twice(made: str) -> None:
    assert cut(made.encode(), MARKS) is None


@pytest.mark.parametrize("made", [b"", b"nothing", MARKS.word.encode()])
def test_cut_refuses_what_does_not_show_the_text(made: bytes) -> None:
    assert cut(made, MARKS) is None


def test_what_is_made_of_a_template_is_what_it_was_cut_from() -> None:
    made = f'data: {{"a":"{MARKS.text}","b":"{MARKS.word}"}}\n\n'.encode()
    template = cut(made, MARKS)
    assert template is not None
    marks = {TEXT: MARKS.text.encode(), WORD: MARKS.word.encode()}
    assert b"".join(marks[each] if isinstance(each, int) else each for each in template) == made
