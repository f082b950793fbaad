"""Templates: what is the same in all frames, and places for what is not."""

from __future__ import annotations

import pytest

from tidegate.core.steady import TEXT, TEXT_MARK, WORD, WORD_MARK, cut


def test_cut_leaves_a_place_where_a_mark_stood() -> None:
    assert cut(f'{{"text":"{TEXT_MARK}"}}'.encode()) == (b'{"text":"', TEXT, b'"}')


def test_cut_finds_text_and_word_in_either_order() -> None:
    text_first = f'"{TEXT_MARK}" "{WORD_MARK}"'.encode()
    word_first = f'"{WORD_MARK}" "{TEXT_MARK}"'.encode()
    assert cut(text_first) == (b'"', TEXT, b'" "', WORD, b'"')
    assert cut(word_first) == (b'"', WORD, b'" "', TEXT, b'"')


@pytest.mark.parametrize(
    "made", [f"{TEXT_MARK} {TEXT_MARK}", f"{TEXT_MARK} {WORD_MARK} {WORD_MARK}"], ids=["text", "word"]
)
def test_cut_refuses_what_shows_something_twice(made: str) -> None:
    assert cut(made.encode()) is None


@pytest.mark.parametrize("made", [b"", b"nothing", WORD_MARK.encode()], ids=["empty", "other", "word"])
def test_cut_refuses_what_does_not_show_the_text(made: bytes) -> None:
    assert cut(made) is None


def test_what_is_made_of_a_template_is_what_it_was_cut_from() -> None:
    made = f'data: {{"a":"{TEXT_MARK}","b":"{WORD_MARK}"}}\n\n'.encode()
    template = cut(made)
    assert template is not None
    marks = {TEXT: TEXT_MARK.encode(), WORD: WORD_MARK.encode()}
    assert b"".join(marks[each] if isinstance(each, int) else each for each in template) == made


def test_nobody_can_say_a_mark() -> None:
    """They are made anew in each process, so no upstream's or caller's words are ever cut by mistake."""
    assert len({TEXT_MARK, WORD_MARK}) == 2
    assert min(len(TEXT_MARK), len(WORD_MARK)) > 32
