"""Reads PDFs: the text of each page, with the bookmarks that stand on it as headings."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from tidegate.workspaces.document import Page, Parsed
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.markdown import fewer_blanks, heading, one_line

_MOST_BOOKMARKS: Final = 5_000
_DEEPEST_BOOKMARK: Final = 6
_DATE: Final = re.compile(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(?:(\d\d)(\d\d)(\d\d)?)?")

_UNTOLD: Final = frozenset({"", "anonymous", "unspecified", "untitled", "unknown"})

_HYPHEN: Final = re.compile("[\ufffe\x02\xad]\n?")
"""What stands for a hyphen at the end of a line that is none of the word's own."""

_HAN: Final = "\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef"
_WRAPPED: Final = re.compile(f"(?<=[{_HAN}])\n(?=[{_HAN}])")
_LONG_LINE: Final = 0.8
"""Of the longest line of a page: a line so long was broken for its length alone."""


def read(file: File) -> Parsed:
    import pypdfium2 as pdfium  # noqa: PLC0415 - in an extra

    try:
        document = pdfium.PdfDocument(file.data)
        count = len(document)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise file.encrypted("a PDF") from None
        raise file.corrupt("a PDF") from None
    with document:
        bookmarks = _bookmarks(document)
        pages = tuple(_pages(document, count, bookmarks, file))
        facts = document.get_metadata_dict()
    if not any(page.text for page in pages):
        where = "its one page" if count == 1 else f"its {count} pages"
        raise file.refused(
            "no_text",
            f"has no text in {where}; it may be a scan: run OCR on it (such as ocrmypdf) and add it again",
        )
    return Parsed(
        pages=pages,
        title=_said(facts.get("Title", "")),
        author=_said(facts.get("Author", "")),
        description=_said(facts.get("Subject", "")),
        published=_date(facts.get("CreationDate", "")),
    )


def _pages(document: Any, count: int, bookmarks: dict[int, dict[str, int]], file: File) -> Iterator[Page]:
    for index in range(count):
        page = document[index]
        try:
            words = page.get_textpage()
            try:
                text = words.get_text_bounded()
            finally:
                words.close()
        finally:
            page.close()
        yield Page(file.counted(_written(text, bookmarks.get(index, {}))), index + 1)


def _written(text: str, titles: dict[str, int]) -> str:
    text = _HYPHEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    lines = text.split("\n")
    if titles:
        lines = [
            f"\n{heading(line, titles[key])}\n" if (key := one_line(line)) in titles else line
            for line in lines
        ]
    longest = max(map(len, lines))
    text = "\n".join(lines)

    def together(match: re.Match[str]) -> str:
        begin = text.rfind("\n", 0, match.start()) + 1
        return "" if match.start() - begin >= longest * _LONG_LINE else "\n"

    return fewer_blanks(_WRAPPED.sub(together, text))


def _bookmarks(document: Any) -> dict[int, dict[str, int]]:
    """For each page, by index, the titles of the bookmarks that lead there, with their levels from 1."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for mark in islice(document.get_toc(max_depth=_DEEPEST_BOOKMARK), _MOST_BOOKMARKS):
        goal = mark.get_dest()
        page = goal.get_index() if goal is not None else None
        title = one_line(mark.get_title())
        if page is not None and title:
            found[page].setdefault(title, mark.level + 1)
    return found


def _said(fact: str) -> str:
    """A fact, where whoever made the document told it: programs write these words in its place."""
    return "" if fact.strip("() .").lower() in _UNTOLD else fact


def _date(text: str) -> str:
    """A PDF's date in ISO 8601, as far as it goes; as it is when it cannot be read."""
    found = _DATE.match(text)
    if found is None:
        return text
    year, month, day, hour, minute, second = found.groups()
    date = "-".join(filter(None, (year, month, day)))
    return f"{date}T{hour}:{minute}:{second or '00'}" if hour and day else date
