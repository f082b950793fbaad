"""How this program is called in the shell, for commands that are printed to be copied."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

NAME: Final = "tidegate"


def program() -> str:
    """``tidegate`` where the shell finds this one by it, else its path, in ``.venv`` after `make run`."""
    name = f"{NAME}.exe" if os.name == "nt" else NAME
    path = Path(sys.executable).with_name(name)
    found = shutil.which(NAME)
    if not path.exists() or (found is not None and os.path.samefile(found, path)):
        return NAME
    here = Path.cwd()
    # A bare name would be looked for on PATH.
    short = path.is_relative_to(here) and path.parent != here
    return shlex.quote(str(path.relative_to(here) if short else path))


def as_typed(command: str) -> str:
    """A command that begins with ``tidegate``, as it works here; any other as it is."""
    first, space, rest = command.partition(" ")
    return f"{program()}{space}{rest}" if first == NAME else command
