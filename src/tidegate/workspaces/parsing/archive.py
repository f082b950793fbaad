"""Opens archives that somebody else made, having looked at what they would unfold to."""

from __future__ import annotations

from io import BytesIO
from types import TracebackType
from typing import Final
from zipfile import BadZipFile, ZipFile, ZipInfo

from tidegate.workspaces.parsing.file import File

_SMALL: Final = 32 << 20
"""Bytes that any archive may unfold to, however well it is packed."""

_LONGEST_TYPE: Final = 200
_ENCRYPTED: Final = 0x1


def is_archive(data: bytes) -> bool:
    """Whether it begins as one."""
    return data.startswith((b"PK\x03\x04", b"PK\x05\x06"))


class Archive:
    """A zip file within the limits. Raises Unreadable for one that is not, is damaged or has a password.

    What the entries say of their sizes may be a lie, but no more than that is ever unfolded of them.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        try:
            self._zip = ZipFile(BytesIO(file.data))
        except (BadZipFile, ValueError, OSError, NotImplementedError):
            raise file.corrupt("an archive, which is what it is or is packed as") from None
        entries = self._zip.infolist()
        self.names = frozenset(each.filename for each in entries)
        self._check(entries)

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    @property
    def declared_type(self) -> str:
        """What the archive says that it is, as OpenDocument and EPUB do."""
        if "mimetype" not in self.names or self._zip.getinfo("mimetype").file_size > _LONGEST_TYPE:
            return ""
        return self.read("mimetype").decode("ascii", "replace").strip()

    def read(self, name: str) -> bytes:
        """An entry. Raises KeyError when there is none, Unreadable when it is damaged."""
        try:
            return self._zip.read(name)
        except (BadZipFile, EOFError, OSError, NotImplementedError, ValueError, RuntimeError):
            raise self._file.corrupt("the archive that it is packed as") from None

    def _check(self, entries: list[ZipInfo]) -> None:
        limits, file = self._file.limits, self._file
        if len(entries) > limits.entries:
            raise file.refused("too_large", f"holds {len(entries):,} files, of {limits.entries:,} allowed")
        total = sum(each.file_size for each in entries)
        if total > limits.expanded or total > max(_SMALL, len(file.data) * limits.ratio):
            raise file.refused(
                "too_large", f"unfolds to {total >> 20:,} MiB, more than is read: split it into several files"
            )
        if any(each.flag_bits & _ENCRYPTED for each in entries):
            raise file.encrypted("an archive")
