"""Keeps worker processes alive: starts them, replaces those that die, tells all of them what is asked of one.

Knows nothing of what they serve. What a worker is to do is one JSON value that it asks for at its start.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from tidegate.engines.restart import BackOff, RestartPolicy
from tidegate.errors import ConfigError
from tidegate.server.workers.channel import ChannelClosed
from tidegate.server.workers.child import Child

logger = logging.getLogger("tidegate")

TASK: Final = "task"
READY: Final = "ready"
RELOAD: Final = "reload"
STOP: Final = "stop"
NOW: Final = "now"
ALIVE: Final = "alive"

_LOOK_SECONDS: Final = 5.0
_LONGEST_SILENCE: Final = 60.0
"""A worker that answers nothing for so long hangs, however busy it is, and is replaced."""

_GRACE: Final = 10.0
"""Seconds beyond its own deadline that a worker has to end."""

Spawn = Callable[[int, Mapping[str, Callable[[Any], Awaitable[Any]]]], Awaitable[Child]]
"""Starts the process of a number, with what answers its questions."""

_POLICY: Final = RestartPolicy(first=0.5, longest=30.0, healthy_after=30.0)


class Supervisor:
    """Worker processes by their numbers, from 0.

    ``task`` is what one is told to do, of which :meth:`reload` makes another. ``ended`` is called with the
    number of one that died.
    """

    def __init__(
        self,
        count: int,
        task: Any,
        spawn: Spawn,
        *,
        ended: Callable[[int], None],
        policy: RestartPolicy = _POLICY,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._task = task
        self._spawn = spawn
        self._told_end = ended
        self._seats = [_Seat(number, BackOff(policy, monotonic, jitter)) for number in range(count)]
        self._monotonic = monotonic
        self._stopping = False

    async def start(self) -> Any:
        """Start all; what the first says when it is ready. Raises ConfigError when one cannot begin."""
        ready = [asyncio.ensure_future(self._begin(seat)) for seat in self._seats]
        try:
            told = await asyncio.gather(*ready)
        except BaseException:
            for each in ready:
                each.cancel()
            await asyncio.gather(*ready, return_exceptions=True)
            await self.stop(0.0, asyncio.Event())
            raise
        for seat in self._seats:
            seat.watch = asyncio.ensure_future(self._keep(seat))
        return told[0]

    async def reload(self, task: Any) -> None:
        """Give all a new task, one at first. When that refuses it, raises ConfigError and nothing changes."""
        accepted = False
        for seat in self._seats:
            if seat.child is None or not seat.ready:
                continue  # it begins with what is the task by then
            try:
                problem = await seat.child.channel.ask(RELOAD, task)
            except ChannelClosed:
                continue
            if problem is None:
                # From here on a worker that has to be replaced begins with the new one.
                self._task, accepted = task, True
            elif accepted:
                logger.error("worker %d goes on with the old configuration: %s", seat.number, problem)
            else:
                raise ConfigError(problem)
        self._task = task

    async def stop(self, seconds: float, now: asyncio.Event) -> None:
        """Have all finish what is under way, within ``seconds`` or until ``now``; then they are ended."""
        self._stopping = True
        for seat in self._seats:
            if seat.watch is not None and seat.child is None:
                seat.watch.cancel()
        waits = [asyncio.ensure_future(self._end(seat, seconds, now)) for seat in self._seats]
        await asyncio.gather(*waits)
        watches = [seat.watch for seat in self._seats if seat.watch is not None]
        await asyncio.gather(*watches, return_exceptions=True)

    async def _begin(self, seat: _Seat) -> Any:
        """Start one process and wait until it serves. Raises ConfigError with what keeps it from that."""
        ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def task(_: Any) -> Any:
            seat.task = self._task
            return {"number": seat.number, "task": seat.task}

        async def told(value: Any) -> None:
            if not ready.done():
                ready.set_result(value)

        try:
            seat.child = child = await self._spawn(seat.number, {TASK: task, READY: told})
        except OSError as error:
            raise ConfigError(f"worker {seat.number} cannot be started: {error.strerror or error}") from None
        seat.end = asyncio.ensure_future(child.wait())
        await asyncio.wait({ready, seat.end}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            raise ConfigError(f"worker {seat.number} {seat.end.result()} while it was starting")
        value = ready.result()
        if "problem" in value:
            raise ConfigError(value["problem"])
        while seat.task is not self._task:  # there was a reload while it was starting
            seat.task = self._task
            await _ask(child, RELOAD, seat.task)
        seat.ready = True
        return value

    async def _keep(self, seat: _Seat) -> None:
        """Replace one worker whenever it dies."""
        while True:
            began = self._monotonic()
            how = await self._watched(seat)
            seat.child, seat.ready = None, False
            if self._stopping:
                return
            self._told_end(seat.number)
            logger.error("worker %d %s; its connections are lost, another takes its place", seat.number, how)
            seat.back_off.failed(self._monotonic() - began)
            if not await self._begun_again(seat):
                return
            logger.info("worker %d is ready again", seat.number)

    async def _watched(self, seat: _Seat) -> str:
        """Wait for the end of a worker, ending it when it hangs, and say how it ended."""
        child, end = seat.child, seat.end
        assert child is not None
        assert end is not None
        hung = False
        while not (await asyncio.wait({end}, timeout=_LOOK_SECONDS))[0]:
            alive = asyncio.ensure_future(_ask(child, ALIVE))
            await asyncio.wait({alive, end}, timeout=_LONGEST_SILENCE, return_when=asyncio.FIRST_COMPLETED)
            silent = not alive.done() and not end.done()
            alive.cancel()
            if silent and not self._stopping:
                hung = True
                child.kill()
                await end
        how: str = await end
        return f"answered nothing for {_LONGEST_SILENCE:g} s and was ended" if hung else how

    async def _begun_again(self, seat: _Seat) -> bool:
        """Whether there is a worker again, however often that is tried; False when all are to stop."""
        while True:
            await asyncio.sleep(seat.back_off.remaining)
            try:
                await self._begin(seat)
            except ConfigError as error:
                if self._stopping:
                    return False
                await self._discard(seat)
                seat.back_off.failed(0.0)
                logger.error("%s; next try in %.0f s", error.message, seat.back_off.remaining)
            else:
                return True

    async def _discard(self, seat: _Seat) -> None:
        if seat.child is not None and seat.end is not None:
            seat.child.kill()
            await seat.end
        seat.child, seat.ready = None, False

    async def _end(self, seat: _Seat, seconds: float, now: asyncio.Event) -> None:
        child, end = seat.child, seat.end
        if child is None or end is None or end.done():
            return
        if not seat.ready:  # it serves nobody yet
            child.kill()
            await end
            return
        await _ask(child, STOP)
        hurry: asyncio.Future[Any] = asyncio.ensure_future(now.wait())
        await asyncio.wait({end, hurry}, timeout=seconds + _GRACE, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not end.done() and now.is_set():
            await _ask(child, NOW)
            await asyncio.wait([end], timeout=_GRACE)
        if not end.done():
            logger.error("worker %d does not end by itself and is killed", seat.number)
            child.kill()
            await end


class _Seat:
    """The place of one worker, whoever has it now."""

    def __init__(self, number: int, back_off: BackOff) -> None:
        self.number = number
        self.back_off = back_off
        self.child: Child | None = None
        self.ready = False
        self.task: Any = None
        """What it was told at its start."""
        self.end: asyncio.Future[Any] | None = None
        """How the process ended, in words."""
        self.watch: asyncio.Future[None] | None = None


async def _ask(child: Child, question: str, value: Any = None) -> Any:
    """What a worker answers; None when it has gone."""
    try:
        return await child.channel.ask(question, value)
    except ChannelClosed:
        return None
