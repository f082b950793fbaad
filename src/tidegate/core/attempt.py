"""What happened behind a stream: the attempts that it took, and the seams where one goes on for another."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from tidegate.core.usage import Usage


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One source asked once. ``began_ms`` is Unix time in ms; ``deltas`` and ``characters`` what it showed.

    ``error`` is a failure's type, or its code where it has one. ``usage`` is what the source counted itself.
    """

    deployment: str
    began_ms: int
    seconds: float
    outcome: Literal["completed", "failed", "cancelled", "interrupted"]
    error: str | None = None
    deltas: int = 0
    characters: int = 0
    usage: Usage | None = None


class Answering(Struct, frozen=True):
    """Who answers from here on, where it might be one of several."""

    deployment: str


class Seam(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A place in a stream where another attempt goes on with the text of the one before.

    ``seq`` is that of the last event before it, ``characters`` of text had been shown by then.
    """

    seq: int
    characters: int
    before: str
    """The deployment that broke off."""
    after: str
    """The one that goes on."""
    error: str | None = None
