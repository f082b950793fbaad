"""Reads OpenDocument: texts, spreadsheets whose sheets are pages, and presentations whose slides are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tidegate.workspaces.document import Page, Parsed
from tidegate.workspaces.parsing.archive import Archive
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.markdown import heading, joined, one_line, tables
from tidegate.workspaces.parsing.markup import local, parse, text_of

_TABLE: Final = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TEXT: Final = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_PRESENTATION: Final = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}"
_DRAW: Final = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"

_SILENT: Final = frozenset(
    {"tracked-changes", "annotation", "annotation-end", "forms", "sequence-decls", "note-citation"}
)
_MOST_COLUMNS: Final = 16_384
_DEEPEST_LIST: Final = 10


def read(file: File) -> Parsed:
    with Archive(file) as archive:
        manifest = archive.read("META-INF/manifest.xml") if "META-INF/manifest.xml" in archive.names else b""
        if b"encryption-data" in manifest:
            raise file.encrypted("an OpenDocument file")
        body = next(parse(archive.read("content.xml")).iter("{*}body"))
        meta = parse(archive.read("meta.xml")) if "meta.xml" in archive.names else None
    content = next(each for each in body if local(each))
    return Parsed(
        pages=tuple(_pages(content, file)),
        title=text_of(meta, "title") if meta is not None else "",
        author=(text_of(meta, "initial-creator") or text_of(meta, "creator")) if meta is not None else "",
        description=text_of(meta, "description") if meta is not None else "",
        published=text_of(meta, "creation-date") if meta is not None else "",
    )


def _pages(content: Any, file: File) -> Iterator[Page]:
    kind = local(content)
    if kind == "spreadsheet":
        for number, sheet in enumerate(content.iterchildren(f"{_TABLE}table"), start=1):
            rows = joined(file.counted(each) for each in tables(_rows(sheet)))
            yield Page(joined([heading(sheet.get(f"{_TABLE}name", ""), 1), rows]) if rows else "", number)
    elif kind == "presentation":
        for number, slide in enumerate(content.iterchildren(f"{_DRAW}page"), start=1):
            yield Page(joined(file.counted(each) for each in _slide(slide)), number)
    else:
        yield Page(joined(file.counted(each) for each in _blocks(content)))


def _blocks(parent: Any) -> Iterator[str]:
    for each in parent.iterchildren():
        name = local(each)
        if name == "h":
            level = each.get(f"{_TEXT}outline-level", "1")
            yield heading(_words(each), int(level) if level.isdecimal() else 1)
        elif name == "p":
            yield _words(each).strip()
            yield from _boxes(each)
        elif name == "list":
            yield "\n".join(_items(each, 0))
        elif name == "table":
            yield from tables(_rows(each))
        elif name and name not in _SILENT:
            yield from _blocks(each)


def _boxes(paragraph: Any) -> Iterator[str]:
    """What stands in the frames that hang on a paragraph."""
    for box in paragraph.iter("{*}text-box"):
        yield from _blocks(box)


def _items(parent: Any, depth: int) -> Iterator[str]:
    for item in parent.iterchildren(f"{_TEXT}list-item", f"{_TEXT}list-header"):
        for each in item.iterchildren():
            if local(each) == "list":
                if depth < _DEEPEST_LIST:
                    yield from _items(each, depth + 1)
            elif words := one_line(_words(each)):
                yield f"{'  ' * depth}- {words}"


def _slide(slide: Any) -> Iterator[str]:
    notes = slide.find(f"{_PRESENTATION}notes")
    for frame in slide.iterchildren():
        if frame is notes:
            continue
        if frame.get(f"{_PRESENTATION}class") == "title":
            yield heading(" ".join(_words(each) for each in frame.iter(f"{_TEXT}p")), 1)
        elif local(frame) == "frame" or local(frame) == "g":
            yield from _blocks(frame)
    said = "\n".join(filter(None, _blocks(notes))) if notes is not None else ""
    yield f"Notes: {said}" if said else ""


def _words(element: Any) -> str:
    """The text in a paragraph, but for notes, comments and frames in it."""
    parts = [element.text or ""]
    for each in element.iterchildren():
        name = local(each)
        if name == "s":
            count = each.get(f"{_TEXT}c", "1")
            parts.append(" " * min(int(count) if count.isdecimal() else 1, 100))
        elif name == "tab":
            parts.append("\t")
        elif name == "line-break":
            parts.append("\n")
        elif name == "note":
            parts.append(f" ({one_line(' '.join(_words(p) for p in each.iter(f'{_TEXT}p')))})")
        elif name and name not in _SILENT and name not in {"frame", "object", "text-box"}:
            parts.append(_words(each))
        parts.append(each.tail or "")
    return "".join(parts)


def _rows(table: Any) -> Iterator[list[str]]:
    for row in table.iter(f"{_TABLE}table-row"):
        cells: list[str] = []
        for cell in row.iterchildren(f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
            text = " ".join(filter(None, (_words(each).strip() for each in cell.iter(f"{_TEXT}p"))))
            times = min(_repeats(cell, "columns"), _MOST_COLUMNS - len(cells))
            cells.extend([text] * times)
        while cells and not cells[-1]:
            del cells[-1]
        for _ in range(_repeats(row, "rows") if cells else 0):
            yield cells


def _repeats(element: Any, what: str) -> int:
    count = element.get(f"{_TABLE}number-{what}-repeated", "1")
    return max(int(count), 1) if count.isdecimal() and len(count) < 10 else 1
