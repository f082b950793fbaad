"""Cuts texts into passages of a bounded length, at the largest breaks that they have.

A passage begins with the last whole pieces of the one before, as far as the overlap allows. Lengths are
counted in characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Breaks = Sequence[re.Pattern[str]]
"""Where to cut: behind what matches, the first pattern first."""

_LINES = (r"\n\s*\n", r"\n")
_SENTENCE = r"(?:[.!?…][\"')\]”’»]*(?=\s)|[。！？][”’」』）]*)\s*"


def _patterns(*sources: str) -> Breaks:
    return tuple(re.compile(source) for source in sources)


WORDS = _patterns(*_LINES, r"\s+")
SENTENCES = _patterns(_SENTENCE, *_LINES, r"[;,；，、]\s*", r"\s+")
CHINESE = _patterns(*_LINES, r"[。！？]", r"[.!?]\s", r"[；]|;\s", r"[，]|,\s", r"\s+")

_HEADING = re.compile(r"(#{1,4})\s+(.*?)\s*#*\s*")
_FENCE = re.compile(r"\s*(```|~~~)")


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a text, with the headings that it stands below, by their level from 1 to 4."""

    text: str
    headings: dict[int, str] = field(default_factory=dict)


def split(text: str, breaks: Breaks, size: int, overlap: int) -> list[Passage]:
    """Passages of at most ``size`` characters; ``overlap`` must be less."""
    pieces = list(_pieces(text, breaks, size))
    joined = (run.strip() for run in _runs(pieces, size, overlap))
    return [Passage(each) for each in joined if each]


def split_markdown(text: str, size: int, overlap: int) -> list[Passage]:
    """The same for Markdown: no passage reaches over a heading, and each tells those above it."""
    return [
        Passage(passage.text, headings)
        for headings, section in sections(text)
        for passage in split(section, WORDS, size, overlap)
    ]


def _pieces(text: str, breaks: Breaks, size: int) -> Iterator[str]:
    """The text in pieces that fit, each as large as its breaks allow."""
    if len(text.strip()) <= size:
        if text:
            yield text
        return
    if not breaks:
        for at in range(0, len(text), size):
            yield text[at : at + size]
        return
    begin = 0
    for match in breaks[0].finditer(text):
        yield from _pieces(text[begin : match.end()], breaks[1:], size)
        begin = match.end()
    yield from _pieces(text[begin:], breaks[1:], size)


def _runs(pieces: Sequence[str], size: int, overlap: int) -> Iterator[str]:
    """Neighbours joined for as long as they fit; the next run repeats the end of the one before."""
    run: list[str] = []
    length = 0
    for piece in pieces:
        shown = len(piece.rstrip())
        if run and length + shown > size:
            yield "".join(run)
            while run and (length > overlap or length + shown > size):
                length -= len(run.pop(0))
        run.append(piece)
        length += len(piece)
    if run:
        yield "".join(run)


def sections(text: str, above: Mapping[int, str] | None = None) -> Iterator[tuple[dict[int, str], str]]:
    """The parts between headings, each with its heading's line and the headings that it is below.

    ``above`` are those that are in force where the text begins. A line within a code fence is no heading.
    """
    headings = dict(above or {})
    lines: list[str] = []
    fenced = False
    for line in text.splitlines(keepends=True):
        fenced ^= _FENCE.match(line) is not None
        found = None if fenced else _HEADING.fullmatch(line.rstrip("\n"))
        if found is not None:
            if lines:
                yield dict(headings), "".join(lines)
            lines = []
            level = len(found[1])
            headings = {each: title for each, title in headings.items() if each < level}
            headings[level] = found[2]
        lines.append(line)
    if lines:
        yield dict(headings), "".join(lines)
