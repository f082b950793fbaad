"""Answers calls from routes: retry and fallback until something was sent back, deadlines on every attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from tidegate.core.call import Call, CallSource, Reply
from tidegate.core.clock import Clock
from tidegate.core.usage import Usage
from tidegate.errors import Overloaded, Rejected, SourceError, TimedOut, TooLong, Unsupported
from tidegate.routing.choose import choose
from tidegate.routing.progress import Observer
from tidegate.routing.retry import again, blames_the_request, wait_before
from tidegate.routing.table import Deployment, Route

_LACKING = frozenset({404, 405, 501})
"""Statuses of a server that has no such endpoint or model; another deployment may have it."""


class Delivery(Protocol):
    """What is done with an answer."""

    begun: bool
    """Some of it has reached the caller, so nothing may be tried again."""
    usage: Usage | None
    """The tokens that it took, where it tells."""

    async def take(self, reply: Reply) -> None:
        """Read the answer. Raises SourceError."""
        ...


class Calls:
    """Sees calls through. Holds what every attempt needs, and how many are under way."""

    def __init__(self, clock: Clock, random: Callable[[], float], observer: Observer) -> None:
        self._clock = clock
        self._random = random
        self._observer = observer
        self.open = 0

    async def answer(self, route: Route, call: Call, delivery: Delivery) -> None:
        """Run deployments of the route until one has answered. Raises the last SourceError."""
        self.open += 1
        try:
            await self._answer(route, call, delivery)
        finally:
            self.open -= 1

    async def _answer(self, route: Route, call: Call, delivery: Delivery) -> None:
        deadline = self._clock.monotonic() + route.timeouts.total
        last: SourceError | None = None
        for deployment in choose(route.deployments, self._random):
            for number in range(1, route.retry.attempts + 1):
                try:
                    await self._attempt(route, deployment, call, delivery, deadline)
                except SourceError as error:
                    self._observer.attempted(deployment.name, error)
                    if last is None or not isinstance(error, Unsupported):
                        last = error
                    if isinstance(error, (Unsupported, TooLong)) or _lacks(error):
                        break
                    if blames_the_request(error):
                        raise
                    deployment.health.failed()
                    if delivery.begun or error.code == "total":
                        raise
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
        self, route: Route, deployment: Deployment, call: Call, delivery: Delivery, deadline: float
    ) -> None:
        source = deployment.source
        if not isinstance(source, CallSource):
            raise Unsupported(f"{deployment.name} has no {call.path.lstrip('/')}", param="model")
        timeouts = route.timeouts
        patience = timeouts.total if call.slow else timeouts.first_token
        deployment.health.open += 1
        try:
            async with self._within(patience, "first_token", deadline):
                reply = await source.call(call)
            try:
                await delivery.take(_Hurried(reply, lambda: self._within(timeouts.idle, "idle", deadline)))
            finally:
                reply.close()
        finally:
            deployment.health.open -= 1

    @asynccontextmanager
    async def _within(self, seconds: float, name: str, deadline: float) -> AsyncIterator[None]:
        """Raises TimedOut when what is inside takes longer, or beyond the deadline."""
        left = deadline - self._clock.monotonic()
        if left < seconds:
            seconds, name = max(left, 0.0), "total"
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            what = "the answer was not complete in time" if name == "total" else "nothing came in time"
            raise TimedOut(f"{what} ({seconds:g} s)", code=name) from None


class _Hurried:
    """A reply whose reading has deadlines. Implements :class:`tidegate.core.call.Reply`."""

    def __init__(self, reply: Reply, within: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self._reply = reply
        self._within = within
        self.close = reply.close

    async def read(self) -> bytes:
        async with self._within():
            return await self._reply.read()


def _lacks(error: SourceError) -> bool:
    return isinstance(error, Rejected) and error.status in _LACKING
