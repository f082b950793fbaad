"""What a process that was killed left behind: its streams are taken over by one other, and by no second.

A slot whose lock is free has no owner. Whoever takes the lock copies the streams that are in no archive yet
into its own log, under a higher epoch, and deletes the slot when that is done. A process
that is killed meanwhile leaves both; the longer copy counts, then the newer one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tidegate.core.event import AnyEvent, failure
from tidegate.core.request import Header
from tidegate.errors import LogError, TidegateError
from tidegate.streams.archive import Archive
from tidegate.streams.records import EVENTS, HEADER, NOTE, Kept, Note, read_events, read_header, read_note
from tidegate.streams.registry import Stream, Streams
from tidegate.streams.segments import Slot, read_segment

logger = logging.getLogger("tidegate")


class _Found(NamedTuple):
    """The best copy of a stream: by its last event, then by its epoch."""

    last_seq: int
    epoch: int
    slot: Slot


class Recovered(NamedTuple):
    """A stream that has not ended, and what it has said so far."""

    stream: Stream
    said: list[AnyEvent]


async def recover(folder: Path, own: Slot, streams: Streams) -> list[Recovered]:
    """Take over what is left in the slots below ``folder``; returns the streams that have not ended.

    Those that have are on their way to the archive. Raises StoreError when it cannot be asked.
    """
    slots = _abandoned(folder, own)
    left: set[Path] = set()
    try:
        found = _survey(slots, left)
        wanted = {name: copy for name, copy in found.items() if not await _archived(streams.archive, name)}
        recovered = []
        for slot in slots:
            here = {name: copy.epoch for name, copy in wanted.items() if copy.slot is slot}
            recovered += _take_over(_records(slot, left), here, streams)
    except BaseException:
        for slot in slots:
            slot.close()
        raise
    for slot in slots:
        slot.remove(left)
    if wanted:
        logger.info("took over %d streams, %d of which had not ended", len(wanted), len(recovered))
    return recovered


def _abandoned(folder: Path, own: Slot) -> list[Slot]:
    others = (each for each in sorted(folder.iterdir()) if each.is_dir() and each != own.folder)
    return [slot for each in others if (slot := Slot.abandoned(each)) is not None]


def _survey(slots: Iterable[Slot], left: set[Path]) -> dict[str, _Found]:
    """Which streams there are, and in which slot the best copy of each is: as far as nothing is missing.

    Files that cannot be read go into ``left``.
    """
    best: dict[str, _Found] = {}
    for slot in slots:
        here: dict[str, _Found] = {}
        for record in _records(slot, left):
            known = here.get(record.stream)
            if record.kind == HEADER:
                here[record.stream] = _Found(0, record.epoch, slot)
            elif record.kind == EVENTS and known is not None and record.seq == known.last_seq + 1:
                here[record.stream] = _Found(known.last_seq + record.total, record.epoch, slot)
        for name, copy in here.items():
            other = best.get(name)
            if other is None or copy[:2] > other[:2]:
                best[name] = copy
    return best


def _records(slot: Slot, left: set[Path]) -> Iterable[Kept]:
    for file in slot.files():
        if file in left:
            continue
        try:
            yield from read_segment(file)
        except LogError as error:
            logger.error("%s", error.message)
            left.add(file)


async def _archived(archive: Archive, name: str) -> bool:
    try:
        return await archive.find(name) is not None
    except LogError:
        return False
    except TidegateError as error:
        if error.status == 410:
            return True
        raise


def _take_over(records: Iterable[Kept], epochs: dict[str, int], streams: Streams) -> list[Recovered]:
    """Copy streams of a slot into our own log."""
    headers: dict[str, Header] = {}
    said: dict[str, list[AnyEvent]] = {}
    notes: dict[str, list[Note]] = {}
    cut: dict[str, LogError] = {}
    for record in records:
        name = record.stream
        if name not in epochs or name in cut:
            continue
        try:
            if record.kind == HEADER:
                headers[name] = read_header(record.content)
                said[name], notes[name] = [], []
            elif record.kind == EVENTS and name in said:
                if record.seq != len(said[name]) + 1:
                    raise LogError(f"the stream's log is damaged; event {record.seq - 1} is missing")
                said[name] += read_events(record.content)
            elif record.kind == NOTE and name in said:
                notes[name].append(read_note(record.content))
        except LogError as error:  # what comes before is whole, and is all that can be told
            logger.error("stream %s ends where its log is damaged: %s", name, error.message)
            cut[name] = error
    recovered = []
    for name, header in headers.items():
        stream = streams.adopt(header, epochs[name] + 1, said[name], notes[name])
        if stream.producer.ended:
            continue
        if name in cut:  # more than this was shown, so nothing else may take its place
            stream.producer.end("interrupted", error=failure(cut[name]))
        else:
            recovered.append(Recovered(stream, said[name]))
    return recovered
