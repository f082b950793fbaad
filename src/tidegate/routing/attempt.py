"""Attempts: retry, fallback to other deployments and models before the first visible delta, and deadlines.

After the first visible delta nothing is tried again: the error goes to whoever reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec

from tidegate.config import Retry, Timeouts
from tidegate.core.clock import Clock
from tidegate.core.request import Request
from tidegate.core.source import Output
from tidegate.errors import (
    Overloaded,
    Rejected,
    SourceError,
    TidegateError,
    TimedOut,
    TooLong,
    Unsupported,
)
from tidegate.routing.choose import choose
from tidegate.routing.plan import Plan
from tidegate.routing.table import Deployment, Route

_LONGEST_WAIT = 5.0
"""An upstream that asks to wait longer than this is not waited for; the caller is told instead."""

_THIS_REQUEST = frozenset({400, 405, 413, 415, 422})
"""Statuses that blame the request: any other deployment would refuse it as well."""


class Progress(Output, Protocol):
    """An output that also tells how far it has come."""

    visible: bool
    model: str | None
    ended: bool
    paused: bool
    first_delta_at: float | None
    last_delta_at: float

    def restart(self) -> None: ...


class Observer(Protocol):
    """Is told how each attempt ended."""

    def attempted(self, deployment: str, error: SourceError | None) -> None: ...


class Attempts:
    """Answers requests from routes. Holds what every attempt needs, and no state of its own."""

    def __init__(self, clock: Clock, random: Callable[[], float], observer: Observer) -> None:
        self._clock = clock
        self._random = random
        self._observer = observer

    def answer(self, plan: Plan, out: Progress) -> Coroutine[Any, Any, None]:
        """Ask the models of the plan until one has answered. Raises the last SourceError or Overloaded.

        The first model's ``total`` is the deadline of them all, and runs from this call.
        """
        first = plan[0]
        timeouts = first.route.timeouts
        deadline = self._clock.monotonic() + timeouts.total
        if len(plan) == 1:  # nearly every plan: without a coroutine in between
            return self._ask(first.route, timeouts, deadline, first.request, out)
        return self._ask_all(plan, deadline, out)

    async def _ask_all(self, plan: Plan, deadline: float, out: Progress) -> None:
        total = plan[0].route.timeouts.total
        for number, asked in enumerate(plan, 1):
            route = asked.route
            out.model = route.model if number > 1 else None
            timeouts = msgspec.structs.replace(route.timeouts, total=total)
            try:
                await self._ask(route, timeouts, deadline, asked.request, out)
            except (SourceError, Overloaded) as error:
                if number == len(plan) or out.visible or not _another_model_may(error):
                    raise
            else:
                return

    async def _ask(
        self, route: Route, timeouts: Timeouts, deadline: float, request: Request, out: Progress
    ) -> None:
        """Run deployments of the route until one has answered. Raises the last SourceError."""
        last: SourceError | None = None
        for deployment in choose(route.deployments, self._random):
            for number in range(1, route.retry.attempts + 1):
                try:
                    await self._attempt(deployment, timeouts, deadline, request, out)
                except SourceError as error:
                    self._observer.attempted(deployment.name, error)
                    last = error
                    if isinstance(error, Unsupported):
                        break  # another deployment may speak a dialect that can say it
                    if isinstance(error, TooLong) and not out.visible:
                        out.restart()
                        break  # another deployment may have a longer context
                    if blames_the_request(error):
                        raise
                    deployment.health.failed()
                    if out.visible or error.code == "total":
                        raise
                    out.restart()
                    if number == route.retry.attempts or not again(error):
                        break
                    await asyncio.sleep(wait_before(number, route.retry, error, self._random))
                else:
                    self._observer.attempted(deployment.name, None)
                    deployment.health.succeeded()
                    return
        if last is None:
            raise Overloaded(f"model {route.model!r} has as many streams as it may have", retry_after=1)
        raise last

    async def _attempt(
        self, deployment: Deployment, timeouts: Timeouts, deadline: float, request: Request, out: Progress
    ) -> None:
        watchdog = _Watchdog(self._clock, timeouts, deadline, out)
        deployment.health.open += 1
        try:
            await deployment.source.run(request, out)
        except asyncio.CancelledError:
            if watchdog.error is None or watchdog.task.uncancel() > 0:
                raise
            raise watchdog.error from None
        finally:
            deployment.health.open -= 1
            watchdog.stop()
        if not out.ended:
            raise SourceError(f"{deployment.name} ended its answer without an end")


class _Watchdog:
    """The deadlines of one attempt, on one timer that is armed again only when it fires.

    Cancels the attempt's task when nothing has come in time; ``error`` says which deadline it was.
    """

    def __init__(self, clock: Clock, timeouts: Timeouts, deadline: float, out: Progress) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.error: TimedOut | None = None
        self._clock = clock
        self._timeouts = timeouts
        self._begun = clock.monotonic()
        self._deadline = deadline
        self._out = out
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._next()[0] - self._begun, self._fire)

    def stop(self) -> None:
        """The attempt is over."""
        self._timer.cancel()

    def _next(self) -> tuple[float, str, float]:
        """When the next deadline is, which one, and how long it was."""
        timeouts, out = self._timeouts, self._out
        if out.first_delta_at is None:
            due, name, seconds = self._begun + timeouts.first_token, "first_token", timeouts.first_token
        elif out.paused:  # the reader is slow, not the upstream
            due, name, seconds = self._clock.monotonic() + timeouts.idle, "idle", timeouts.idle
        else:
            due, name, seconds = out.last_delta_at + timeouts.idle, "idle", timeouts.idle
        if self._deadline < due:
            return self._deadline, "total", timeouts.total
        return due, name, seconds

    def _fire(self) -> None:
        due, name, seconds = self._next()
        left = due - self._clock.monotonic()
        if left > 0.001:
            self._timer = self._loop.call_later(left, self._fire)
            return
        what = {
            "first_token": f"no token came within {seconds:g} s",
            "idle": f"no token came for {seconds:g} s",
            "total": f"the answer was not complete within {seconds:g} s",
        }[name]
        self.error = TimedOut(what, code=name)
        self.task.cancel()


def wait_before(number: int, retry: Retry, error: SourceError, random: Callable[[], float]) -> float:
    """Seconds after attempt ``number``: what the upstream asked for, else exponential with jitter."""
    if error.retry_after is not None:
        return error.retry_after
    backoff: float = retry.backoff * 2 ** (number - 1)
    return min(backoff, _LONGEST_WAIT) * (0.5 + random() / 2)


def blames_the_request(error: SourceError) -> bool:
    """Whether any other deployment would refuse the request as well."""
    if isinstance(error, TooLong):
        return False
    return isinstance(error, Rejected) and error.status in _THIS_REQUEST


def _another_model_may(error: TidegateError) -> bool:
    """Whether what failed with one model may succeed with another, in the time that is left."""
    return error.code != "total" and not (isinstance(error, SourceError) and blames_the_request(error))


def again(error: SourceError) -> bool:
    """Whether the same deployment is worth another attempt."""
    if not error.retryable or error.code == "first_token":
        return False
    return error.retry_after is None or error.retry_after <= _LONGEST_WAIT
