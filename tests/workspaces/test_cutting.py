"""How documents are cut: where passages end, what they know of their place, and that no text is lost."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tidegate.workspaces import cutting
from tidegate.workspaces.cutting import cut
from tidegate.workspaces.document import Page

TEXTS = st.text(st.sampled_from("ab .,;!?\n#`。！？，中文\u3000é"), max_size=400)
SIZES = st.integers(1, 120)


def texts(text: str, size: int, overlap: int = 0) -> list[str]:
    return [entry.text for entry in cut([Page(text)], size, overlap)]


def test_a_short_document_is_one_passage() -> None:
    [entry] = cut([Page("Only this.\n")])
    assert (entry.number, entry.text, entry.heading, entry.page) == (0, "Only this.", "", None)


def test_an_empty_document_has_no_passage() -> None:
    assert cut([]) == []
    assert cut([Page(" \n\n"), Page("")]) == []


def test_paragraphs_stay_whole_where_they_fit() -> None:
    assert texts("One two three.\n\nFour five six.\n\nSeven.", 24) == [
        "One two three.",
        "Four five six.\n\nSeven.",
    ]


def test_a_long_paragraph_ends_with_a_sentence() -> None:
    assert texts("First of all. Then the second one. And a third.", 36) == [
        "First of all. Then the second one.",
        "And a third.",
    ]


def test_chinese_and_japanese_sentences_end_too() -> None:
    assert texts("这是第一句话。这是第二句话！这是第三句话吗？", 15) == [
        "这是第一句话。这是第二句话！",
        "这是第三句话吗？",
    ]
    assert texts("猫が好きです。犬も好きです。", 8) == ["猫が好きです。", "犬も好きです。"]


def test_a_passage_begins_with_the_end_of_the_one_before() -> None:
    found = texts("Alpha is here. Beta is there. Gamma is far. Delta is near.", 32, 15)
    assert found == [
        "Alpha is here. Beta is there.",
        "Beta is there. Gamma is far.",
        "Gamma is far. Delta is near.",
    ]


def test_headings_and_pages_are_kept() -> None:
    pages = [
        Page("# Manual\n\n## Setup\nPlug it in.\n\n### Cables\nUse two.", 1),
        Page("Three on bad days.\n\n## Use\nPush.", 2),
    ]
    assert [(each.heading, each.page) for each in cut(pages)] == [
        ("Manual > Setup", 1),
        ("Manual > Setup > Cables", 1),
        ("Manual > Setup > Cables", 2),
        ("Manual > Use", 2),
    ]


def test_a_heading_alone_goes_with_what_follows() -> None:
    assert texts("# Manual\n\n## Setup\nPlug it in.", 100) == ["# Manual\n\n## Setup\nPlug it in."]


def test_a_comment_in_code_is_no_heading() -> None:
    [entry] = cut([Page("# Scripts\n\n```sh\n# not a heading\nls\n```\n")])
    assert entry.heading == "Scripts"


def test_a_size_that_holds_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="holds nothing"):
        cut([Page("a")], 0)


@given(st.lists(TEXTS, max_size=3), SIZES, st.integers(0, 200))
@examples(300)
def test_nothing_is_lost_and_bounds_hold(pages: list[str], size: int, overlap: int) -> None:
    entries = cut([Page(text, at) for at, text in enumerate(pages, 1)], size, overlap)
    assert [entry.number for entry in entries] == list(range(len(entries)))
    for at, text in enumerate(pages, 1):
        reached = last = 0
        for entry in (each for each in entries if each.page == at):
            assert entry.text == entry.text.strip()
            assert 0 < len(entry.text) <= size
            # Where it can be at the latest, if only space lies between it and the one before.
            latest = reached + len(text[reached:]) - len(text[reached:].lstrip())
            begin = text.rfind(entry.text, last, latest + len(entry.text))
            assert begin >= 0
            assert reached - begin <= overlap
            last, reached = begin, max(reached, begin + len(entry.text))
        assert not text[reached:].strip()


@given(TEXTS, SIZES)
@examples(100)
def test_without_overlap_the_passages_are_the_text(text: str, size: int) -> None:
    assert "".join("".join(texts(text, size)).split()) == "".join(text.split())


@given(TEXTS, SIZES, st.integers(0, 60))
@examples(200)
def test_a_text_is_cut_alike_however_it_is_searched(text: str, size: int, overlap: int) -> None:
    whole = texts(text, size, overlap)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "_PIECE", 1)
        assert texts(text, size, overlap) == whole


def test_a_long_text_is_searched_in_pieces_so_that_other_threads_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "The tide is high at noon. " * 20_000
    searched: list[int] = []

    class Pattern:
        def finditer(self, text: str, begin: int = 0, end: int = sys.maxsize) -> list[re.Match[str]]:
            searched.append(min(end, len(text)) - begin)
            return []

    monkeypatch.setattr(cutting, "_BREAKS", (Pattern(),))
    cut([Page(text)])
    assert sum(searched) == len(text.rstrip()) + 1
    assert max(searched) < 40_000
