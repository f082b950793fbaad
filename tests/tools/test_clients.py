"""Tests what `make test-clients` installs, with an npm that is a shell script."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.tools.commands import ROOT, program
from tools.clients import Clients, ensure_clients
from tools.interpreter import SetupError

needs_sh = pytest.mark.skipif(sys.platform == "win32", reason="the npm of this test is a shell script")


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    """Those of a clone that has nothing installed."""
    made = Clients(tmp_path / "clone")
    made.folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "requirements.txt"):
        (made.folder / name).write_text("{}", encoding="utf-8")
    return made


def npm(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    program(folder, "npm", script)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@needs_sh
def test_npm_installs_once_until_a_pin_changes(
    clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm(monkeypatch, tmp_path / "bin", 'mkdir -p node_modules; echo "$@" > node_modules/asked')
    assert not clients.node_is_ready()
    clients.install_node()
    assert (clients.packages / "asked").read_text().startswith("ci ")
    assert clients.node_is_ready()
    (clients.folder / "package.json").write_text('{"dependencies": {}}', encoding="utf-8")
    assert not clients.node_is_ready()


@needs_sh
def test_an_npm_that_fails_leaves_nothing_that_looks_ready(
    clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm(monkeypatch, tmp_path / "bin", "mkdir -p node_modules; exit 1")
    with pytest.raises(SetupError, match="npm could not install"):
        clients.install_node()
    assert not clients.node_is_ready()


def test_what_cannot_be_installed_is_told_and_left_out(
    clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ensure_clients(clients, {"WHEELS": "nowhere"})
    node, python = capsys.readouterr().out.splitlines()
    assert node.startswith("The Node clients are left out: npm is not installed")
    assert python.startswith("The Python clients are left out: WHEELS=nowhere holds no wheels")
    assert not clients.python_is_ready()


def test_pins_are_exact_and_name_no_registry() -> None:
    folder = Clients(ROOT).folder
    pins = json.loads((folder / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pins.values())
    lock = (folder / "package-lock.json").read_text(encoding="utf-8")
    assert "resolved" not in lock
    assert "https://registry" not in lock
    requirements = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in requirements)
