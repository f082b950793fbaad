"""Owns that a test run compiles each module once, and not in each of the processes that it starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def keep_compiled(folder: Path) -> None:
    """Where PYTHONDONTWRITEBYTECODE keeps it out of the source, what is compiled goes to ``folder``.

    To compile what a gateway imports takes twice as long as to start it, and hundreds are started."""
    if not os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        return
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.environ.setdefault("PYTHONPYCACHEPREFIX", str(folder))
