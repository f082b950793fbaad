"""Reads Excel workbooks: each sheet is a page, and what its formulas came to is what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time
from io import BytesIO
from typing import Any

from tidegate.workspaces.document import Page, Parsed
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.markdown import heading, joined, tables
from tidegate.workspaces.parsing.word import iso


def read(file: File) -> Parsed:
    import openpyxl  # noqa: PLC0415 - in an extra

    workbook = openpyxl.load_workbook(BytesIO(file.data), read_only=True, data_only=True, keep_links=False)
    try:
        pages = tuple(
            Page(_sheet(sheet, file), number)
            for number, sheet in enumerate(workbook.worksheets, start=1)
            if sheet.sheet_state == "visible"
        )
    finally:
        workbook.close()
    facts = workbook.properties
    return Parsed(
        pages=pages,
        title=facts.title or "",
        author=facts.creator if facts.creator and facts.creator != "openpyxl" else "",
        description=facts.subject or "",
        published=iso(facts.created),
    )


def _sheet(sheet: Any, file: File) -> str:
    sheet.reset_dimensions()  # what it says of its own size need not be true
    rows = joined(file.counted(each) for each in tables(_rows(sheet)))
    return joined([heading(sheet.title, 1), rows]) if rows else ""


def _rows(sheet: Any) -> Iterator[list[str]]:
    for row in sheet.iter_rows(values_only=True):
        yield [_value(each) for each in row]


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)
