"""The health of one deployment: a circuit breaker fed by how its generations end, and its load."""

from __future__ import annotations

from tidegate.core.clock import Clock

_TOLERATED = 3
"""Failures in a row before the breaker opens."""

_FIRST_PAUSE = 5.0
_LONGEST_PAUSE = 120.0


class Health:
    """Opens after three failures in a row, for 5 s, doubling up to 2 min; one trial closes it again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures_in_a_row = 0
        self._open_until = 0.0
        self.open = 0
        """Attempts under way."""
        self.successes = 0
        self.failures = 0

    @property
    def healthy(self) -> bool:
        """Whether it may be tried before others that are known to work."""
        return self._failures_in_a_row < _TOLERATED or self._clock.monotonic() >= self._open_until

    def succeeded(self) -> None:
        """A generation completed."""
        self.successes += 1
        self._failures_in_a_row = 0

    def failed(self) -> None:
        """A generation failed for a reason that lies with the deployment, at whatever point."""
        self.failures += 1
        self._failures_in_a_row += 1
        excess = self._failures_in_a_row - _TOLERATED
        if excess >= 0:
            pause = min(_FIRST_PAUSE * 2 ** min(excess, 10), _LONGEST_PAUSE)
            self._open_until = self._clock.monotonic() + pause
