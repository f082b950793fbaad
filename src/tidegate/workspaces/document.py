"""What a document is made of, once it has been read."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Page(Struct, frozen=True, omit_defaults=True):
    """A part of a document: Markdown, and which page it is where the document has pages, from 1."""

    text: str
    number: int | None = None


class Parsed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was read from a file or a page of the web. What it does not say of itself is empty.

    ``published`` is a date as the document has it, in ISO 8601 where that could be read.
    """

    pages: tuple[Page, ...]
    title: str = ""
    author: str = ""
    description: str = ""
    published: str = ""

    @property
    def text(self) -> str:
        """All of it."""
        return "\n\n".join(page.text for page in self.pages)


class Entry(Struct, frozen=True, omit_defaults=True):
    """A passage at its place in a document: ``heading`` is those above it, the outermost first."""

    number: int
    text: str
    heading: str = ""
    page: int | None = None


class Hit(Struct, frozen=True, kw_only=True):
    """A passage that was found. ``score`` is from 0 to 1, of how much it has to do with what was asked."""

    passage: int
    document: str
    number: int
    text: str
    score: float
    heading: str = ""
    page: int | None = None


class Parse(Protocol):
    """Reads a file. Raises TidegateError for one that cannot be read."""

    async def __call__(self, data: bytes, file_name: str, media_type: str | None = None) -> Parsed: ...
