"""Keeps files that callers have sent or agents have made for them, in a folder for each caller.

Names on disk are made here: what a client calls its file is kept beside it and never part of a path.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from tidegate.errors import BodyTooLarge, Forbidden, TidegateError

_FILE_ID = re.compile(r"file-[0-9a-f]{24}")
_CALLER = re.compile(r"[a-z0-9-]{1,64}")


class StoredFile(msgspec.Struct, frozen=True):
    """What is known of a file. ``created_at`` is Unix time in seconds, ``size`` bytes."""

    id: str
    filename: str
    purpose: str
    created_at: int
    size: int
    number: int
    """Files of a caller are counted, so that they have an order within a second."""
    media_type: str = "application/octet-stream"


class FileStore:
    """Files on disk. Calls block; ``most`` files and ``most_bytes`` bytes are kept for each caller."""

    def __init__(
        self,
        folder: Path,
        ids: Callable[[], str],
        *,
        most: int = 10_000,
        most_bytes: int = 2 * 1024 * 1024 * 1024,
    ) -> None:
        self._folder = folder
        self._ids = ids
        self._most = most
        self._most_bytes = most_bytes

    def put(
        self,
        caller: str,
        filename: str,
        purpose: str,
        data: bytes,
        created_at: int,
        *,
        file_id: str | None = None,
        media_type: str = "application/octet-stream",
    ) -> StoredFile:
        """Keep a file; without a ``file_id`` it gets one.

        Raises BodyTooLarge when the caller has no room left, TidegateError for the disk.
        """
        kept = self.list(caller)
        if len(kept) >= self._most or sum(each.size for each in kept) + len(data) > self._most_bytes:
            raise BodyTooLarge(
                f"no more than {self._most} files of {self._most_bytes >> 20} MiB together are kept; "
                "delete some first"
            )
        number = max((each.number for each in kept), default=0) + 1
        made = file_id or f"file-{self._ids()[:24]}"
        stored = StoredFile(made, filename, purpose, created_at, len(data), number, media_type)
        folder = self._of(caller)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (folder / f"{stored.id}.data").write_bytes(data)
            # What is known of a file is written last: a file without it is not there.
            unfinished = folder / f"{stored.id}.part"
            unfinished.write_bytes(msgspec.json.encode(stored))
            unfinished.replace(folder / f"{stored.id}.json")
        except OSError as error:
            raise TidegateError(f"the file cannot be kept: {error.strerror}", status=507) from None
        return stored

    def list(self, caller: str) -> list[StoredFile]:
        """The caller's files, oldest first."""
        folder = self._of(caller)
        paths = list(folder.glob("file-*.json")) if folder.is_dir() else []
        found = (self.get(caller, path.stem) for path in paths)
        return sorted((each for each in found if each is not None), key=lambda each: each.number)

    def get(self, caller: str, file: str) -> StoredFile | None:
        """What is known of one file."""
        if not _FILE_ID.fullmatch(file):
            return None
        try:
            return msgspec.json.decode((self._of(caller) / f"{file}.json").read_bytes(), type=StoredFile)
        except (OSError, msgspec.DecodeError):
            return None

    def find(self, caller: str, file: str) -> tuple[StoredFile, Path] | None:
        """What is known of one file, and where it is. Raises Forbidden for another caller's."""
        stored = self.get(caller, file)
        if stored is not None:
            return stored, self._of(caller) / f"{file}.data"
        if _FILE_ID.fullmatch(file) and any(self._folder.glob(f"*/{file}.json")):
            raise Forbidden(f"{file} belongs to another key", code="not_your_file")
        return None

    def read(self, caller: str, file: str) -> bytes | None:
        """What is in a file."""
        if self.get(caller, file) is None:
            return None
        try:
            return (self._of(caller) / f"{file}.data").read_bytes()
        except OSError:
            return None

    def delete(self, caller: str, file: str) -> bool:
        """Whether there was one of this id."""
        if self.get(caller, file) is None:
            return False
        for ending in ("json", "data"):
            (self._of(caller) / f"{file}.{ending}").unlink(missing_ok=True)
        return True

    def _of(self, caller: str) -> Path:
        if not _CALLER.fullmatch(caller):
            raise TidegateError(f"{caller!r} is not the id of a caller")
        return self._folder / caller
