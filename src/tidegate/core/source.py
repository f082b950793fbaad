"""The contract between whatever answers and whoever keeps the answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol, runtime_checkable

from tidegate.core.event import AnyEvent
from tidegate.core.request import Header, Request
from tidegate.core.steady import Passable, Steady
from tidegate.core.usage import Usage


class Flow(Protocol):
    """Something that can be told to stop pushing for a while (an upstream's transport)."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Output(Protocol):
    """Where a source puts its events. Emitting is synchronous and never blocks."""

    @property
    def header(self) -> Header:
        """The head of the stream that the events go into."""
        ...

    def emit(self, event: AnyEvent) -> None:
        """Append one event."""
        ...

    def emit_all(self, events: Sequence[AnyEvent]) -> None:
        """Append all events of one read at once: they reach every reader in one write."""
        ...

    def steady(self, steady: Steady, upstream: Passable) -> bool:
        """Offer that frames of a connection be passed by without the source for as long as they fit.

        False where they cannot be for now. It ends at any read that does not fit, which the connection then
        receives; what passed is told to ``steady``.
        """
        ...

    async def ready(self) -> None:
        """Wait until a reader has room; a source that pulls awaits this between its events."""
        ...

    def drop(self, fields: Sequence[str]) -> None:
        """Name the fields of the request that the source has no form for, so that the caller is told."""
        ...

    def unhurried(self) -> AbstractContextManager[None]:
        """Within this a person is waited for, and no deadline runs."""
        ...

    def count(self, usage: Usage) -> None:
        """Tell what was spent so far, where that is known before the end."""
        ...

    def control(self, flow: Flow | None) -> None:
        """Name what is to be paused while the reader is slow; a source that is pushed to calls this."""
        ...


class Source(Protocol):
    """Anything that turns a request into events."""

    async def run(self, request: Request, out: Output) -> None:
        """Answer ``request`` into ``out``, ending with End; raise a SourceError when that fails.

        Start may be emitted to pass on what the upstream's own start said. Cancellation of the task is
        the only way to stop it, and must release everything that it holds, the upstream's socket first.
        """
        ...


Continues = Literal["exactly", "echoing"]
"""How a source goes on with the beginning of an answer: with what follows it, or by repeating it first."""


@runtime_checkable
class Repeatable(Protocol):
    """A source that can be run again for an answer of its own that a killed process had begun.

    It is told what was shown (:attr:`tidegate.core.request.Request.shown`), and shows none of it again.
    """

    repeatable: Literal[True]


@runtime_checkable
class Continuing(Protocol):
    """A source that may truly go on with an answer that was begun elsewhere."""

    def continues(self, request: Request) -> Continues | None:
        """How it goes on with :attr:`tidegate.core.request.Request.begun`; None where it does not."""
        ...
