"""Owns sources that do as a test says, and the deployments and routes around them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.streams.parts import ManualClock
from tidegate.config import Retry, Timeouts
from tidegate.core.clock import Clock
from tidegate.core.event import End, Finish, Start, Text
from tidegate.core.request import Request
from tidegate.core.source import Continues, Output
from tidegate.errors import SourceError
from tidegate.routing.health import Health
from tidegate.routing.table import Deployment, Route

REQUEST = Request(dialect="openai-chat", model="m", fields={})

Deed = Callable[[Output], Awaitable[None]]
"""What a source does for one request."""


def says(*words: str) -> Deed:
    """A whole answer."""

    async def deed(out: Output) -> None:
        out.emit_all([Start(), *(Text(text=word) for word in words)])
        out.emit_all([Finish(reason="stop"), End(outcome="completed")])

    return deed


def fails(error: SourceError, *words: str, after: float = 0) -> Deed:
    """Words, then an error."""

    async def deed(out: Output) -> None:
        out.emit(Start())
        for word in words:
            out.emit(Text(text=word))
        if after:
            await asyncio.sleep(after)
        raise error

    return deed


def stalls(*words: str, every: float = 0.0) -> Deed:
    """Words with pauses between them, and then nothing at all, for ever."""

    async def deed(out: Output) -> None:
        out.emit(Start())
        for word in words:
            await asyncio.sleep(every)
            out.emit(Text(text=word))
        await asyncio.get_running_loop().create_future()

    return deed


class Doing:
    """A source that does one deed for each request, the last one again and again."""

    def __init__(self, *deeds: Deed) -> None:
        self._deeds = list(deeds)
        self.asked_at: list[float] = []
        self.asked: list[Request] = []
        self.cancelled = 0

    async def run(self, request: Request, out: Output) -> None:
        self.asked_at.append(asyncio.get_running_loop().time())
        self.asked.append(request)
        deed = self._deeds.pop(0) if len(self._deeds) > 1 else self._deeds[0]
        try:
            await deed(out)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class GoingOn(Doing):
    """One that goes on with what was begun."""

    how: Continues | None = "exactly"

    def continues(self, request: Request) -> Continues | None:
        return self.how


@dataclass(slots=True)
class Watching:
    """An observer that keeps how every attempt ended."""

    attempts: list[tuple[str, str]] = field(default_factory=list)

    def attempted(self, deployment: str, error: SourceError | None) -> None:
        self.attempts.append((deployment, error.message if error is not None else ""))


def deployment(
    name: str,
    source: Doing | None = None,
    clock: Clock | None = None,
    *,
    weight: float = 1.0,
    max_streams: int | None = None,
    model: str = "",
    same_as: str | None = None,
) -> Deployment:
    return Deployment(
        name,
        source or Doing(says("a")),
        Health(clock or ManualClock()),
        weight=weight,
        max_streams=max_streams,
        model=model,
        same_as=same_as,
    )


def route(
    *deployments: Deployment, retry: Retry | None = None, timeouts: Timeouts | None = None, model: str = "m"
) -> Route:
    return Route(model, deployments, timeouts or Timeouts(), retry or Retry())
