"""How many connections each worker has, in memory that all of them see, so that each takes its share."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Final

_GONE: Final = 2**32 - 1
"""The load of a worker that is not there: nobody leaves connections to it."""


class Loads:
    """The loads of ``count`` workers, for the one that is ``number``; the owner has no number.

    Numbers are read while they are written, which does no harm: what is decided by them is as good a moment
    late.
    """

    def __init__(self, folder: Path, count: int, number: int | None = None) -> None:
        descriptor = os.open(folder / "loads", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, 4 * count)
            self._memory = mmap.mmap(descriptor, 4 * count)
        finally:
            os.close(descriptor)
        self._loads = memoryview(self._memory).cast("I")
        self._number = number
        self._others = [each for each in range(count) if each != number]

    def gone(self, number: int) -> None:
        """A worker is not there, or not yet."""
        self._loads[number] = _GONE

    def set(self, load: int) -> None:
        """This worker has so many connections now."""
        assert self._number is not None
        self._loads[self._number] = load

    def is_ahead(self, load: int) -> bool:
        """Whether this worker, which has ``load`` connections now, should leave the next one to another.

        A lead of one, and of an eighth with many, is none: leaving a connection costs it a millisecond.
        """
        self.set(load)
        lowest = min(self._loads[each] for each in self._others)
        return lowest != _GONE and load > lowest + 1 + lowest // 8


class Counted(set[object]):
    """The connections of this worker, whose number the others see."""

    def __init__(self, loads: Loads) -> None:
        super().__init__()
        self._loads = loads

    def add(self, element: object) -> None:
        super().add(element)
        self._loads.set(len(self))

    def discard(self, element: object) -> None:
        super().discard(element)
        self._loads.set(len(self))
