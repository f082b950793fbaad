"""Owns the fixtures that run `tidegate` commands against a running gateway."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from click.testing import CliRunner

from tests import forked
from tests.gateway import Gateway, clean_environment
from tidegate.cli import main

if TYPE_CHECKING:
    from tests.cli.terminal import Terminal


class RunCommand(Protocol):
    def __call__(
        self, *arguments: str, text: str | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]: ...


class OpenTerminal(Protocol):
    def __call__(
        self,
        *arguments: str,
        home: Path | None = None,
        columns: int = 80,
        rows: int = 24,
        environment: Mapping[str, str] | None = None,
    ) -> Terminal: ...


@pytest.fixture
def run_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    """As `run_command`, within this process: several times as fast, and enough for what needs no process."""
    for name in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(name)
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(
        *arguments: str, text: str | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = CliRunner().invoke(main, arguments, input=text, env=dict(environment or {}))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def run_command(tmp_path: Path) -> RunCommand:
    """Runs a command to its end, with files for a terminal and an empty folder to stand in."""

    def run(
        *arguments: str, text: str | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        there = {
            **clean_environment(),
            "TIDEGATE_HOME": str(tmp_path),
            "COLUMNS": "100",
            **(environment or {}),
        }
        return forked.run(arguments, tmp_path, there, text or "")

    return run


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[OpenTerminal]:
    """Opens terminals, and closes them at the end of the test."""
    if sys.platform == "win32":
        pytest.skip("Windows has no pseudo-terminals of this kind")
    from tests.cli.terminal import Terminal

    opened: list[Terminal] = []

    def open_one(
        *arguments: str,
        home: Path | None = None,
        columns: int = 80,
        rows: int = 24,
        environment: Mapping[str, str] | None = None,
    ) -> Terminal:
        terminal = Terminal(home or tmp_path, arguments, environment, columns=columns, rows=rows)
        opened.append(terminal)
        return terminal

    yield open_one
    for terminal in opened:
        terminal.close()


@pytest.fixture
def at(gateway: Gateway) -> dict[str, str]:
    """The environment in which commands find this worker's gateway."""
    return {"TIDEGATE_URL": gateway.url}
