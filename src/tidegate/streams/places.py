"""Opens the log and the archive that the settings ask for, in the data folder or in memory."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from tidegate.config import Streams as Settings
from tidegate.core.clock import Clock
from tidegate.store.database import Database
from tidegate.streams.archive import Archive, MemoryArchive
from tidegate.streams.disk import DiskLog
from tidegate.streams.log import Committed, StreamLog
from tidegate.streams.memory import MemoryLog
from tidegate.streams.segments import Segments, Slot
from tidegate.streams.stored import StoredStreams

logger = logging.getLogger("tidegate")

_PAUSE: Final = 0.002
"""Seconds between two steps of a work that is in no hurry."""

_DONE: Final = object()


class Places:
    """Where the streams of this process are kept; ``slot`` is its folder, if there is one."""

    def __init__(self, settings: Settings, folder: Path, clock: Clock, database: Database) -> None:
        self.slot: Slot | None = None
        self._settings = settings
        self.folder = folder
        self._clock = clock
        self._database = database

    def open(self, committed: Committed) -> tuple[StreamLog, Archive]:
        """The log and the archive. Raises ConfigError where the folder cannot be written."""
        settings, clock = self._settings, self._clock
        if settings.log == "disk" and not hasattr(os, "pread"):  # Windows
            logger.warning("streams are kept in memory: this system has no log on disk")
        if settings.log == "memory" or not hasattr(os, "pread"):
            memory = MemoryLog(clock, committed, most=settings.most)
            return memory, MemoryArchive(memory, clock)
        self.slot = Slot(self.folder / f"{clock.now_ms()}-{os.getpid()}")
        power = settings.durability == "power"
        aside = partial(asyncio.get_running_loop().run_in_executor, None)
        disk = DiskLog(
            clock,
            committed,
            Segments(self.slot, aside=aside),
            most=settings.most,
            power=power,
            aside=aside,
            in_steps=partial(_in_steps, asyncio.get_running_loop()),
        )
        return disk, StoredStreams(self._database, disk, clock, settings.disk)


def _in_steps(loop: asyncio.AbstractEventLoop, work: Iterator[None]) -> None:
    """Do a work that yields where it may be interrupted, in between of what else there is to do."""
    if next(work, _DONE) is None:
        loop.call_later(_PAUSE, _in_steps, loop, work)
