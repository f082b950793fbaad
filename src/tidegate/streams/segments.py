"""The files that one process appends its streams' records to, and the lock that says that it does.

A folder belongs to the process that holds the lock of its ``lock`` file, for as long as that lives, however
it dies. Files are numbered, begin with :data:`MAGIC`, and go as wholes, the oldest first, when nothing in
them is needed.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Collection, Iterator
from functools import partial
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final

from tidegate.errors import ConfigError, Full, LogError
from tidegate.streams.records import FRAME, HEAD_SIZE, Kept, read_record
from tidegate.streams.tail import Tail

try:
    import fcntl
except ImportError:  # Windows, which has no log on disk
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger("tidegate")

MAGIC: Final = b"tidegate log 1\r\n"
_FAMILY: Final = b"tidegate log "
_SEGMENT_BYTES: Final = 16 * 2**20
_USUAL_RECORD: Final = 512
"""Bytes that are read at once: nearly every record is smaller."""

SOCKET: Final = "owner.sock"

OFFSET_BITS: Final = 40

_CHECKED_AT_ONCE: Final = 2**20
_PAGE: Final = 4096


class Slot:
    """A folder of segments that this process owns. Raises ConfigError where it cannot be made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            while not self._begun():
                pass
        except OSError as error:
            raise ConfigError(
                f"streams cannot be kept in {folder}: {error.strerror}; "
                "set TIDEGATE_HOME to a folder that can be written, or streams.log to memory"
            ) from None

    def _begun(self) -> bool:
        """Make the folder and lock it; False where another process cleared it away before it was locked."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / "lock"
        try:
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return False
        if fcntl is not None:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.fstat(self._lock), path.stat()):
                return True
        except FileNotFoundError:
            pass
        os.close(self._lock)
        return False

    @staticmethod
    def abandoned(folder: Path) -> Slot | None:
        """The slot in a folder whose owner is gone, now ours; None while somebody holds it."""
        try:
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
        if not try_lock(lock):
            os.close(lock)
            return None
        slot = Slot.__new__(Slot)
        slot.folder = folder
        slot._lock = lock
        return slot

    @staticmethod
    def is_held(folder: Path) -> bool:
        """Whether a folder is a slot that somebody holds."""
        try:
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(lock)
        return False

    @property
    def socket(self) -> Path:
        """Where its owner can be asked what it has."""
        return self.folder / SOCKET

    def files(self) -> list[Path]:
        """The segments, the oldest first."""
        return sorted(self.folder.glob("*.log"))

    def remove(self, left: Collection[Path] = ()) -> None:
        """Delete the folder, but for the files that are ``left``, and let go of it."""
        for file in (*self.files(), self.socket, self.folder / "lock"):
            if file not in left:
                file.unlink(missing_ok=True)
        os.close(self._lock)
        try:
            self.folder.rmdir()
        except OSError:  # something else lies there; it is not ours to delete
            pass

    def close(self) -> None:
        """Let go of the folder and leave what is in it."""
        os.close(self._lock)


def try_lock(descriptor: int) -> bool:
    """Have a file or folder for oneself until it is closed; False while somebody else has it."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class _File:
    """A descriptor that is closed when nobody has it any more: a thread may be reading from it."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


class Segments:
    """Appends records to the files of a slot, and reads them back by their places.

    ``aside`` does a work in a thread: to delete a file takes as long as the disk is behind with it.
    """

    def __init__(
        self,
        slot: Slot,
        segment_bytes: int = _SEGMENT_BYTES,
        aside: Callable[[Callable[[], None]], object] = lambda work: work(),
    ) -> None:
        self._slot = slot
        self._aside = aside
        self.segment_bytes = segment_bytes
        self._files: dict[int, _File] = {}
        """By the number of the segment, the oldest first."""
        self._number = -1
        self.tail = Tail()
        """Of the newest; it begins full, so that the first append makes the first file."""
        self.tail.file = -1
        self.tail.size = self.tail.limit = segment_bytes
        self._held: dict[int, int] = {}
        """How many streams begin in a segment."""
        self._synced = 0
        """The first segment that may hold what is not safe yet."""
        self._entered = 0
        """The first segment whose name may not be safe yet."""

    @property
    def newest(self) -> int:
        """The number of the segment that is written to."""
        return self._number

    @property
    def oldest(self) -> int:
        """The number of the oldest that is there, for any thread."""
        return min(tuple(self._files), default=self._number)

    @staticmethod
    def number(place: int) -> int:
        """The segment of a place."""
        return place >> OFFSET_BITS

    def append(self, record: bytes, more: bytes = b"") -> int:
        """Write a record, and ``more`` behind it; returns its place. Raises Full when the disk is."""
        tail = self.tail
        at = tail.size
        if at >= tail.limit:
            self._roll()
            at = tail.size
        try:
            written = os.writev(tail.file, (record, more)) if more else os.write(tail.file, record)
        except OSError as error:
            raise Full(_unwritten(error)) from None
        if written != len(record) + len(more):
            self._cut(at)
            raise Full(_unwritten(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
        tail.size = at + written
        return tail.base + at

    def read(self, place: int) -> Kept:
        """The record at a place. Raises LogError when it is damaged."""
        file = self._files.get(place >> OFFSET_BITS)
        if file is None:
            raise LogError("a part of the stream is not kept any more", status=410)
        offset = place & ((1 << OFFSET_BITS) - 1)
        data = os.pread(file.descriptor, _USUAL_RECORD, offset)
        if len(data) >= HEAD_SIZE:
            length = FRAME.size + FRAME.unpack_from(data)[0]
            if length > len(data):
                data = os.pread(file.descriptor, length, offset)
        kept = read_record(data)
        if kept is None:
            raise LogError("a part of the stream's log is damaged; what comes after it cannot be trusted")
        return kept

    def mapped(self, number: int, known: int = 0) -> mmap | bytes:
        """A segment as far as it is written, for any thread; ``known`` bytes of it were mapped before.

        Parts that the disk does not give are zeros. Raises LogError (410) where the segment is gone.
        """
        file = self._files.get(number)
        if file is None:
            raise LogError("a part of the stream is not kept any more", status=410)
        return readable(file.descriptor, known)

    def hold(self, place: int) -> None:
        """Keep the segment of this place and all after it: a stream begins there."""
        number = place >> OFFSET_BITS
        self._held[number] = self._held.get(number, 0) + 1

    def release(self, place: int) -> None:
        """A stream that began at this place is not needed any more."""
        number = place >> OFFSET_BITS
        left = self._held.get(number, 0) - 1
        if left > 0:
            self._held[number] = left
            return
        self._held.pop(number, None)
        self._drop()

    def sync(self) -> None:
        """Wait until all that is written would survive a power cut; may be called from any thread."""
        newest, first = self._number, self._synced
        if newest >= self._entered:
            # A file that is safe is of no use while its name is not.
            for folder in (self._slot.folder, self._slot.folder.parent):
                _sync_folder(folder)
            self._entered = newest + 1
        for number in range(first, newest + 1):
            file = self._files.get(number)
            if file is not None:  # else nothing in it is needed any more
                _sync(file.descriptor)
        self._synced = max(newest, 0)

    def close(self) -> None:
        """Close the files; they stay where they are."""
        self._files.clear()
        self.tail.file = -1
        self.tail.size = self.tail.limit

    def _roll(self) -> None:
        number = self._number + 1
        path = self._slot.folder / f"{number:08}.log"
        # One of this number is there where it could not be begun before.
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        try:
            file = os.open(path, flags, 0o600)
        except OSError as error:
            raise Full(_unwritten(error)) from None
        try:
            if os.write(file, MAGIC) != len(MAGIC):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            os.close(file)
            raise Full(_unwritten(error)) from None
        self._number = number
        self.tail.file, self.tail.size, self.tail.base = file, len(MAGIC), number << OFFSET_BITS
        self._files[number] = _File(file)
        self._drop()

    def _cut(self, size: int) -> None:
        """Take back half a record."""
        try:
            os.ftruncate(self.tail.file, size)
        except OSError:  # then nothing more may be written behind it
            self.tail.size = self.tail.limit

    def _drop(self) -> None:
        """Delete the segments before the first that is held."""
        first = min(self._held, default=self._number)
        for number in [number for number in self._files if number < min(first, self._number)]:
            path = self._slot.folder / f"{number:08}.log"
            self._aside(partial(_delete, path, self._files.pop(number)))


def _delete(path: Path, _: _File) -> None:
    """Delete a file, of which this is the last that is known."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.error("%s cannot be deleted: %s", path, error.strerror)


_sync: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_segment(path: Path) -> Iterator[Kept]:
    """The records of a file that a process left behind, up to where it was torn; damaged ones are left out.

    Raises LogError for a file of a newer version, or for none of ours.
    """
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        if len(data) < len(MAGIC) and MAGIC.startswith(data):
            return  # torn while it was begun
        newer = data.startswith(_FAMILY)
        reason = "was written by a newer version of Tidegate" if newer else "is no stream log"
        raise LogError(f"{path} {reason}; it is left as it is")
    offset = len(MAGIC)
    while offset < len(data):
        kept = read_record(data, offset)
        if kept is None:
            offset = _after_damage(path, data, offset)
        else:
            yield kept
            offset = kept.end


def _after_damage(path: Path, data: bytes, offset: int) -> int:
    """Where a file can be read on behind a damaged record; its end where it was torn."""
    if len(data) - offset >= HEAD_SIZE:
        end: int = offset + FRAME.size + FRAME.unpack_from(data, offset)[0]
        if read_record(data, end) is not None:
            logger.error("%s is damaged from byte %d to byte %d", path, offset, end)
            return end
    logger.warning("%s was torn at byte %d of %d", path, offset, len(data))
    return len(data)


def readable(descriptor: int, known: int = 0) -> mmap | bytes:
    """A file as its bytes. What a disk does not give would kill the process that looks at it in a map.

    So all behind ``known`` is read once before, which also leaves the interpreter to others meanwhile.
    """
    try:
        while data := os.pread(descriptor, _CHECKED_AT_ONCE, known):
            known += len(data)
        return mmap(descriptor, 0, access=ACCESS_READ)
    except OSError as error:
        logger.error("a file of the log cannot be read as a whole: %s", error.strerror)
        size = os.fstat(descriptor).st_size
        return b"".join(_page(descriptor, at, min(_PAGE, size - at)) for at in range(0, size, _PAGE))


def _page(descriptor: int, at: int, size: int) -> bytes:
    try:
        return os.pread(descriptor, size, at).ljust(size, b"\0")
    except OSError:
        return bytes(size)


def _unwritten(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    return f"the answer cannot be kept: {reason}; make room in TIDEGATE_HOME or set streams.log to memory"
