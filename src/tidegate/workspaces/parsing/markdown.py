"""Writes what was read as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

_LONGEST_TABLE: Final = 800
"""Characters after which a table begins anew with its header, so that a passage of it tells its columns."""

_LONGEST_HEADER: Final = 300
_BLANK: Final = re.compile(r"\n[^\S\n]*\n(?:[^\S\n]*\n)+")


def heading(text: str, level: int) -> str:
    """A heading in one line; empty for none."""
    words = one_line(text)
    return f"{'#' * min(max(level, 1), 6)} {words}" if words else ""


def one_line(text: str) -> str:
    return " ".join(text.split())


def joined(blocks: Iterable[str]) -> str:
    """Paragraphs with a blank line between each two; those that are empty are left out."""
    return "\n\n".join(each for block in blocks if (each := block.strip("\n").rstrip()))


def fewer_blanks(text: str) -> str:
    """At most one blank line in a row."""
    return _BLANK.sub("\n\n", text).strip()


def tables(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Rows as tables of at most some 800 characters, each with the first row as its header."""
    header = ""
    lines: list[str] = []
    length = 0
    for row in trimmed(rows):
        line = f"| {' | '.join(_cell(each) for each in row)} |"
        if not header:
            header = f"{line}\n|{' --- |' * len(row)}"
            continue
        if lines and length + len(line) > _LONGEST_TABLE and len(header) <= _LONGEST_HEADER:
            yield "\n".join([header, *lines])
            lines, length = [], 0
        lines.append(line)
        length += len(line) + 1
        if length > 50 * _LONGEST_TABLE:  # a header too long to be repeated, and yet the rows must go on
            yield "\n".join([header, *lines])
            lines, length = [], 0
    if header:
        yield "\n".join([header, *lines])


def trimmed(rows: Iterable[Sequence[str]]) -> Iterator[Sequence[str]]:
    """Rows without those that are empty, and without empty cells at their ends."""
    for row in rows:
        end = len(row)
        while end and not row[end - 1].strip():
            end -= 1
        if end:
            yield row[:end]


def _cell(text: str) -> str:
    return one_line(text).replace("|", "\\|")
