"""The file that a reader is given, and what there is to say when nothing comes of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Final

from tidegate.errors import Unreadable
from tidegate.workspaces.parsing.limits import Limits

_LONGEST_NAME: Final = 100
_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.I)


@dataclass(slots=True)
class _Spent:
    """Characters that came out so far, of a document and all that lies in it."""

    characters: int = 0


@dataclass(frozen=True, slots=True)
class File:
    """Bytes with the name and type that were told with them, neither of which is believed."""

    data: bytes
    name: str
    media_type: str = ""
    """As in Content-Type, with its parameters."""
    limits: Limits = field(default_factory=Limits)
    depth: int = 1
    _spent: _Spent = field(default_factory=_Spent)

    @property
    def shown(self) -> str:
        """The name as a sentence can hold it."""
        name = "".join(each for each in self.name if each.isprintable()).strip()
        return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"

    @property
    def extension(self) -> str:
        """In lower case, with its dot; empty when it has none."""
        return PurePosixPath(self.name.replace("\\", "/")).suffix.lower()

    @property
    def mime(self) -> str:
        """The media type alone."""
        return self.media_type.partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """What the media type says of the encoding."""
        found = _CHARSET.search(self.media_type)
        return found[1] if found else None

    def within(self, data: bytes, name: str, media_type: str) -> File:
        """A file that lies in this one; what comes out of it counts here too."""
        return replace(self, data=data, name=name, media_type=media_type, depth=self.depth + 1)

    def counted(self, text: str) -> str:
        """The text, once it is known to fit into what may come out. Raises Unreadable."""
        self._spent.characters += len(text)
        if self._spent.characters > self.limits.characters:
            raise self.too_long()
        return text

    def too_long(self) -> Unreadable:
        most = self.limits.characters
        return self.refused("too_large", f"holds more than {most:,} characters of text: split it")

    def refused(self, code: str, predicate: str) -> Unreadable:
        """The error to raise; ``predicate`` goes on after the file's name."""
        return Unreadable(f"{self.shown or 'The file'} {predicate}", code=code)

    def corrupt(self, what: str) -> Unreadable:
        """For a file that is not what it begins as."""
        return self.refused("corrupt", f"is damaged and cannot be read as {what}: check that it opens")

    def encrypted(self, what: str) -> Unreadable:
        return self.refused("encrypted", f"is {what} with a password: save it without one and add it again")
