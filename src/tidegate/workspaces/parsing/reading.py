"""Reads one file, whatever it is. Blocking, and only as safe as the process that it runs in."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from msgspec.structs import replace

from tidegate.errors import Unreadable
from tidegate.workspaces.document import Page, Parsed
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.formats import FORMATS, INSTALL
from tidegate.workspaces.parsing.letters import clean
from tidegate.workspaces.parsing.sniffing import sniff

_LONGEST_FACT = 1000


class Reader(Protocol):
    """A module that :data:`FORMATS` names."""

    def read(self, file: File) -> Parsed:
        """What is in the file. Raises Unreadable; any other exception means that it is damaged."""
        ...


def read(file: File) -> Parsed:
    """What is in the file, by what it is. Raises Unreadable and MemoryError."""
    if len(file.data) > file.limits.size:
        size = file.limits.size >> 20
        raise file.refused("too_large", f"is larger than the {size:,} MiB that are read: split it")
    kind = FORMATS[sniff(file)]
    if not kind.installed:
        raise file.refused("not_installed", f"is {kind.title}, which needs {INSTALL} on the gateway")
    reader = cast(Reader, import_module(f"tidegate.workspaces.parsing.{kind.module}"))
    try:
        parsed = reader.read(file)
    except (Unreadable, MemoryError):
        raise
    except RecursionError:
        raise file.refused("too_large", "is nested too deeply to be read") from None
    except Exception as error:  # what a library makes of a damaged file can be anything
        raise file.corrupt(kind.title) from error
    pages = tuple(_cleaned(parsed.pages))
    if not pages:
        raise file.refused("no_text", f"is {kind.title} without any text in it")
    if sum(len(page.text) for page in pages) > file.limits.characters:
        raise file.too_long()
    facts = {name: _fact(getattr(parsed, name)) for name in ("title", "author", "description", "published")}
    return replace(parsed, pages=pages, **facts)


def _cleaned(pages: tuple[Page, ...]) -> list[Page]:
    """Pages that hold something, with nothing in them that is no text."""
    cleaned = (replace(page, text=clean(page.text).strip("\n").rstrip()) for page in pages)
    return [page for page in cleaned if page.text.strip()]


def _fact(text: str) -> str:
    return " ".join(clean(text).split())[:_LONGEST_FACT]
