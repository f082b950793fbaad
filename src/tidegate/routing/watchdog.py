"""The deadlines of one attempt, on one timer that is armed again only when it fires."""

from __future__ import annotations

import asyncio

from tidegate.config import Timeouts
from tidegate.core.clock import Clock
from tidegate.core.usage import tokens_of
from tidegate.errors import TimedOut
from tidegate.routing.progress import Watched

_WINDOW = 10.0
"""Seconds over which the speed of a stream is taken."""

_MESSAGES = {
    "first_token": "no token came within {0:g} s",
    "idle": "no token came for {0:g} s",
    "total": "the answer was not complete within {0:g} s",
    "slow": "the answer came with less than {0:g} tokens per second",
}


class Watchdog:
    """Cancels the attempt's task when nothing has come in time; ``error`` says which deadline it was."""

    def __init__(self, clock: Clock, timeouts: Timeouts, deadline: float, out: Watched) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.error: TimedOut | None = None
        self._clock = clock
        self._timeouts = timeouts
        self._begun = clock.monotonic()
        self._deadline = deadline
        self._out = out
        self._window: tuple[float, int, int, int] | None = None
        """When the speed was last looked at, and the deltas, characters and pauses by then."""
        self._loop = asyncio.get_running_loop()
        self._timer = self._armed(self._next()[0] - self._begun)

    def stop(self) -> None:
        """The attempt is over."""
        self._timer.cancel()

    def _next(self) -> tuple[float, str, float]:
        """When the next deadline is, which one, and how long it was."""
        timeouts, out = self._timeouts, self._out
        if out.first_delta_at is None:
            due, name, seconds = self._begun + timeouts.first_token, "first_token", timeouts.first_token
        elif out.paused or out.is_unhurried:  # a reader or a person is slow, not the upstream
            due, name, seconds = self._clock.monotonic() + timeouts.idle, "idle", timeouts.idle
        else:
            due, name, seconds = out.last_delta_at + timeouts.idle, "idle", timeouts.idle
        deadline = self._deadline + out.unhurried_seconds
        if deadline < due and not out.is_unhurried:
            return deadline, "total", timeouts.total
        return due, name, seconds

    def _fire(self) -> None:
        now = self._clock.monotonic()
        due, name, seconds = self._next()
        if due - now <= 0.001:
            self._bark(name, seconds)
        elif self._timeouts.min_speed and self._too_slow(now):
            self._bark("slow", self._timeouts.min_speed)
        else:
            self._timer = self._armed(due - now)

    def _armed(self, seconds: float) -> asyncio.TimerHandle:
        # The first delta may come at any time, and with it another deadline.
        seconds = min(seconds, self._timeouts.idle)
        if self._timeouts.min_speed:
            seconds = min(seconds, _WINDOW)
        return self._loop.call_later(seconds, self._fire)

    def _bark(self, name: str, measure: float) -> None:
        self.error = TimedOut(_MESSAGES[name].format(measure), code=name)
        self.task.cancel()

    def _too_slow(self, now: float) -> bool:
        """Whether too little has come since the speed was last looked at, if that is long enough ago."""
        out = self._out
        if out.first_delta_at is None:
            return False
        if self._window is not None:
            began, deltas, characters, pauses = self._window
            if now - began < _WINDOW - 0.001 and pauses == out.pauses:
                return False
            # A reader that was slow in between has slowed the upstream down.
            if pauses == out.pauses and not out.paused:
                tokens = tokens_of(out.characters - characters, out.deltas - deltas)
                if tokens < self._timeouts.min_speed * (now - began):
                    return True
        self._window = (now, out.deltas, out.characters, out.pauses)
        return False
