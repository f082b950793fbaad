"""docs/translation.md tells for every dialect what becomes of everything that a request may ask for."""

from __future__ import annotations

import re

from tests.dialects.recorded import dialects
from tests.docs.examples import ROOT
from tidegate.dialects.translation import FEATURES

DOCUMENT = (ROOT / "docs" / "translation.md").read_text(encoding="utf-8")
WORDS = {None: "yes", "drop": "dropped", "refuse": "400"}


def table() -> list[str]:
    """The lines of the table as the dialects' own tables have it."""
    columns = sorted(dialects(), key=lambda dialect: dialect.name)
    lines = [
        "| asked for | " + " | ".join(f"`{dialect.name}`" for dialect in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for feature, words in FEATURES.items():
        cells = [WORDS[dialect.lacks.get(feature)] for dialect in columns]
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    return lines


def test_the_table_is_what_the_dialects_do() -> None:
    section = DOCUMENT.partition("## What has no form")[2].partition("\n## ")[0]
    written = re.findall(r"^\|.*\|$", section, re.MULTILINE)
    assert written == table(), "the table should be:\n" + "\n".join(table())
