"""One thing that was looked at: how it is, and what would make it better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "warning", "problem"]
"""A note is something that one can do without, a warning works worse than it could, and a problem keeps
``tidegate serve`` from working."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence, and the command that mends it, or that does more."""

    level: Level
    text: str
    fix: str | None = None


def counted(number: int, word: str) -> str:
    """A number with its word, such as ``1 model`` or ``2 models``."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
