"""Copies of a process that has imported the gateway are like those that are started in the usual way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests import forked
from tests.fixtures import StartGateway
from tests.gateway import Gateway, clean_environment, eventually, gateway_config


@pytest.mark.parametrize("arguments", [["--version"], ["nonsense"], ["serve", "--check"]])
def test_a_copy_says_and_ends_as_the_command_does(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "tidegate.yaml").write_text("server: {port: 1.5}\n")
    environment = {**clean_environment(), "TIDEGATE_HOME": str(tmp_path)}
    usual = subprocess.run(
        [sys.executable, "-m", "tidegate", *arguments],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    copy = forked.run(arguments, tmp_path, environment)
    assert (copy.returncode, copy.stdout, copy.stderr) == (usual.returncode, usual.stdout, usual.stderr)


def test_a_program_has_its_own_variables_folder_and_modules(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("HERE = 'found'\n")
    program = "import os, beside; print(__name__, os.getcwd(), os.environ['MINE'], beside.HERE)"
    done = forked.run_program(program, tmp_path, {**clean_environment(), "MINE": "yes"}, ["json"])
    assert (done.returncode, done.stdout) == (0, f"__main__ {tmp_path} yes found\n")
    assert "MINE" not in os.environ


def test_a_warning_ends_a_program(tmp_path: Path) -> None:
    done = forked.run_program("import warnings; warnings.warn('no')", tmp_path, clean_environment(), ["json"])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("UserWarning: no\n")


def test_a_copy_that_is_killed_tells_by_what(tmp_path: Path, start_gateway: StartGateway) -> None:
    gateway = Gateway(tmp_path, gateway_config("http://127.0.0.1:1"))
    other = start_gateway(gateway_config("http://127.0.0.1:1"))
    try:
        eventually(lambda: gateway.descriptors == other.descriptors, "the second has no files of the first")
        with pytest.raises(subprocess.TimeoutExpired):
            gateway.process.wait(0.01)
    finally:
        gateway.kill()
    assert gateway.process.poll() == gateway.process.returncode == -9
    assert other.process.poll() is None
    codes: list[int] = []
    waiting = threading.Thread(target=lambda: codes.append(other.process.wait(30)))
    waiting.start()
    other.stop()
    waiting.join(10)
    assert codes == [0]
