"""What a run spends: by asking models here, which is counted there too, and otherwise."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tidegate.core.usage import Usage


class Account:
    """Adds up, and tells each new sum to ``told``: it is right also when the run is cut."""

    def __init__(self, told: Callable[[Usage], None], *, asks_here: bool = False) -> None:
        """``asks_here``: what is not asked through the run comes to this gateway as well, which counts it."""
        self._told = told
        self._asks_here = asks_here
        self.usage = Usage(inner=Usage())

    def add(self, usage: Usage) -> None:
        """Count what is counted nowhere else."""
        if self._asks_here:
            self.add_inner(usage)
        else:
            self._set(usage, self.usage.inner or Usage())

    def add_inner(self, usage: Usage) -> None:
        """Count what a generation within this one has cost, which has a row of its own."""
        self._set(usage, (self.usage.inner or Usage()).plus(usage))

    def _set(self, more: Usage, inner: Usage) -> None:
        self.usage = msgspec.structs.replace(self.usage.plus(more), inner=inner)
        self._told(self.usage)
