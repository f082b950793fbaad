"""Shows an answer while it comes, until it has ended or Ctrl-C ends it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tidegate.cli.answer import Answer, Arrival, Measured
from tidegate.cli.terminal.display import FRAME_SECONDS, Display
from tidegate.core.event import AnyEvent, Text, Thinking, Tool, status_told
from tidegate.errors import TidegateError


@dataclass(frozen=True, slots=True)
class Ended:
    """How an answer ended: with an error, cancelled, or well."""

    measured: Measured
    error: TidegateError | None
    cancelled: bool


def follow(answer: Answer, display: Display) -> Ended:
    """Show an answer to its end. Ctrl-C ends it here, and raises nothing."""
    measured = Measured()
    try:
        with _interrupt_calls(answer.cancel), display.drawing():
            last = _show_all(answer, measured, display)
            display.close()
    finally:
        answer.close()
    measured.asked_at = answer.asked_at
    if last.error is not None and not isinstance(last.error, TidegateError):
        raise last.error
    return Ended(measured, last.error, cancelled=last.error is None and not last.events)


def _show_all(answer: Answer, measured: Measured, display: Display) -> Arrival:
    """Show what arrives, and return the last of it."""
    while True:
        arrival = answer.next(FRAME_SECONDS)
        if arrival is not None:
            measured.take(arrival)
            for event in arrival.events:
                _show(event, display)
            if arrival.last:
                return arrival
        display.draw()


def _show(event: AnyEvent, display: Display) -> None:
    match event:
        case Text():
            display.text(event.text)
        case Thinking() if status_told(event) is not None:
            display.status(event.text.rstrip())
        case Thinking():
            display.thinking(event.text)
        case Tool():
            display.call(event.block, event.name, event.arguments)
        case _:
            pass


@contextmanager
def _interrupt_calls(action: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C calls ``action`` and raises nothing, so that no drawing is cut in half."""
    before = signal.signal(signal.SIGINT, lambda *_: action())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
