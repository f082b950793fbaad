"""Attempts: retry and fallback to other deployments and models before the first visible delta, and deadlines.

After the first visible delta nothing is begun again: the answer is gone on with where that is correct
(:mod:`tidegate.routing.continuation`), or the error goes to whoever reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from tidegate.config import Timeouts
from tidegate.core.attempt import Attempt
from tidegate.core.clock import Clock
from tidegate.core.event import AnyEvent, Outcome, Start
from tidegate.core.request import Request
from tidegate.core.source import Repeatable
from tidegate.errors import Interrupted, Overloaded, SourceError, TidegateError, TooLong, Unsupported
from tidegate.routing.choose import choose
from tidegate.routing.continuation import Continuation
from tidegate.routing.plan import Asked, Plan
from tidegate.routing.progress import Observer, Progress, Watched
from tidegate.routing.retry import again, another_model_may, blames_the_request, wait_before
from tidegate.routing.shown import has_shown
from tidegate.routing.table import Deployment, Route
from tidegate.routing.watchdog import Watchdog


class Attempts:
    """Answers requests from routes. Holds what every attempt needs, and no state of its own."""

    def __init__(self, clock: Clock, random: Callable[[], float], observer: Observer) -> None:
        self._clock = clock
        self._random = random
        self._observer = observer
        self._continuation = Continuation(clock, random, observer, self._attempt)

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

    async def go_on(
        self, plan: Plan, out: Progress, said: Sequence[AnyEvent], deployment: str | None = None
    ) -> None:
        """Answer what a process that ended had begun to answer: ``said`` is what the log holds of it.

        ``deployment`` is the one that was answering, where that is known. Begins anew where nothing was
        shown, goes on by the rules for broken upstreams where something was, and raises Interrupted where
        that fails or is not allowed; a SourceError where the answer broke again after more was shown.
        """
        first = plan[0]
        if isinstance(first.route.deployments[0].source, Repeatable):
            again = msgspec.structs.replace(first.request, shown=said)
            await self.answer((Asked(first.route, again),), out)
            return
        if not has_shown(said):
            await self.answer(plan, out)
            return
        asked, broken = _answering(plan, said, deployment)
        timeouts = msgspec.structs.replace(asked.route.timeouts, total=plan[0].route.timeouts.total)
        deadline = self._clock.monotonic() + timeouts.total
        error = Interrupted("the gateway was stopped before the answer ended")
        if broken is None:
            raise error
        out.model = asked.route.model if asked is not plan[0] else None
        shown = out.deltas
        try:
            await self._continuation.go_on(
                asked.route, timeouts, deadline, asked.request, out, broken, error, said
            )
        except SourceError as raised:
            if out.deltas > shown or raised is error:
                raise
            raise error from raised

    async def _ask_all(self, plan: Plan, deadline: float, out: Progress) -> None:
        total = plan[0].route.timeouts.total
        for number, asked in enumerate(plan, 1):
            route = asked.route
            out.model = route.model if number > 1 else None
            timeouts = msgspec.structs.replace(route.timeouts, total=total)
            try:
                await self._ask(route, timeouts, deadline, asked.request, out, several=True)
            except (SourceError, Overloaded) as error:
                if number == len(plan) or out.visible or not another_model_may(error):
                    raise
            else:
                return

    async def _ask(
        self,
        route: Route,
        timeouts: Timeouts,
        deadline: float,
        request: Request,
        out: Progress,
        *,
        several: bool = False,
    ) -> None:
        """Run deployments of the route until one has answered. Raises the last SourceError."""
        several = several or len(route.deployments) > 1
        last: SourceError | None = None
        deployments = choose(route.deployments, self._random)
        for deployment in deployments if request.fallback else deployments[:1]:
            out.answering = deployment.name if several else None
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
                    if error.code == "total":
                        raise
                    if out.visible:
                        break
                    out.restart()
                    if number == route.retry.attempts or not again(error):
                        break
                    await asyncio.sleep(wait_before(number, route.retry, error, self._random))
                else:
                    self._observer.attempted(deployment.name, None)
                    deployment.health.succeeded()
                    return
            if out.visible:
                assert last is not None
                await self._continuation.go_on(route, timeouts, deadline, request, out, deployment, last)
                return
        if last is None:
            raise Overloaded(f"model {route.model!r} has as many streams as it may have", retry_after=1)
        raise last

    async def _attempt(
        self, deployment: Deployment, timeouts: Timeouts, deadline: float, request: Request, out: Watched
    ) -> None:
        """Ask one source once, and record what came of it."""
        account = _Account(deployment.name, self._clock, out)
        watchdog = Watchdog(self._clock, timeouts, deadline, out)
        deployment.health.open += 1
        try:
            await deployment.source.run(request, out)
            if not out.ended:
                raise SourceError(f"{deployment.name} ended its answer without an end")
        except asyncio.CancelledError:
            error = watchdog.error
            if error is None or watchdog.task.uncancel() > 0:
                account.close("cancelled", None)
                raise
            account.close("failed", error)
            raise error from None
        except Exception as error:
            account.close("failed", error)
            raise
        else:
            account.close("completed", None)
        finally:
            deployment.health.open -= 1
            watchdog.stop()


class _Account:
    """What one attempt took and brought."""

    __slots__ = ("_began", "_began_ms", "_characters", "_clock", "_deltas", "_deployment", "_out")

    def __init__(self, deployment: str, clock: Clock, out: Watched) -> None:
        self._deployment = deployment
        self._clock = clock
        self._out = out
        self._began = clock.monotonic()
        self._began_ms = clock.now_ms()
        self._deltas = out.deltas
        self._characters = out.characters

    def close(self, outcome: Outcome, error: Exception | None) -> None:
        """Record it."""
        word = None
        if error is not None:
            word = (error.code or error.type) if isinstance(error, TidegateError) else "internal_error"
        out = self._out
        out.attempted(
            Attempt(
                deployment=self._deployment,
                began_ms=self._began_ms,
                seconds=self._clock.monotonic() - self._began,
                outcome=outcome,
                error=word,
                deltas=out.deltas - self._deltas,
                characters=out.characters - self._characters,
                usage=out.usage,
            )
        )


def _answering(plan: Plan, said: Sequence[AnyEvent], name: str | None) -> tuple[Asked, Deployment | None]:
    """Who was answering, by its name, or by the model under which its upstream answered.

    Where neither tells, it may have been anyone; that is as good where all are the same model.
    """
    told = next((event.model for event in said if isinstance(event, Start)), None)
    everyone = [(asked, deployment) for asked in plan for deployment in asked.route.deployments]
    for asked, deployment in everyone:
        if deployment.name == name or (name is None and told is not None and deployment.model == told):
            return asked, deployment
    asked, first = everyone[0]
    alike = name is None and all(first.same(other) for _, other in everyone)
    return asked, first if alike else None
