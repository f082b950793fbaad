"""When a crashed engine may start again: back-off that grows, forgotten after a healthy while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """All times in seconds. The first failure costs no wait: one crash is an accident, two are a pattern."""

    first: float = 1.0
    factor: float = 2.0
    longest: float = 60.0
    jitter: float = 0.2
    """The largest share that is added by chance, so that engines that died together do not start together."""
    healthy_after: float = 60.0
    """A child that ran for this long has proved itself: what failed before it is forgotten."""

    def delay(self, failures: int, draw: float) -> float:
        """Seconds to wait after ``failures`` failures in a row, with ``draw`` from 0 to 1."""
        if failures <= 1:
            return 0.0
        exponent = min(failures - 2, 32)  # a bound for the float, far beyond `longest`
        return min(self.longest, self.first * self.factor**exponent) * (1 + self.jitter * draw)


class BackOff:
    """Counts failures in a row, and says how long to wait for the next start."""

    def __init__(
        self, policy: RestartPolicy, monotonic: Callable[[], float], random: Callable[[], float]
    ) -> None:
        self._policy = policy
        self._monotonic = monotonic
        self._random = random
        self._next_start = monotonic()
        self.failures = 0

    @property
    def remaining(self) -> float:
        """Seconds until a start is allowed again, 0 if it is now."""
        return max(0.0, self._next_start - self._monotonic())

    def failed(self, healthy_for: float) -> None:
        """Note a failed start, or a child that ended by itself ``healthy_for`` seconds after it was ready."""
        self.failures = 1 if healthy_for >= self._policy.healthy_after else self.failures + 1
        self._next_start = self._monotonic() + self._policy.delay(self.failures, self._random())
