"""The files that an agent makes: named so that every system can keep them, saved once, and told of."""

from __future__ import annotations

import asyncio
import mimetypes
import re
import unicodedata
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import asdict

from tidegate.store.files import FileStore, StoredFile

FILE: Final = "file"
PURPOSE: Final = "assistants_output"
"""What the OpenAI API calls files that were made and not sent."""

_LONGEST: Final = 200
"""Bytes of a name in UTF-8; most file systems take 255."""
_LONGEST_ENDING: Final = 20
_UNNAMED: Final = "file"
_FORBIDDEN: Final = re.compile(r'[/\\:*?"<>|]+')
_MEDIA_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w-]+)*", re.ASCII)
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"}
)
_JOINERS: Final = "\u200c\u200d"
"""Invisible, and a part of how words and signs are written."""
_MADE: Final = {".md": "text/markdown", ".yaml": "application/yaml", ".yml": "application/yaml"}


class SavedFile(Struct, frozen=True):
    """A file that was saved: ``url`` is where its owner gets it, ``size`` bytes."""

    id: str
    name: str
    url: str
    size: int
    media_type: str


class Files:
    """Saves what one run makes for its caller. ``now_ms`` is Unix time in ms."""

    def __init__(self, store: FileStore, stream: str, caller: str, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._stream = stream
        self._caller = caller
        self._now_ms = now_ms

    async def save(self, step: str, name: str, data: bytes | str, media_type: str | None) -> dict[str, Any]:
        """A :class:`SavedFile` as JSON has it. The same ``step`` of the same run never saves a second one.

        Raises BodyTooLarge when the caller has no room left, TidegateError for the disk.
        """
        name = safe_name(name)
        told = media_type_of(name, data) if media_type is None else media_type
        if not _MEDIA_TYPE.fullmatch(told):
            raise ValueError(f"{told!r} is no media type")
        content = data.encode("utf-8", "replace") if isinstance(data, str) else data
        made = f"file-{sha256(f'{self._stream}/{step}'.encode()).hexdigest()[:24]}"
        stored = await asyncio.to_thread(self._put, made, name, told, content)
        url = f"/download/{stored.id}/{quote(stored.filename, safe='')}"
        return asdict(SavedFile(stored.id, stored.filename, url, stored.size, stored.media_type))

    def _put(self, made: str, name: str, media_type: str, content: bytes) -> StoredFile:
        known = self._store.get(self._caller, made)
        if known is not None:  # by a process that died before it could say so
            return known
        now = self._now_ms() // 1000
        return self._store.put(self._caller, name, PURPOSE, content, now, file_id=made, media_type=media_type)


def safe_name(name: str) -> str:
    """A name that no system takes for something else, as near to ``name`` as that can be.

    It has no separators, no control characters or marks that turn text around, is no reserved name of
    Windows, begins with no dot or dash, ends in no dot or space, and has at most 200 bytes in UTF-8.
    """
    name = unicodedata.normalize("NFC", name)
    name = "".join(each if _is_shown(each) else " " for each in name)
    name = " ".join(_FORBIDDEN.sub("-", name).split())
    name = name.lstrip("-. ").rstrip(". ")
    if name.partition(".")[0].rstrip().lower() in _RESERVED:
        name = f"_{name}"
    return _shortened(name) or _UNNAMED


def _is_shown(character: str) -> bool:
    # Of the category of format characters are also those that turn the direction of text.
    return character in _JOINERS or unicodedata.category(character)[0] != "C"


def _shortened(name: str) -> str:
    if len(name.encode()) <= _LONGEST:
        return name
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending.encode()) > _LONGEST_ENDING:
        stem, dot, ending = name, "", ""
    room = _LONGEST - len((dot + ending).encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") + dot + ending


def media_type_of(name: str, data: bytes | str) -> str:
    """The media type that the ending of a name stands for."""
    ending = name[name.rfind(".") :].lower() if "." in name else ""
    found = _MADE.get(ending) or mimetypes.types_map.get(ending)
    if isinstance(data, str):
        found = found or "text/plain"
        return f"{found}; charset=utf-8" if found.startswith("text/") else found
    return found or "application/octet-stream"
