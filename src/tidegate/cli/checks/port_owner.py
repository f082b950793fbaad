"""Tells which program listens on a port, where the system lets one see that (Linux, one's own processes)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_LISTEN: Final = "0A"
"""TCP_LISTEN in https://github.com/torvalds/linux/blob/master/include/net/tcp_states.h"""


def owner_of_port(port: int) -> str | None:
    """Name and process id of the program that listens on ``port``; None when that cannot be seen."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    if not sockets:
        return None
    for process in _PROC.glob("[0-9]*"):
        if sockets.intersection(_open_files(process)):
            try:
                name = (process / "comm").read_text("utf-8", "replace").strip()
            except OSError:
                continue
            return f"{name} (process {process.name})"
    return None


def _listening(port: int) -> Iterator[str]:
    """The inodes of the sockets that listen on ``port``: columns 2, 4 and 10 of proc_net_tcp(5)."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                yield columns[9]


def _open_files(process: Path) -> Iterator[str]:
    try:
        for link in (process / "fd").iterdir():
            yield os.readlink(link)
    except OSError:
        return  # ended meanwhile, or another user's
