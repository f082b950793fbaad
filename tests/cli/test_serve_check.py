"""`tidegate serve --check`: the same answer as a start, without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import RunCommand


@pytest.mark.parametrize("options", [("serve", "--check"), ("serve", "--port", "0")])
def test_a_model_file_without_a_model_is_refused(
    run_command: RunCommand, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """It begins as a GGUF file does, and goes on as none."""
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + b"\xff" * 500)
    done = run_command(*options, "--gguf", "model.gguf")
    assert (done.returncode, done.stdout) == (1, "")
    assert "model.gguf is GGUF version 4294967295, and llama.cpp reads 2 and 3" in done.stderr


def test_right_settings_are_said_to_be_right(run_command: RunCommand) -> None:
    done = run_command("serve", "--check")
    assert (done.returncode, done.stdout) == (0, "The settings are fine.\n")
