"""Shows an answer while it comes, until it has ended or Ctrl-C ends it; has a person answer what it asks."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tidegate.agents.questions import EXPIRED, RECEIVED, REQUIRED
from tidegate.cli.answer import Answer, Arrival, Measured
from tidegate.cli.terminal.display import FRAME_SECONDS, Display
from tidegate.core.event import AnyEvent, Item, Text, Thinking, Tool, status_told
from tidegate.errors import TidegateError


@dataclass(frozen=True, slots=True)
class Ended:
    """How an answer ended: with an error, cancelled, or well."""

    measured: Measured
    error: TidegateError | None
    cancelled: bool


Questions = dict[str, Mapping[str, Any]]
"""What an answer waits for, by the ids of the questions."""

Ask = Callable[[str, Mapping[str, Any]], bool]
"""Has a person answer a question of the stream; False where they would rather leave."""


def follow(answer: Answer, display: Display, ask: Ask | None = None) -> Ended:
    """Show an answer to its end, and ``ask`` what it asks. Ctrl-C ends it here, and raises nothing."""
    measured = Measured()
    open_: Questions = {}
    last: Arrival | None = None
    try:
        while last is None:
            with _interrupt_calls(answer.cancel), display.drawing():
                last = _show_all(answer, measured, display, open_, stops=ask is not None)
                display.close()
            if last is None and ask is not None:
                name, question = next(iter(open_.items()))
                del open_[name]
                if not ask(answer.stream_id, question):
                    answer.cancel()
    finally:
        answer.close()
    measured.asked_at = answer.asked_at
    if last.error is not None and not isinstance(last.error, TidegateError):
        raise last.error
    return Ended(measured, last.error, cancelled=last.error is None and not last.events)


def _show_all(
    answer: Answer, measured: Measured, display: Display, open_: Questions, *, stops: bool
) -> Arrival | None:
    """Show what arrives, and return the last of it; None where a question waits, if that ``stops`` it."""
    while True:
        arrival = answer.next(FRAME_SECONDS)
        if arrival is not None:
            measured.take(arrival)
            for event in arrival.events:
                _show(event, display)
                _note(event, open_)
            if arrival.last:
                return arrival
        elif open_ and stops:  # and no answer to it has come from elsewhere
            return None
        display.draw()


def _note(event: AnyEvent, open_: Questions) -> None:
    """Keep which questions are open."""
    if not isinstance(event, Item) or not isinstance(event.value, dict):
        return
    name = str(event.value.get("id"))
    if event.kind == REQUIRED:
        open_[name] = event.value
    elif event.kind in (RECEIVED, EXPIRED):
        open_.pop(name, None)


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
