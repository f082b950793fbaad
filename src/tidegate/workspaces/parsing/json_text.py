"""Reads JSON, a value in the whole file or one in each line."""

from __future__ import annotations

import json

from tidegate.workspaces.document import Page, Parsed
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.letters import decode


def read(file: File) -> Parsed:
    text = decode(file.data, file.charset)
    try:
        values = [json.loads(text)]
    except json.JSONDecodeError as error:
        try:
            values = [json.loads(line) for line in text.split("\n") if line.strip()]
        except json.JSONDecodeError:
            values = []
        if len(values) < 2:
            raise file.refused("corrupt", f"is not JSON: {error}") from None
    written = (json.dumps(each, ensure_ascii=False, indent=2) for each in values)
    return Parsed(pages=(Page("\n".join(file.counted(each) for each in written)),))
