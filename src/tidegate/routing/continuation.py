"""Going on with an answer that broke off after something was shown: at the same model, where it truly can.

What was shown is read from the log. Each deployment of the same model is asked up to ``retry.attempts`` times
for an answer, however often that breaks; the deadline is that of the whole answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import msgspec

from tidegate.config import Timeouts
from tidegate.core.attempt import Seam
from tidegate.core.clock import Clock
from tidegate.core.event import AnyEvent
from tidegate.core.overlap import Overlap
from tidegate.core.request import Request
from tidegate.core.source import Continues, Continuing
from tidegate.errors import LogError, SourceError
from tidegate.routing.choose import choose
from tidegate.routing.progress import Observer, Progress, Watched
from tidegate.routing.retry import again, blames_the_request, wait_before
from tidegate.routing.shown import Shown, characters_of, look, why_not
from tidegate.routing.splice import Splice
from tidegate.routing.table import Deployment, Route

logger = logging.getLogger("tidegate")

_PATIENCE = 5.0
_POLL = 0.01
"""Seconds: a log that waits for the disk shows a little later what it was given."""

Attempting = Callable[[Deployment, Timeouts, float, Request, Watched], Coroutine[Any, Any, None]]
"""Asks one source once; the float is the deadline."""


class Continuation:
    """Goes on with answers. Holds what every attempt needs, and no state of its own."""

    def __init__(
        self, clock: Clock, random: Callable[[], float], observer: Observer, attempt: Attempting
    ) -> None:
        self._clock = clock
        self._random = random
        self._observer = observer
        self._attempt = attempt

    async def go_on(
        self,
        route: Route,
        timeouts: Timeouts,
        deadline: float,
        request: Request,
        out: Progress,
        broken: Deployment,
        error: SourceError,
        said: Sequence[AnyEvent] | None = None,
    ) -> None:
        """Go on at deployments of the model of ``broken``, which ended in ``error``, until one has answered.

        Raises the error of the last break where that is not possible or fails. ``said`` is what was shown, if
        that is known.
        """
        if (request.on_break or route.on_break) == "fail":
            raise error
        tries: Counter[str] = Counter()
        while True:
            shown = await _shown(request, out, said)
            if isinstance(shown, str):
                logger.info("an answer of %s broke off and is not gone on with: %s", broken.name, shown)
                raise error
            asked = msgspec.structs.replace(request, begun=shown.begun)
            ended = await self._next(route, timeouts, deadline, asked, out, shown, broken, error, tries)
            if ended is None:
                return
            (broken, error), said = ended, None
            if error.code == "total" or blames_the_request(error):
                raise error

    async def _next(
        self,
        route: Route,
        timeouts: Timeouts,
        deadline: float,
        asked: Request,
        out: Progress,
        shown: Shown,
        broken: Deployment,
        error: SourceError,
        tries: Counter[str],
    ) -> tuple[Deployment, SourceError] | None:
        """Ask until one has answered; or has shown something and broken off in its turn: returned."""
        for deployment, continues in self._candidates(route, broken, asked):
            while tries[deployment.name] < route.retry.attempts:
                tries[deployment.name] += 1
                seam = Seam(
                    seq=shown.seq,
                    characters=len(shown.text),
                    before=broken.name,
                    after=deployment.name,
                    error=error.code or error.type,
                )
                overlap = Overlap(shown.given, shown.tail, echoes=continues == "echoing")
                splice = Splice(out, self._clock, shown, seam, overlap)
                try:
                    await self._attempt(deployment, timeouts, deadline, asked, splice)
                except SourceError as failed:
                    self._observer.attempted(deployment.name, failed)
                    if failed.retryable:  # else it only cannot do this
                        deployment.health.failed()
                    if splice.visible:
                        return deployment, failed
                    logger.info("%s does not go on for %s: %s", deployment.name, broken.name, failed.message)
                    if failed.code == "total":
                        raise
                    if not again(failed):
                        break
                    if tries[deployment.name] < route.retry.attempts:
                        pause = wait_before(tries[deployment.name], route.retry, failed, self._random)
                        await asyncio.sleep(pause)
                else:
                    self._observer.attempted(deployment.name, None)
                    deployment.health.succeeded()
                    return None
        raise error

    def _candidates(
        self, route: Route, broken: Deployment, asked: Request
    ) -> Iterator[tuple[Deployment, Continues]]:
        """The deployments of the same model that can go on: healthy ones first, the broken one last."""
        may = [each for each in route.deployments if each is broken or (each.same(broken) and asked.fallback)]
        order = choose(may, self._random)
        for deployment in sorted(order, key=lambda each: each is broken):
            source = deployment.source
            continues = source.continues(asked) if isinstance(source, Continuing) else None
            if continues is not None:
                yield deployment, continues


async def _shown(request: Request, out: Progress, said: Sequence[AnyEvent] | None) -> Shown | str:
    """What was shown, or why it cannot be gone on with."""
    try:
        shown = look(await _said(out) if said is None else said)
    except LogError as error:
        return error.message
    if isinstance(shown, str):
        return shown
    return why_not(request, shown) or shown


async def _said(out: Progress) -> list[AnyEvent]:
    """All that the stream was told, once its log shows it. Raises LogError."""
    for _ in range(round(_PATIENCE / _POLL)):
        said = out.said()
        if characters_of(said) >= out.characters:
            return said
        await asyncio.sleep(_POLL)
    raise LogError("what was said does not come back from the log")
