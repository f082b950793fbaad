"""Reads tables of values between commas, semicolons or tabs."""

from __future__ import annotations

import csv
from io import StringIO
from typing import Final

from tidegate.workspaces.document import Page, Parsed
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.letters import clean, decode
from tidegate.workspaces.parsing.markdown import joined, tables

_DELIMITERS: Final = ",;\t|"
_LOOKED_AT: Final = 64 * 1024
_LONGEST_FIELD: Final = 1 << 20


def read(file: File) -> Parsed:
    text = clean(decode(file.data, file.charset))
    csv.field_size_limit(_LONGEST_FIELD)
    rows = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text, file))
    return Parsed(pages=(Page(joined(file.counted(each) for each in tables(rows))),))


def _delimiter(text: str, file: File) -> str:
    if file.extension == ".tsv":
        return "\t"
    # The one that the first line has most of: the sniffer of the library takes letters for delimiters.
    first = next((line for line in StringIO(text[:_LOOKED_AT]) if line.strip()), "")
    return max(_DELIMITERS, key=first.count)
