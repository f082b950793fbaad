"""What routing needs of an output: to see how far an answer has come, and to say what became of attempts."""

from __future__ import annotations

from typing import Protocol

from tidegate.core.attempt import Attempt, Seam
from tidegate.core.event import AnyEvent
from tidegate.core.source import Output
from tidegate.core.usage import Usage
from tidegate.errors import SourceError


class Watched(Output, Protocol):
    """An output that also tells how far it has come. What concerns one attempt begins anew with each.

    ``deltas`` and ``characters`` count what was shown, ``pauses`` how often a slow reader stopped the source.
    ``unhurried_seconds`` is how long persons were waited for, with the one who is waited for now.
    """

    @property
    def visible(self) -> bool: ...
    @property
    def ended(self) -> bool: ...
    @property
    def paused(self) -> bool: ...
    @property
    def pauses(self) -> int: ...
    @property
    def deltas(self) -> int: ...
    @property
    def characters(self) -> int: ...
    @property
    def first_delta_at(self) -> float | None: ...
    @property
    def last_delta_at(self) -> float: ...
    @property
    def is_unhurried(self) -> bool: ...
    @property
    def unhurried_seconds(self) -> float: ...
    @property
    def usage(self) -> Usage | None: ...

    def attempted(self, attempt: Attempt) -> None: ...


class Progress(Watched, Protocol):
    """A stream on its way."""

    model: str | None
    answering: str | None
    """Who answers, named by whoever asks one of several."""

    @property
    def attempts(self) -> tuple[Attempt, ...]: ...
    @property
    def seams(self) -> tuple[Seam, ...]: ...

    def restart(self) -> None: ...

    def join(self, seam: Seam) -> None: ...

    def said(self) -> list[AnyEvent]: ...


class Observer(Protocol):
    """Is told how each attempt ended."""

    def attempted(self, deployment: str, error: SourceError | None) -> None: ...
