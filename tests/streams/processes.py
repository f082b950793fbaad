"""Processes of the gateway as far as they have streams, and the data folder that outlives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import msgspec

from tests.streams.parts import ManualClock, Page, Plain, header
from tidegate.core.event import AnyEvent
from tidegate.streams.archive import Archive, MemoryArchive
from tidegate.streams.disk import DiskLog
from tidegate.streams.log import Committed, StreamLog
from tidegate.streams.memory import MemoryLog
from tidegate.streams.reader import Reader
from tidegate.streams.recovery import Recovered, Recovery
from tidegate.streams.registry import Stream, Streams
from tidegate.streams.segments import Segments, Slot


class Process:
    """One process of the gateway, as far as it has streams."""

    def __init__(
        self,
        home: Home,
        segment_bytes: int = 1 << 20,
        in_steps: Callable[[Iterator[None]], object] = list,
    ) -> None:
        self.slot = Slot(home.folder / f"{home.begun}")
        home.begun += 1
        self.home = home
        self.clock = home.clock

        def make(committed: Committed) -> tuple[StreamLog, Archive]:
            segments = Segments(self.slot, segment_bytes)
            log = DiskLog(self.clock, committed, segments, in_steps=in_steps)
            home.archive._log = cast(MemoryLog, log)  # it does not mind which log it reads
            return log, home.archive

        self.streams = Streams(self.clock, make, 60.0)

    def begin(self, name: str, *batches: Sequence[AnyEvent], keep: bool = True, epoch: int = 1) -> Stream:
        stream = self.streams.create(msgspec.structs.replace(header(name), keep=keep), epoch)
        for batch in batches:
            self.streams.log.append(name, epoch, batch)
        return stream

    def kill(self) -> None:
        """All that is left of it is what the kernel has."""
        self.streams.log.close()
        self.slot.close()

    async def recover(self) -> dict[str, list[AnyEvent]]:
        return {each.stream.header.id: each.said for each in await self.recovered()}

    async def recovered(self) -> list[Recovered]:
        return await Recovery(*self._where()).take_over()

    async def settle(self) -> None:
        """What it found to have ended is on its way to the archive."""
        await self.streams.settle()

    def _where(self) -> tuple[Path, Slot, Streams]:
        return self.home.folder, self.slot, self.streams

    def read(self, name: str, after: int = 0) -> bytes:
        """What a reader gets that comes back behind a seq."""
        stream, page = self.streams.get(name), Page()
        assert stream is not None
        reader = Reader(name, self.streams.log, Plain(), page, after)
        stream.attach(reader)
        reader.advance()
        return page.body


class Home:
    """A data folder that outlives its processes, and an archive that does so too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.begun = 0
        self.archive = MemoryArchive(MemoryLog(self.clock, lambda *_: None), self.clock)

    def slots(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())
