"""What of a continuation was shown before: told by what it says, the same however it is cut into pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidegate.core.overlap import LEAST, MOST, Overlap
from tidegate.errors import Broken

BEGUN = "The quick brown fox jumps over the lazy dog, and then"


def through(overlap: Overlap, *pieces: str) -> str:
    return "".join([*map(overlap.feed, pieces), overlap.finish()])


def test_what_goes_on_is_shown_at_once() -> None:
    overlap = Overlap(BEGUN)
    assert overlap.feed(" it") == " it"
    assert overlap.feed(" " + BEGUN) == " " + BEGUN


@pytest.mark.parametrize(
    "said",
    [
        BEGUN + " it sleeps",
        " lazy dog, and then it sleeps",
        "over the lazy dog, and then it sleeps",
        " it sleeps",
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_repeated_words_are_taken_away(said: str, size: int) -> None:
    pieces = [said[at : at + size] for at in range(0, len(said), size)]
    assert through(Overlap(BEGUN), *pieces) == " it sleeps"


def test_a_beginning_of_any_length_may_be_repeated() -> None:
    begun = " ".join(f"word{number}" for number in range(2000))
    pieces = [begun[at : at + 10] for at in range(0, len(begun), 10)]
    assert through(Overlap(begun), *pieces, " and on") == " and on"


def test_its_end_only_up_to_a_bound() -> None:
    begun = " ".join(f"word{number}" for number in range(200))
    assert through(Overlap(begun), begun[-MOST:], "!") == "!"
    longer = begun[-MOST - 1 :] + "!"
    assert through(Overlap(begun), longer) == longer


@pytest.mark.parametrize(
    ("begun", "said"),
    [
        ("It is very", " very long"),
        ("ha ha ha", " ha ha"),
        ("| ---------------- |", " ---------------- |\n"),
        ("0, 0, 0, 0, 0, 0, 0,", " 0, 0, 0, 0, 0, 0, 0, 0"),
        ("foo(bar, baz, 12);\nfoo(bar, baz, 12);", "\nfoo(bar, baz, 12);"),
        ("to", "o late"),
        ("Hello", "Hello"),
    ],
)
def test_text_that_repeats_itself_is_left_alone(begun: str, said: str) -> None:
    assert through(Overlap(begun), said) == said


def test_a_source_that_echoes_may_have_begun_with_little() -> None:
    assert through(Overlap("To", echoes=True), "T", "o be") == " be"
    assert through(Overlap("To", echoes=True), " be") == " be"


@pytest.mark.parametrize(
    ("tail", "said", "new"),
    [
        ("\n\n", "\n\nNext", "Next"),
        ("\n\n", "\n", ""),
        ("\n", "\n\nNext", "\nNext"),
        (" ", "Next", "Next"),
        ("\n    ", "\n  Next", "Next"),
        ("\n\n", BEGUN + "\n\nNext", "Next"),
        ("\n\n", "the lazy dog, and then\n\nNext", "Next"),
    ],
)
def test_white_space_that_was_shown_is_not_shown_again(tail: str, said: str, new: str) -> None:
    assert through(Overlap(BEGUN, tail), said) == new
    assert through(Overlap(BEGUN, tail), *said) == new


@pytest.mark.parametrize(
    "said",
    [
        "The quick brown fox jumps over a fence",
        "The quick brown fox jumps over",
        "<think>\nThe user wants",
        "\n\n<|im_start|>assistant\n",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_an_answer_that_begins_anew_is_refused(said: str, size: int) -> None:
    with pytest.raises(Broken):
        through(Overlap(BEGUN), *(said[at : at + size] for at in range(0, len(said), size)))


def test_what_only_looks_like_a_mark_is_shown() -> None:
    overlap = Overlap(BEGUN)
    assert overlap.feed(" <thi") == ""
    assert overlap.feed("s>") == " <this>"
    assert through(Overlap(BEGUN), "<thi") == "<thi"


def outcome(overlap: Overlap, pieces: list[str]) -> str:
    try:
        return through(overlap, *pieces)
    except Broken as error:
        return error.message


LETTERS = st.text("ab \n<think>0,", max_size=40)


@given(begun=LETTERS, more=LETTERS, cuts=st.lists(st.integers(0, 200)), repeat=st.integers(0, 80))
@example(begun="abcdefghijklmnop", more="x", cuts=[1, 2, 14], repeat=16)
def test_the_pieces_make_no_difference(begun: str, more: str, cuts: list[int], repeat: int) -> None:
    given_, tail = begun.rstrip(), begun[len(begun.rstrip()) :]
    said = given_[max(len(given_) - repeat, 0) :] + tail + more
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(said)), len(said)]
    pieces = [said[one:other] for one, other in pairwise(edges)]
    whole = outcome(Overlap(given_, tail), [said])
    assert outcome(Overlap(given_, tail), pieces) == whole
    assert outcome(Overlap(given_, tail), list(said)) == whole


WORDS = st.lists(
    st.sampled_from(["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "漢字", "🌊"]), min_size=1
)


@given(words=WORDS, at=st.integers(0, 400), back=st.integers(0, MOST), step=st.integers(1, 9))
def test_a_numbered_text_is_shown_whole_wherever_it_broke_and_whatever_is_repeated(
    words: list[str], at: int, back: int, step: int
) -> None:
    """Every word has a number, so that nothing in the text repeats itself."""
    text = " ".join(f"{word}{number}" for number, word in enumerate(words))
    shown = text[: at % (len(text) + 1)]
    begun = shown.rstrip()
    if 0 < back < LEAST:  # too little to be told from text that repeats itself
        back = 0
    said = text[max(len(begun) - back, 0) :]
    if len(begun) < LEAST or len(set(begun[-max(back, 1) :])) < 8:
        said = text[len(begun) :]
    overlap = Overlap(begun, shown[len(begun) :])
    assert shown + through(overlap, *(said[k : k + step] for k in range(0, len(said), step))) == text
