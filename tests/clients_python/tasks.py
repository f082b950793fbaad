"""Owns a program with an SDK of another version that does task after task, since to import it takes long."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.gateway import clean_environment


class Tasks:
    """A running program, whose path begins with ``folder``."""

    def __init__(self, program: Path, folder: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(program)],
            env={**clean_environment(), "PYTHONPATH": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)

    def do(self, task: str, url: str) -> Any:
        """What the program read in a task."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{task} {url}\n")
        self._process.stdin.flush()
        told = self._process.stdout.readline()
        assert told, f"{task}: the program has ended; its traceback is above"
        return json.loads(told)
