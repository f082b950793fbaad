"""An engine as the program sees it: a socket to connect to, behind which a child process is kept alive."""

from __future__ import annotations

import asyncio
import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tidegate.engines.child import Child, StartFailed, Unhealthy, this_python
from tidegate.engines.directory import EngineDirectory
from tidegate.engines.handshake import ChildOptions, EngineFacts, Purpose
from tidegate.engines.machine import UNSUPPORTED_PLATFORM
from tidegate.engines.restart import BackOff, RestartPolicy
from tidegate.errors import Unreachable

EngineState = Literal["stopped", "starting", "ready", "backing off", "closed"]


class EngineUnavailable(Unreachable):
    """The engine cannot be reached now; ``retry_after`` says when it may be worth another try."""

    status = 503
    type = "engine_unavailable"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What a user may decide about an engine; None leaves it to the engine."""

    name: str
    path: Path
    context: int | None = None
    """Tokens for one request, prompt and answer together."""
    slots: int = 2
    """Requests computed at the same time; each has a key-value cache of ``context`` tokens."""
    threads: int | None = None
    batch: int | None = None
    """Prompt tokens computed in one go, see :mod:`tidegate.engines.prompt_batch`."""
    gpu_layers: int | None = None
    purpose: Purpose = "generation"
    autostart: bool = False
    """Start again after a crash without waiting for a request."""
    load_timeout: float = 300.0
    """Seconds."""


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """How a child that hangs is told from one that works hard. Seconds, but for ``misses``."""

    interval: float = 5.0
    timeout: float = 5.0
    misses: int = 3
    """Checks that fail in a row before the child is killed."""
    longest_silence: float = 300.0
    """With streams under way; the first batch of a large model may have to be read from a slow disk."""


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """The readable state of an engine."""

    name: str
    state: EngineState
    pid: int | None
    socket: str | None
    facts: EngineFacts | None
    starts: int
    crashes: int
    """Times that a child ended by itself after it had been ready."""
    failures_in_a_row: int
    restart_in: float
    """Seconds until a start is allowed again."""
    last_failure: str | None


class Engine:
    """Starts the child on first use, watches it, starts it again after a crash, and stops it.

    All methods belong to one event loop. After :meth:`stop` the engine stays stopped.
    """

    def __init__(
        self,
        settings: EngineSettings,
        *,
        python: Sequence[str] | None = None,
        make_directory: Callable[[], EngineDirectory] = EngineDirectory,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        restart: RestartPolicy | None = None,
        health: HealthPolicy | None = None,
    ) -> None:
        self.settings = settings
        self._python = tuple(python or this_python())
        self._make_directory = make_directory
        self._monotonic = monotonic
        self._health = health or HealthPolicy()
        self._back_off = BackOff(restart or RestartPolicy(), monotonic, jitter)
        self._life: asyncio.Task[None] | None = None
        self._started: asyncio.Future[str] | None = None
        self._restart_timer: asyncio.TimerHandle | None = None
        self._child: Child | None = None
        self._facts: EngineFacts | None = None
        self._failure: str | None = None
        self._starts = 0
        self._crashes = 0
        self._ending = False
        self._closed = False

    def __repr__(self) -> str:
        pid = f" pid {self._child.pid}" if self._child else ""
        return f"<Engine {self.settings.name} {self.state}{pid}>"

    @property
    def state(self) -> EngineState:
        if self._closed:
            return "closed"
        if self._facts is not None:
            return "ready"
        if self._life is not None:
            return "starting"
        return "backing off" if self._back_off.remaining > 0 else "stopped"

    @property
    def facts(self) -> EngineFacts | None:
        """What the loaded engine says about itself; None while it is not ready."""
        return self._facts

    def statistics(self) -> EngineStatistics:
        """A snapshot of the state, for pages and logs."""
        return EngineStatistics(
            name=self.settings.name,
            state=self.state,
            pid=self._child.pid if self._child else None,
            socket=self._child.socket if self._child else None,
            facts=self._facts,
            starts=self._starts,
            crashes=self._crashes,
            failures_in_a_row=self._back_off.failures,
            restart_in=self._back_off.remaining,
            last_failure=self._failure,
        )

    async def ready(self) -> str:
        """Return the path of the socket, starting the child if none runs; callers share one start.

        Raises EngineUnavailable with one sentence: the child's own when it could not load the model.
        """
        while self._ending and self._life is not None:
            await asyncio.wait([self._life])
        if self._closed:
            raise EngineUnavailable(f"engine {self.settings.name} is stopped", retryable=False)
        if self._life is None:
            wait = self._back_off.remaining
            if wait > 0:
                message = f"{self._failure}; restarting in {math.ceil(wait)} s"
                raise EngineUnavailable(message, retry_after=wait)
            self._launch()
        assert self._started is not None
        return await asyncio.shield(self._started)

    async def stop(self) -> None:
        """End the child within seconds and remove its folder; doing it again does nothing."""
        already, self._closed = self._closed, True
        if self._restart_timer is not None:
            self._restart_timer.cancel()
        if self._life is not None:
            if not already and not self._ending:
                self._life.cancel()
            await asyncio.wait([self._life])

    def _launch(self) -> None:
        self._restart_timer = None
        self._started = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live(self._started), name=f"engine {self.settings.name}")
        self._life.add_done_callback(self._ended)

    async def _live(self, started: asyncio.Future[str]) -> None:
        """One life of a child, from its start to its end."""
        try:
            child, facts = await self._start()
            self._facts = facts
            ready_at = self._monotonic()
            started.set_result(child.socket)
            how = await self._watch(child)
            self._crashes += 1
            self._failed(how, self._monotonic() - ready_at)
        except StartFailed as error:
            self._failed(str(error), 0.0)
            _refuse(started, str(self._failure))
        finally:
            self._ending = True  # from here on it must not be cancelled
            self._facts = None
            if self._child is not None:
                await self._child.discard()

    def _ended(self, life: asyncio.Task[None]) -> None:
        """Make room for the next life; called even if a cancelled one never began."""
        self._life = None
        self._child = None
        self._ending = False
        if self._started is not None:
            _refuse(self._started, f"engine {self.settings.name} is stopped")
        if self.settings.autostart and not self._closed:
            delay = self._back_off.remaining
            self._restart_timer = life.get_loop().call_later(delay, self._launch)

    async def _start(self) -> tuple[Child, EngineFacts]:
        """Bring a child up; it is kept in ``_child`` from the moment it exists. Raises StartFailed."""
        self._starts += 1
        if sys.platform == "win32":
            raise StartFailed(f"cannot start: {UNSUPPORTED_PLATFORM}")
        try:
            directory = self._make_directory()
            try:
                child = await Child.spawn(self._python, directory, self._options(directory))
            except BaseException:
                directory.remove()
                raise
        except OSError as error:
            raise StartFailed(f"cannot start: {error}") from None
        self._child = child
        return child, await child.handshake(self.settings.load_timeout)

    def _options(self, directory: EngineDirectory) -> ChildOptions:
        settings = self.settings
        return ChildOptions(
            name=settings.name,
            model=str(settings.path.absolute()),
            socket=str(directory.socket),
            log=str(directory.log),
            slots=settings.slots,
            context=settings.context,
            threads=settings.threads,
            batch=settings.batch,
            gpu_layers=settings.gpu_layers,
            purpose=settings.purpose,
        )

    async def _watch(self, child: Child) -> str:
        """Wait for the child's end, killing it when it hangs, and say how it ended."""
        policy = self._health
        misses = 0
        end = asyncio.ensure_future(child.wait())
        try:
            while not (await asyncio.wait([end], timeout=policy.interval))[0]:
                try:
                    await child.check(policy.timeout, policy.longest_silence)
                    misses = 0
                except Unhealthy as error:
                    misses += 1
                    if misses >= policy.misses:
                        child.kill(str(error))
                        break
            return await end
        finally:
            end.cancel()

    def _failed(self, how: str, healthy_for: float) -> None:
        self._failure = f"engine {self.settings.name} {how}"
        self._back_off.failed(healthy_for)


def _refuse(started: asyncio.Future[str], sentence: str) -> None:
    if not started.done():
        started.set_exception(EngineUnavailable(sentence))
        started.exception()  # perhaps nobody waits, and that is no mistake
