"""Owns the event loops of tests that look below HTTP: real ones, and one whose clock needs no waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import uvloop

_P = ParamSpec("_P")

_DEADLINE = 20.0
"""Seconds after which a test on a real loop has failed, however busy the machine is."""

_AT_ONCE = 100
"""Turns of a loop in which all that needs no other process has happened; from then on, waits are paused."""

_PAUSE = 0.002


class SkippingLoop(asyncio.SelectorEventLoop):
    """A loop with real sockets whose clock also runs ahead by what a test skips."""

    _skipped = 0.0

    def time(self) -> float:
        return super().time() + self._skipped

    def skip(self, seconds: float) -> None:
        """Timers that are due by then run in the next round of the loop."""
        self._skipped += seconds


class _Jumping(selectors.SelectSelector):
    """Never waits: with nothing ready, time is what passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise AssertionError("nothing is left that could wake this test")
            self.now += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop without sockets whose clock begins at 0 and jumps to the next timer when nothing is to do."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class LoopClock:
    """The running loop's time as a :class:`tidegate.core.clock.Clock`; the calendar begins at an epoch."""

    def __init__(self, epoch_ms: int = 1_700_000_000_000) -> None:
        self._epoch_ms = epoch_ms

    def now_ms(self) -> int:
        return self._epoch_ms + int(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def run(test: Coroutine[Any, Any, None], loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Run a test to its end; what the loop would only have logged, or a task without an owner, fails it."""
    problems: list[str] = []

    def note(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        problems.append(f"{context['message']}: {context.get('exception')!r}")

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(note)
        await test
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            raise AssertionError(f"tasks are left: {left}")

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(watched())
    if problems:
        raise AssertionError("; ".join(problems))


def in_virtual_time(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, None]:
    """Make a coroutine a test whose waits cost nothing."""

    @wraps(test)
    def running(*arguments: _P.args, **named: _P.kwargs) -> None:
        run(test(*arguments, **named), VirtualLoop)

    return running


def on_both_loops(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, None]:
    """Make a coroutine a test that runs on asyncio's loop and then on uvloop's, which is what servers use."""

    @wraps(test)
    def running(*arguments: _P.args, **named: _P.kwargs) -> None:
        for loop in (asyncio.SelectorEventLoop, uvloop.new_event_loop):
            run(_within_deadline(test(*arguments, **named)), loop)

    return running


def on_a_skipping_loop(
    test: Callable[Concatenate[SkippingLoop, _P], Coroutine[Any, Any, None]],
) -> Callable[_P, None]:
    """Make a coroutine that is given a :class:`SkippingLoop` a test."""

    def running(*arguments: _P.args, **named: _P.kwargs) -> None:
        loop = SkippingLoop()
        run(test(loop, *arguments, **named), lambda: loop)

    running.__name__, running.__doc__ = test.__name__, test.__doc__
    return running


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until the condition holds; the test's own deadline ends a wait in vain.

    What another process does takes long, and takes longer beside one that turns without a pause.
    """
    pause = 0.0 if isinstance(asyncio.get_running_loop(), VirtualLoop) else _PAUSE
    turned = 0
    while not condition():  # what is waited for tells nobody
        turned += 1
        await asyncio.sleep(pause if turned > _AT_ONCE else 0)


async def turns(count: int = 20) -> None:
    """Let the loop turn so often that whatever is ready has run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def _within_deadline(test: Coroutine[Any, Any, None]) -> None:
    async with asyncio.timeout(_DEADLINE):
        await test
