"""Reads Word documents: headings, paragraphs, lists and tables in their order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from tidegate.workspaces.document import Page, Parsed
from tidegate.workspaces.parsing.archive import Archive
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.markdown import heading, joined, tables

if TYPE_CHECKING:
    from docx.table import Table
    from docx.text.paragraph import Paragraph

_HEADING: Final = re.compile(r"heading (\d)", re.I)
_MACROS: Final = (b"macroEnabled", b"template.main+xml")


def read(file: File) -> Parsed:
    import docx  # noqa: PLC0415 - in an extra

    with Archive(file) as archive:
        types = archive.read("[Content_Types].xml")
        if any(each in types for each in _MACROS):
            raise file.refused("unsupported", "is a Word file with macros or a template: save it as .docx")
    document: Any = docx.Document(BytesIO(file.data))
    blocks = (file.counted(each) for each in _blocks(document.iter_inner_content()))
    text = joined(blocks)
    facts = document.core_properties
    return Parsed(
        pages=(Page(text),),
        title=facts.title or "",
        author=facts.author if facts.author != "python-docx" else "",
        description=facts.subject or "",
        published=iso(facts.created),
    )


def iso(moment: datetime | None) -> str:
    """A date of an Office file, which has those in UTC."""
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z" if moment is not None else ""


def _blocks(content: Iterator[Paragraph | Table]) -> Iterator[str]:
    from docx.table import Table  # noqa: PLC0415 - in an extra

    listed: list[str] = []
    for block in content:
        if not isinstance(block, Table):
            text, is_item = _paragraph(block)
            if is_item:
                listed.append(text)
                continue
            yield "\n".join(listed)
            listed = []
            yield text
        else:
            yield "\n".join(listed)
            listed = []
            yield from tables(_rows(block))
    yield "\n".join(listed)


def _paragraph(paragraph: Paragraph) -> tuple[str, bool]:
    """Its Markdown, and whether it is an item of a list."""
    text = paragraph.text.strip()
    if not text:
        return "", False
    name = (paragraph.style.name if paragraph.style is not None else None) or ""
    if found := _HEADING.fullmatch(name):
        return heading(text, int(found[1])), False
    if name == "Title":
        return heading(text, 1), False
    properties: Any = paragraph._p.pPr
    numbered = properties is not None and properties.numPr is not None
    if numbered or name.startswith("List"):
        level = properties.numPr.ilvl.val if numbered and properties.numPr.ilvl is not None else 0
        return f"{'  ' * min(level, 8)}- {text}", True
    return text, False


def _rows(table: Table) -> Iterator[list[str]]:
    for row in table.rows:
        cells: list[str] = []
        last = None
        for cell in row.cells:
            if cell._tc is not last:  # one that reaches over several columns is told once for each
                cells.append(cell.text)
            last = cell._tc
        yield cells
