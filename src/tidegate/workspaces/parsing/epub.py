"""Reads EPUB books: their chapters in the order of reading."""

from __future__ import annotations

import posixpath
from typing import Any, Final
from urllib.parse import unquote

from tidegate.workspaces.document import Page, Parsed
from tidegate.workspaces.parsing.archive import Archive
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.letters import decode
from tidegate.workspaces.parsing.markup import parse, text_of
from tidegate.workspaces.parsing.plain_html import html_text

_CONTAINER: Final = "META-INF/container.xml"
_ENCRYPTION: Final = "META-INF/encryption.xml"
_CHAPTERS: Final = frozenset({"application/xhtml+xml", "text/html"})


def read(file: File) -> Parsed:
    with Archive(file) as archive:
        place = next(parse(archive.read(_CONTAINER)).iter("{*}rootfile")).get("full-path")
        package = parse(archive.read(place))
        chapters = _chapters(package, posixpath.dirname(place))
        if _ENCRYPTION in archive.names and _locked(archive.read(_ENCRYPTION), chapters):
            raise file.refused("encrypted", "is a book with copy protection: only books without it are read")
        texts = [html_text(decode(archive.read(each)))[1] for each in chapters if each in archive.names]
    return Parsed(
        pages=tuple(Page(file.counted(text)) for text in texts),
        title=text_of(package, "title"),
        author=text_of(package, "creator"),
        description=text_of(package, "description"),
        published=text_of(package, "date"),
    )


def _chapters(package: Any, folder: str) -> list[str]:
    """The entries of the archive with the text, each once."""
    items = {each.get("id"): each for each in package.iter("{*}item")}
    found: dict[str, None] = {}
    for reference in package.iter("{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is not None and item.get("media-type") in _CHAPTERS and item.get("properties") != "nav":
            found[posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))] = None
    return list(found)


def _locked(encryption: bytes, chapters: list[str]) -> bool:
    """Whether any of the chapters is encrypted; fonts often are, and nobody needs those."""
    uris = {unquote(each.get("URI", "")) for each in parse(encryption).iter("{*}CipherReference")}
    return not uris.isdisjoint(chapters)
