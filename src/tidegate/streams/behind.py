"""Whose turn it is, of readers that came late and catch up: one takes a step at each turn of the event loop.

However many they are, everybody else waits for no more than one step.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Behind:
    """Steps that are to be taken, in their order."""

    def __init__(self) -> None:
        self._steps: deque[Callable[[], None]] = deque()

    def __bool__(self) -> bool:
        return bool(self._steps)

    def add(self, step: Callable[[], None]) -> None:
        """Take this step when those before it are taken; it may add another one."""
        if not self._steps:
            self._wake()
        self._steps.append(step)

    def _wake(self) -> None:
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        step = self._steps.popleft()
        if self._steps:
            self._wake()
        step()
