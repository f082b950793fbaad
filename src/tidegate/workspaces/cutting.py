"""Cuts the pages of a document into the passages that are searched for and shown to models.

A passage lies within one page and below one heading. It ends at the largest break that leaves it at least
half full: the end of a paragraph, of a sentence, of a line, of a clause, of a word. It begins with the
last sentences of the one before it, as far as the overlap allows.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tidegate.workspaces.document import Entry, Page
from tidegate.workspaces.splitting import Breaks, sections

SIZE: Final = 1000
"""Characters of a passage at most."""
OVERLAP: Final = 100
"""Characters of the passage before that one repeats at most."""

_BREAKS: Final[Breaks] = tuple(
    re.compile(each)
    for each in (
        r"\n\s*\n",
        r"(?:[.!?…][\"')\]”’»]*(?=\s)|[。！？｡][”’」』）]*)\s*",
        r"\n",
        r"[;,:](?=\s)\s*|[；，、：]",
        r"\s+",
    )
)
_INK: Final = re.compile(r"\S")
_WITHIN_A_WORD: Final = re.compile(r"\w(?=\w)")
"""Where no break is under way."""
_PIECE: Final = 32 * 1024
"""Characters that are searched in one go: for so long no other thread runs, and streams wait."""


def cut(pages: Iterable[Page], size: int = SIZE, overlap: int = OVERLAP) -> list[Entry]:
    """The passages of a document in their order, of ``size`` characters at most, numbered from 0.

    No text is lost, but for space at the edges of passages and lines that hold nothing else. An overlap of
    more than half the size would never get on, and is cut to that. Raises ValueError for a size below 1.
    """
    if size < 1:
        raise ValueError(f"a passage of {size} characters holds nothing")
    entries: list[Entry] = []
    above: dict[int, str] = {}
    for page in pages:
        for headings, section in _joined(page.text, above, size):
            above = headings
            heading = " > ".join(title for _, title in sorted(headings.items()) if title)
            for begin, end in _spans(section, size, min(overlap, (size - 1) // 2)):
                entries.append(Entry(len(entries), section[begin:end], heading, page.number))
    return entries


def _joined(text: str, above: dict[int, str], size: int) -> Iterator[tuple[dict[int, str], str]]:
    """The sections of a page. One that is nothing but its heading goes with the next, where both fit."""
    waiting, below = "", above
    for headings, section in sections(text, above):
        if waiting and len(waiting) + len(section) > size:
            yield below, waiting
            waiting = ""
        waiting, below = waiting + section, headings
        if not (section.startswith("#") and "\n" not in section.strip()):
            yield below, waiting
            waiting = ""
    if waiting:
        yield below, waiting


def _spans(text: str, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Where each passage begins and ends, without space at its edges."""
    pieces = list(_pieces(text))
    ends = [[match.end() for piece in pieces for match in each.finditer(text, *piece)] for each in _BREAKS]
    begin, reached, length = 0, 0, len(text.rstrip())
    while reached < length and (found := _INK.search(text, begin)) is not None:
        begin = found.start()
        if length - begin <= size:
            yield begin, length
            return
        reached = _end(ends, begin, max(reached, begin), begin + size)
        yield begin, begin + len(text[begin:reached].rstrip())
        begin = _again(ends, reached, overlap)


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Parts of a text, in each of which breaks are found as they would be in the whole."""
    begin, length = 0, len(text)
    while begin < length:
        found = _WITHIN_A_WORD.search(text, min(begin + _PIECE, length))
        end = found.end() if found is not None else length
        yield begin, end
        begin = end


def _end(ends: Sequence[Sequence[int]], begin: int, reached: int, limit: int) -> int:
    """Where a passage ends that begins at ``begin``: behind ``reached``, at ``limit`` at the latest."""
    for least in ((begin + limit) // 2, begin):
        for each in ends:
            at = bisect_right(each, limit) - 1
            if at >= 0 and each[at] > max(least, reached):
                return each[at]
    return limit


def _again(ends: Sequence[Sequence[int]], reached: int, overlap: int) -> int:
    """Where the next passage begins: as far before ``reached`` as there is a whole piece to repeat."""
    for each in ends:
        at = bisect_left(each, reached - overlap)
        if at < len(each) and each[at] < reached:
            return each[at]
    return reached
