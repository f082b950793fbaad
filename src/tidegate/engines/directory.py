"""Private folders for the sockets of child processes: an engine's socket and log, or those of workers.

One file in it is locked for as long as parent or child holds it open. A folder whose lock is free was left
behind by a parent that was killed, and whoever makes the next one of its kind removes it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import fcntl

_ENGINE: Final = "tidegate-engine-"
_LOG: Final = "log"
_LONGEST_SOCKET_PATH: Final = 103  # bytes; sun_path has 104 on macOS and 108 on Linux, with a zero at the end
_LARGEST_LOG: Final = 1 << 20
_TAIL: Final = 64 << 10
_GRACE: Final = 60.0  # seconds for which a folder may be without its lock, because it is just being made


class PrivateDirectory:
    """A folder of mode 0700 for sockets, none of which has a longer name than ``longest``.

    ``descriptor`` is that of the locked file ``lock``. Raises OSError where no folder has a path short enough
    for a socket in it.
    """

    def __init__(self, prefix: str, longest: str, lock: str, base: Path | None = None) -> None:
        base = _short_base(prefix, longest) if base is None else base
        remove_abandoned(base, prefix, lock)
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
        if len(os.fsencode(self.path / longest)) > _LONGEST_SOCKET_PATH:
            self.path.rmdir()
            raise OSError(f"{base} is too long a path for a socket: set TMPDIR to a shorter one")
        self.descriptor = os.open(self.path / lock, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        _try_lock(self.descriptor)

    def remove(self) -> None:
        """Remove the folder; doing it again does nothing."""
        if self.descriptor >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self.descriptor)
            self.descriptor = -1


class EngineDirectory(PrivateDirectory):
    """The folder with the socket and the log of one engine."""

    def __init__(self, base: Path | None = None) -> None:
        super().__init__(_ENGINE, "engine.sock", _LOG, base)
        self.socket = self.path / "engine.sock"
        self.log = self.path / _LOG

    @property
    def log_descriptor(self) -> int:
        """The child's standard error; -1 when the folder is gone."""
        return self.descriptor

    def __repr__(self) -> str:
        return f"<EngineDirectory {self.path}>"

    def log_tail(self) -> str:
        """The last 64 KiB that the child wrote to its standard error."""
        size = os.fstat(self.log_descriptor).st_size
        return os.pread(self.log_descriptor, _TAIL, max(0, size - _TAIL)).decode("utf-8", "replace")

    def trim_log(self) -> None:
        """Empty a log that has grown over a mebibyte; the child goes on writing at its new end."""
        if os.fstat(self.log_descriptor).st_size > _LARGEST_LOG:
            os.ftruncate(self.log_descriptor, 0)


def remove_abandoned(base: Path, prefix: str = _ENGINE, lock: str = _LOG) -> None:
    """Remove the folders under ``base`` that belong to this user and to no living process."""
    for path in base.glob(f"{prefix}*"):
        try:
            if path.stat().st_uid == os.getuid() and _is_abandoned(path, lock):
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue  # somebody else removed it


def _is_abandoned(path: Path, lock: str) -> bool:
    try:
        descriptor = os.open(path / lock, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return time.time() - path.stat().st_mtime > _GRACE
    try:
        return _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _short_base(prefix: str, longest: str) -> Path:
    """The most private folder for temporary files in which the path of a socket is short enough."""
    room = _LONGEST_SOCKET_PATH - len(f"/{prefix}12345678/{longest}")
    candidates = [path for path in _bases() if path.is_dir() and os.access(path, os.W_OK | os.X_OK)]
    return next((path for path in candidates if len(os.fsencode(path)) <= room), Path(tempfile.gettempdir()))


def _bases() -> Iterator[Path]:
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime)
    yield Path(tempfile.gettempdir())
    yield Path("/tmp")
