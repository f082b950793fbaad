"""What `tidegate serve` refuses, and `--check` with it: one sentence that says what to change."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.conftest import RunCommand


@pytest.fixture(params=["check", "serve"])
def refused(request: pytest.FixtureRequest, run_command: RunCommand, run_inside: RunCommand) -> RunCommand:
    """Runs `tidegate serve --check`, or in a process of its own what would serve if it were not refused."""
    run, option = (run_inside, ("--check",)) if request.param == "check" else (run_command, ("--port", "0"))

    def serve(
        *arguments: str, text: str | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return run("serve", *option, *arguments, text=text, environment=environment)

    return serve


def test_a_model_file_without_a_model_is_refused(refused: RunCommand, tmp_path: Path) -> None:
    """It begins as a GGUF file does, and goes on as none."""
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + b"\xff" * 500)
    done = refused("--gguf", "model.gguf")
    assert (done.returncode, done.stdout) == (1, "")
    assert "model.gguf is GGUF version 4294967295, and llama.cpp reads 2 and 3" in done.stderr


def test_right_settings_are_said_to_be_right(run_inside: RunCommand) -> None:
    done = run_inside("serve", "--check")
    assert (done.returncode, done.stdout) == (0, "The settings are fine.\n")


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-machine.invalid"])
def test_an_address_of_another_machine_is_refused(run_command: RunCommand, host: str) -> None:
    """Another port would not help."""
    done = run_command("serve", "--port", "0", "--host", host, environment={"TIDEGATE_API_KEYS": "sk-1"})
    assert done.returncode == 1
    assert done.stderr == f"tidegate: '{host}' is no address of this machine; try --host 127.0.0.1\n"


@pytest.mark.parametrize("models", ["", "models: {m: {use: [openai/gpt-4o-mini]}}"])
def test_a_default_model_that_nobody_has_is_refused(refused: RunCommand, tmp_path: Path, models: str) -> None:
    """Also where the providers come from the environment, so that only they know their models."""
    (tmp_path / "tidegate.yaml").write_text(f"default_model: nope\n{models}\n")
    key = {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"} if models else {}
    done = refused(environment=key)
    assert (done.returncode, done.stdout) == (1, "")
    assert "default_model: there is no model 'nope' here" in done.stderr


def test_two_model_files_of_one_name_are_refused(refused: RunCommand, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "qwen.gguf").write_bytes(b"GGUF")
    done = refused("--gguf", "a/qwen.gguf", "--gguf", "b/qwen.gguf")
    assert done.returncode == 1
    assert "is a second model 'qwen'" in done.stderr
