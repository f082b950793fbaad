"""Owns when a lost connection is tried again, and when that is given up. Waits for nothing itself."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on without an answer. All values are seconds.

    ``give_up``: failing for this long, without a byte of the answer in between, ends in an error; 0 tries
    nothing again. ``first`` and ``longest`` bound the pause between two tries, which doubles and is random
    below that, so that a thousand clients do not come back at once. ``silence``: a connection that brings
    nothing for this long is lost; a gateway is never silent for more than ten seconds.
    """

    give_up: float = 60.0
    first: float = 0.25
    longest: float = 5.0
    silence: float = 30.0


class Waiting:
    """The tries of one answer."""

    def __init__(
        self,
        patience: Patience,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.patience = patience
        self._monotonic = monotonic
        self._chance = chance
        self._since: float | None = None
        self._tries = 0

    def progress(self) -> None:
        """The answer goes on: what was lost before counts no more."""
        self._since = None
        self._tries = 0

    def pause(self, retry_after: float | None = None) -> float | None:
        """Another try has failed: seconds until the next, None when there is to be none.

        ``retry_after`` is what the server asked for; no try comes sooner.
        """
        now = self._monotonic()
        if self._since is None:
            self._since = now
        longest = min(self.patience.longest, self.patience.first * 2.0**self._tries)
        self._tries = min(self._tries + 1, 30)
        pause = self._chance() * longest + (retry_after or 0.0)
        if self._since + self.patience.give_up <= now + (retry_after or 0.0):
            return None
        return pause

    @property
    def waited(self) -> float:
        """Seconds since the answer last went on."""
        return 0.0 if self._since is None else self._monotonic() - self._since
