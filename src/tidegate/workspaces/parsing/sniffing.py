"""Tells what a file is by what is in it; its name and media type decide between kinds of text only."""

from __future__ import annotations

import csv
import re
from typing import Final

from tidegate.workspaces.parsing.archive import Archive, is_archive
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.formats import FORMATS, supported, told
from tidegate.workspaces.parsing.letters import decode, is_text

_HEAD: Final = 4096

_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""A compound file: Office before 2007, and what Office of today makes of a file with a password."""

_OLD_OFFICE: Final = {
    "WordDocument": ("a Word document of before 2007", ".docx"),
    "Workbook": ("an Excel workbook of before 2007", ".xlsx"),
    "PowerPoint Document": ("a PowerPoint presentation of before 2007", ".pptx"),
}

_OTHERS: Final = (
    (b"{\\rtf", "a file of Rich Text: save it as .docx"),
    (b"\x89PNG", "a picture, and pictures are not read"),
    (b"\xff\xd8\xff", "a picture, and pictures are not read"),
    (b"GIF8", "a picture, and pictures are not read"),
    (b"II*\x00", "a picture, and pictures are not read"),
    (b"MM\x00*", "a picture, and pictures are not read"),
    (b"\x1f\x8b", "a compressed file: unpack it and add what is in it"),
    (b"7z\xbc\xaf", "an archive: unpack it and add the files in it"),
    (b"Rar!", "an archive: unpack it and add the files in it"),
    (b"ID3", "a recording, and recordings are not read"),
    (b"RIFF", "a recording or picture, and those are not read"),
    (b"OggS", "a recording, and recordings are not read"),
)

_HTML: Final = re.compile(
    rb"(?:\s|<\?xml[^>]{0,200}\?>|(?><!--.{0,2000}?-->))*+<(?:!doctype\s+html|html)\b", re.I | re.S
)
_FIELD: Final = re.compile(
    rb"^(received|return-path|from|to|delivered-to|mime-version|message-id|date|subject):", re.I | re.M
)
_MAILBOX: Final = re.compile(rb"From [^\r\n]*\d{4}[^\r\n]*\r?\n[A-Za-z][A-Za-z0-9-]*:")


def sniff(file: File) -> str:
    """The row of :data:`FORMATS` that reads it. Raises Unreadable for what none does."""
    data = file.data
    if not data.strip(b"\0 \t\r\n"):
        raise file.refused("empty", "is empty: there is nothing to read in it")
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if is_archive(data):
        return _of_archive(file)
    if data.startswith(_OLE):
        return _of_compound(file)
    for magic, what in _OTHERS:
        if data.startswith(magic):
            raise file.refused("unsupported", f"is {what}; what can be read is {supported()}")
    if not is_text(data):
        kind = told(file.extension, file.mime)
        if kind is not None and kind != "text":
            raise file.corrupt(FORMATS[kind].title)
        raise file.refused("unsupported", f"is of a kind that cannot be read; what can be is {supported()}")
    return _of_text(file)


def _of_archive(file: File) -> str:
    with Archive(file) as archive:
        declared = archive.declared_type
        if declared.startswith("application/vnd.oasis.opendocument."):
            return "odf"
        if declared in FORMATS["epub"].types:
            return "epub"
        for folder, kind in (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx")):
            if "[Content_Types].xml" in archive.names and any(n.startswith(folder) for n in archive.names):
                return kind
    what = "is an archive: unpack it and add the files in it"
    raise file.refused("unsupported", f"{what}; what can be read is {supported()}")


def _of_compound(file: File) -> str:
    if "EncryptedPackage".encode("utf-16-le") in file.data:
        raise file.encrypted("an Office file")
    for stream, (what, extension) in _OLD_OFFICE.items():
        if stream.encode("utf-16-le") in file.data:
            raise file.refused("unsupported", f"is {what}: save it as {extension} and add it again")
    raise file.refused("unsupported", f"is of a kind that cannot be read; what can be is {supported()}")


def _of_text(file: File) -> str:
    head = file.data[:_HEAD]
    kind = told(file.extension, file.mime)
    if _MAILBOX.match(head):
        return "mbox"
    if _HTML.match(head.removeprefix(b"\xef\xbb\xbf")):
        return "html"
    top = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]
    if kind == "eml" or len({each.lower() for each in _FIELD.findall(top)}) >= 3:
        return "eml"
    if kind in {"csv", "json", "html", "text"}:
        return kind
    if kind == "xlsx" and _is_table(head):
        return "csv"
    return "text"


def _is_table(head: bytes) -> bool:
    try:
        csv.Sniffer().sniff(decode(head.rpartition(b"\n")[0]), ",;\t|")
    except csv.Error:
        return False
    return True
