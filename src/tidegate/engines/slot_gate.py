"""Lets requests into llama.cpp in the order they came, never more than it has slots for.

llama.cpp has a queue of its own, but nothing that waits there can be cancelled: its call gives no sign of
life before the request's first batch. It also computes one long prompt before it begins with the next, so a
prompt that was let in early would only hold a slot. Requests therefore wait here, where their connection is
watched.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

_LOOK_EVERY: Final = 0.1  # seconds between two looks at the connection of a request that waits


class QueueFull(Exception):
    """More requests wait than anybody will want to wait for."""


class SlotGate:
    """A first-come-first-served gate for threads: ``slots`` at once, and one of them in its prompt."""

    def __init__(self, slots: int, longest_queue: int) -> None:
        self.slots = slots
        self._free = slots
        self._longest_queue = longest_queue
        self._prompt_under_way: Admission | None = None
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    def __repr__(self) -> str:
        return f"<SlotGate {self.running} of {self.slots} running, {self.queued} queued>"

    @property
    def running(self) -> int:
        """Slots that are taken."""
        return self.slots - self._free

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return len(self._queue)

    def enter(self, slots: int, abandoned: Callable[[], bool]) -> Admission | None:
        """Wait for ``slots`` slots and the turn to compute a prompt; None once ``abandoned()`` is true.

        Raises QueueFull.
        """
        wanted = max(1, min(slots, self.slots))
        place = object()
        with self._changed:
            if len(self._queue) >= self._longest_queue:
                raise QueueFull
            self._queue.append(place)
            try:
                while not self._open_for(place, wanted):
                    self._changed.wait(_LOOK_EVERY)
                    if abandoned():
                        return None
                admission = Admission(self, wanted)
                self._free -= wanted
                self._prompt_under_way = admission
                return admission
            finally:
                self._queue.remove(place)
                self._changed.notify_all()

    def _open_for(self, place: object, wanted: int) -> bool:
        return self._queue[0] is place and self._free >= wanted and self._prompt_under_way is None

    def prompt_done(self, admission: Admission) -> None:
        """Let the next request begin with its prompt."""
        with self._changed:
            if self._prompt_under_way is admission:
                self._prompt_under_way = None
                self._changed.notify_all()

    def leave(self, admission: Admission) -> None:
        """Give the slots back."""
        with self._changed:
            self._free += admission.slots
            if self._prompt_under_way is admission:
                self._prompt_under_way = None
            self._changed.notify_all()


class Admission:
    """The right of one request to its slots, until it leaves."""

    __slots__ = ("_gate", "slots")

    def __init__(self, gate: SlotGate, slots: int) -> None:
        self._gate = gate
        self.slots = slots

    def prompt_done(self) -> None:
        """Say that the prompt is computed; saying it again does nothing."""
        self._gate.prompt_done(self)

    def __enter__(self) -> Admission:
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.leave(self)
