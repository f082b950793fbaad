"""What can be read: one row for each kind of file, with the module that reads it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

INSTALL: Final = "pip install 'tidegate[documents]'"


class Format(Struct, frozen=True, kw_only=True):
    """A kind of file. ``title`` goes on after "as"; ``needs`` are modules that its reader imports.

    The first media type of a row is its own; others stand for it in the wild.
    """

    title: str
    module: str
    types: Mapping[str, tuple[str, ...]]
    needs: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        return all(importlib.util.find_spec(each) is not None for each in self.needs)

    @property
    def extensions(self) -> tuple[str, ...]:
        return tuple(each for extensions in self.types.values() for each in extensions)


_OPEN_XML: Final = "application/vnd.openxmlformats-officedocument"
_OPEN_DOCUMENT: Final = "application/vnd.oasis.opendocument"

FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        "text": Format(
            title="text",
            module="text",
            types={
                "text/plain": (".txt", ".md", ".markdown", ".org", ".adoc", ".rst", ".text", ".log"),
                "text/markdown": (".md", ".markdown"),
            },
        ),
        "html": Format(
            title="a page of HTML",
            module="html",
            types={"text/html": (".html", ".htm"), "application/xhtml+xml": (".xhtml",)},
        ),
        "csv": Format(
            title="a table of values",
            module="separated",
            types={"text/csv": (".csv",), "text/tab-separated-values": (".tsv",)},
        ),
        "json": Format(
            title="JSON",
            module="json_text",
            types={"application/json": (".json",), "application/jsonl": (".jsonl", ".ndjson")},
        ),
        "pdf": Format(
            title="a PDF",
            module="pdf",
            types={"application/pdf": (".pdf",)},
            needs=("pypdfium2",),
        ),
        "docx": Format(
            title="a Word document",
            module="word",
            types={f"{_OPEN_XML}.wordprocessingml.document": (".docx",)},
            needs=("docx",),
        ),
        "pptx": Format(
            title="a PowerPoint presentation",
            module="slides",
            types={f"{_OPEN_XML}.presentationml.presentation": (".pptx",)},
            needs=("pptx",),
        ),
        "xlsx": Format(
            title="an Excel workbook",
            module="sheets",
            types={f"{_OPEN_XML}.spreadsheetml.sheet": (".xlsx",)},
            needs=("openpyxl",),
        ),
        "odf": Format(
            title="an OpenDocument file",
            module="opendocument",
            types={
                f"{_OPEN_DOCUMENT}.text": (".odt",),
                f"{_OPEN_DOCUMENT}.spreadsheet": (".ods",),
                f"{_OPEN_DOCUMENT}.presentation": (".odp",),
            },
            needs=("lxml",),
        ),
        "epub": Format(
            title="an EPUB book",
            module="epub",
            types={"application/epub+zip": (".epub",)},
            needs=("lxml",),
        ),
        "eml": Format(title="a mail", module="mail", types={"message/rfc822": (".eml",)}),
        "mbox": Format(title="a mailbox", module="mail", types={"application/mbox": (".mbox",)}),
    }
)


def accepted_types() -> dict[str, list[str]]:
    """The media types that can be read with what is installed, each with its extensions."""
    return {
        media_type: list(extensions)
        for each in FORMATS.values()
        if each.installed
        for media_type, extensions in each.types.items()
    }


def supported() -> str:
    """All that can be read, as the end of a sentence."""
    extensions = dict.fromkeys(ext for each in FORMATS.values() for ext in each.extensions)
    return ", ".join(each.removeprefix(".") for each in extensions)


def told(extension: str, mime: str) -> str | None:
    """The kind that a name and a media type stand for; the name says more than a sender's guess."""
    for kind, each in FORMATS.items():
        if extension in each.extensions:
            return kind
    return next((kind for kind, each in FORMATS.items() if mime in each.types), None)
