"""Owns where the user's data folder is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path


def home(environ: Mapping[str, str]) -> Path:
    """The folder that holds what Tidegate remembers; ``TIDEGATE_HOME`` moves it."""
    moved = environ.get("TIDEGATE_HOME")
    if moved:
        return Path(moved)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "tidegate"
    if sys.platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or Path.home()) / "tidegate"
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "tidegate"
