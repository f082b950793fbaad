"""Commands that are printed to be copied work in the shell that they are copied into."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.cli.program import as_typed, program

SCRIPTS = Path(sys.executable).parent


def test_the_name_is_enough_where_the_shell_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{SCRIPTS}{os.pathsep}/bin")
    assert (program(), as_typed("tidegate chat")) == ("tidegate", "tidegate chat")


@pytest.mark.parametrize("folder", [SCRIPTS.parent.parent, SCRIPTS, Path("/")])
def test_elsewhere_a_path_is_told_that_works(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.chdir(folder)
    shell = subprocess.run(
        ["/bin/sh", "-c", as_typed("tidegate --version")], capture_output=True, text=True, check=False
    )
    assert (shell.returncode, shell.stdout[:8]) == (0, "tidegate"), program()


def test_another_program_of_that_name_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "tidegate"
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program() != "tidegate"


def test_other_commands_stay_as_they_are() -> None:
    assert as_typed("export OPENAI_API_KEY=YOUR-KEY") == "export OPENAI_API_KEY=YOUR-KEY"
