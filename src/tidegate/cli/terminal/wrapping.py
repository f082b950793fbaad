"""Breaks lines that hold wide characters: Chinese, Japanese and Korean text has no spaces to break at.

A simple form of the rules in https://www.unicode.org/reports/tr14/: between wide characters a line may
break, but not before closing or after opening punctuation.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

from rich.cells import get_character_cell_size

_NOT_FIRST: Final = frozenset(
    "，。、；：？！）】」』》〉〕”’…—～·,.;:?!)]}%°々ーぁぃぅぇぉっゃゅょァィゥェォッャュョ"
)
_NOT_LAST: Final = frozenset("（【「『《〈〔“‘([{$¥￥#")
_JOINER: Final = "\u200d"


def has_wide(text: str) -> bool:
    """Whether any character may be two cells wide; cheap for the usual text that has none."""
    return not text.isascii() and any(unicodedata.east_asian_width(character) in "WF" for character in text)


def break_offsets(text: str, width: int) -> Iterator[int]:
    """Where the lines of ``text`` begin, but for the first, so that each fits ``width`` cells."""
    start = 0
    while (end := _line_end(text, start, width)) < len(text):
        yield end
        start = end


def _line_end(text: str, start: int, width: int) -> int:
    """The end of the line that begins at ``start``, with the spaces behind it."""
    cells = 0
    last_chance = start
    for at in range(start, len(text)):
        size = get_character_cell_size(text[at])
        if at > start and _may_break(text, at):
            last_chance = at
        if cells + size > width and text[at] != " ":
            return last_chance if last_chance > start else max(at, start + 1)
        cells += size
    return len(text)


def _may_break(text: str, at: int) -> bool:
    """Whether a line may end before the character at ``at``."""
    before, after = text[at - 1], text[at]
    if after == " ":
        return False
    if before == " ":
        return True
    if get_character_cell_size(after) == 0 or before == _JOINER or after in _NOT_FIRST or before in _NOT_LAST:
        return False
    return get_character_cell_size(before) == 2 or get_character_cell_size(after) == 2
