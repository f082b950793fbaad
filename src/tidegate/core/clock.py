"""Where time and identity come from: both are handed in, so that tests and replays decide them."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two clocks: one for the calendar, one for measuring."""

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards; the event loop's own time."""
        ...


class Ids(Protocol):
    """A maker of names that nobody can guess."""

    def __call__(self) -> str:
        """128 random bits as 32 lower-case hexadecimal digits."""
        ...
