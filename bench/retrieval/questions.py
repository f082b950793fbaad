"""Reads the articles, each paragraph of which is a passage, and the questions that ask for them.

Nothing is asked in the words of its answer. Questions without relevant passages are about what no article
says anything about.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from tidegate.workspaces.document import Entry

FOLDER: Final = Path(__file__).parent
LANGUAGES: Final = ("english", "chinese")


class Question(msgspec.Struct, frozen=True):
    """``relevant`` are passages, each by its article and the number of its paragraph from 1: "tides 3"."""

    question: str
    language: str
    relevant: tuple[str, ...]


class Article(msgspec.Struct, frozen=True):
    """A text of several paragraphs under a heading."""

    name: str
    language: str
    entries: tuple[Entry, ...]

    def passage(self, entry: Entry) -> str:
        """What questions call it."""
        return f"{self.name} {entry.number + 1}"


def articles() -> list[Article]:
    """All of them, in a stable order."""
    return [
        Article(path.stem, language, _entries(path.read_text(encoding="utf-8")))
        for language in LANGUAGES
        for path in sorted((FOLDER / "articles" / language).glob("*.md"))
    ]


def questions() -> list[Question]:
    """All of them, in the order of the file."""
    lines = (FOLDER / "questions.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Question) for line in lines]


def _entries(text: str) -> tuple[Entry, ...]:
    title, *paragraphs = (part.strip() for part in text.split("\n\n"))
    heading = title.removeprefix("# ")
    return tuple(Entry(at, paragraph, heading) for at, paragraph in enumerate(paragraphs) if paragraph)
