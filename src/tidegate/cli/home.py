"""The address of the running gateway, which is recorded in the user's data folder."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

from tidegate.config.home import home

__all__ = ["home", "record_address", "recorded_address", "remove_address"]

_RECORD = "server.json"


def record_address(url: str, pid: int, environ: Mapping[str, str]) -> None:
    """Write where the gateway listens, for the other commands to find."""
    folder = home(environ)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = folder / f"{_RECORD}.{pid}"
        unfinished.write_text(json.dumps({"url": url, "pid": pid}), "utf-8")
        unfinished.replace(folder / _RECORD)
    except OSError:
        return  # a home that cannot be written makes --url necessary, and nothing worse


def remove_address(pid: int, environ: Mapping[str, str]) -> None:
    """Forget the address, unless another gateway has written its own by now."""
    path = home(environ) / _RECORD
    try:
        if json.loads(path.read_text("utf-8")).get("pid") == pid:
            path.unlink()
    except (OSError, ValueError):
        return


def recorded_address(environ: Mapping[str, str]) -> str | None:
    """The address that the running gateway wrote, unless its process is gone."""
    try:
        record = json.loads((home(environ) / _RECORD).read_text("utf-8"))
        if sys.platform != "win32":  # there this would be a Ctrl-C for the process
            os.kill(record["pid"], 0)
        return str(record["url"])
    except PermissionError:
        return str(record["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
