"""Keeps a few processes that read documents, and gives each a document at a time."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Final

from tidegate.errors import Overloaded, Unreadable
from tidegate.workspaces.document import Parsed
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.limits import Limits, too_much_memory
from tidegate.workspaces.parsing.process import Crashed, Process

_MOST_DOCUMENTS: Final = 200
"""After so many a process makes room for a new one: what libraries keep of each adds up."""

_IDLE_SECONDS: Final = 300.0


class Parser:
    """Reads files of every kind in processes of their own, started when they are needed.

    All methods belong to one event loop, which is never blocked. ``processes`` is how many documents are
    read at the same time; others wait for their turn.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        processes: int | None = None,
        python: Sequence[str] | None = None,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._limits = limits or Limits()
        self._python = tuple(python or (sys.executable, "-P"))
        self._turns = asyncio.Semaphore(processes or min(2, os.cpu_count() or 1))
        self._idle_seconds = idle_seconds
        self._idle: list[Process] = []
        self._reading: set[Process] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._busy: set[asyncio.Task[Parsed]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False
        self.starts = 0
        """How many processes were started so far."""

    async def parse(self, data: bytes, file_name: str, media_type: str | None = None) -> Parsed:
        """What is in a file, of the kind that its content tells.

        Name and ``media_type`` (as in Content-Type) decide only between kinds of text. Raises Unreadable
        with a sentence for the caller, and Overloaded when no process can be started or the parser is closed.
        """
        if self._closed:
            raise Overloaded("the gateway is shutting down and reads no more documents")
        # A task of its own, so that closing can end what others wait for.
        task = asyncio.create_task(self._parse(File(data, file_name, media_type or "", self._limits)))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is None or current.cancelling():
                raise
            raise Overloaded("the gateway is shutting down and reads no more documents") from None

    @property
    def pids(self) -> list[int]:
        """The processes that are there, those at work first."""
        return [each.pid for each in (*self._reading, *self._idle)]

    async def close(self) -> None:
        """End all processes; what is being read fails with Overloaded."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._busy:
            task.cancel()
        if self._busy:
            await asyncio.wait(self._busy)
        self._end_idle()
        if self._ending:
            await asyncio.wait(self._ending)

    async def _parse(self, file: File) -> Parsed:
        if not file.data:
            raise file.refused("empty", "is empty: there is nothing to read in it")
        if len(file.data) > self._limits.size:
            size = self._limits.size >> 20
            raise file.refused("too_large", f"is larger than the {size:,} MiB that are read: split it")
        async with self._turns:
            try:
                return await self._read(file, await self._take())
            except Crashed:
                # Perhaps it had come to harm before: what a new one does with it is what counts.
                try:
                    return await self._read(file, await self._start())
                except Crashed as crash:
                    raise self._crashed(file, crash) from None

    def _crashed(self, file: File, crash: Crashed) -> Unreadable:
        if crash.killed:  # what the system does when memory runs out
            return Unreadable(too_much_memory(file.shown, self._limits), code="too_large")
        return file.refused(
            "corrupt", "made the process that reads documents crash: it is damaged or too large"
        )

    async def _read(self, file: File, process: Process) -> Parsed:
        self._reading.add(process)
        try:
            async with asyncio.timeout(self._limits.seconds):
                parsed = await process.read(file.data, file.name, file.media_type, self._limits)
        except TimeoutError:
            process.kill()
            seconds = self._limits.seconds
            raise file.refused("too_slow", f"takes longer than {seconds:g} s to be read: split it") from None
        except Unreadable:
            raise
        except BaseException:
            process.kill()
            raise
        finally:
            self._reading.discard(process)
            self._give_back(process)
        return parsed

    async def _take(self) -> Process:
        while self._idle:
            process = self._idle.pop()
            if process.usable:
                return process
            self._end(process)
        return await self._start()

    async def _start(self) -> Process:
        self.starts += 1
        return await Process.start(self._python, self._limits.memory)

    def _give_back(self, process: Process) -> None:
        if not process.usable or process.documents >= _MOST_DOCUMENTS or self._closed:
            self._end(process)
            return
        self._idle.append(process)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._idle_seconds, self._end_idle)

    def _end_idle(self) -> None:
        while self._idle:
            self._end(self._idle.pop())

    def _end(self, process: Process) -> None:
        process.kill()
        task = asyncio.create_task(process.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
