"""Tests the set-up commands as a user has them: real processes in a small clone, without a network."""

from __future__ import annotations

import ast
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.tools.commands import ROOT, clone, dev, settings, wheel
from tools.environment import locked

CLICK = next(
    line
    for line in (ROOT / "tools" / "constraints.txt").read_text().splitlines()
    if line.startswith("click==")
)
# Creating an environment is seconds of work for a processor that the other tests use too.
SETUP_SECONDS = 240
needs_venv = pytest.mark.skipif(find_spec("ensurepip") is None, reason="this Python lacks ensurepip")
TARGETS = ("run", "test", "soak", "bench", "check", "test-clients")


@pytest.fixture
def occupied() -> Iterator[int]:
    """A port of 127.0.0.1 on which something listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_index() -> str:
    """The address of a package index where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/simple"


def finish(command: list[str], user: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=user, capture_output=True, text=True, check=False)


def begin(command: list[str], user: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, env=user, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@needs_venv
@pytest.mark.timeout(SETUP_SECONDS)
def test_runs_at_once_install_from_wheels_once_and_later_ones_start_at_once(tmp_path: Path) -> None:
    here = clone(tmp_path / "a clone")
    folder = tmp_path / "wheels"
    user = settings(PORT="0", HOST="127.0.0.1", ARGS="--config 'my file'")
    wheel(folder, "other==1.0")
    lacking = finish(dev(here, "run"), {**user, "WHEELS": str(folder)})
    assert lacking.returncode == 1
    assert "click" in lacking.stderr
    assert f"WHEELS={folder} lacks what is named above" in lacking.stderr.splitlines()[-1]

    wheel(folder, CLICK)
    both = [begin(dev(here, "run"), {**user, "WHEELS": str(folder)}) for _ in range(2)]
    said = [process.communicate(timeout=SETUP_SECONDS) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [errors for _, errors in said] == ["", ""]
    (installed,) = [output for output, _ in said if "Installing" in output]
    installing, engine, serving = installed.splitlines()[-3:]
    assert installing == "Installing Tidegate into .venv with pip; later runs start at once."
    assert engine.startswith("The local engine ")
    assert serving == "serving serve --config my file --host 127.0.0.1 --port 0"
    assert [output.splitlines()[-1] for output, _ in said] == [serving] * 2

    later = finish(dev(here, "run"), {**user, "PIP_INDEX_URL": closed_index()})
    assert later.stderr == ""
    assert later.stdout == f"{serving}\n"


@needs_venv
def test_no_index_fails_within_15_seconds_with_one_sentence(tmp_path: Path) -> None:
    began = time.monotonic()
    done = finish(dev(clone(tmp_path / "clone"), "run"), settings(PIP_INDEX_URL=closed_index(), PORT="0"))
    assert time.monotonic() - began < 15
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "No package index answered" in done.stderr
    assert "WHEELS=folder" in done.stderr


def test_taken_port_prints_the_command_that_works(tmp_path: Path, occupied: int) -> None:
    taken = finish(dev(clone(tmp_path / "clone"), "run"), settings(PORT=str(occupied), MAKELEVEL="1"))
    assert taken.returncode == 1
    assert taken.stderr.startswith(f"Port {occupied} is in use: try `make run PORT=")
    assert not (tmp_path / "clone" / ".venv").exists()


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("PORT", "http", "http is no port number: try `PORT=7860 "),
        ("ARGS", "--config 'open", "ARGS cannot be read"),
        ("WHEELS", "nowhere", "WHEELS=nowhere holds no wheels: fill it "),
        ("INDEX_WAIT", "long", "INDEX_WAIT=long is no number of seconds"),
    ],
)
def test_wrong_setting_is_one_sentence(tmp_path: Path, setting: str, value: str, sentence: str) -> None:
    user = {"PORT": "0", setting: value}
    done = finish(dev(clone(tmp_path / "clone"), "run"), settings(**user))
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1


def test_interrupt_ends_without_a_traceback(tmp_path: Path) -> None:
    here = clone(tmp_path / "clone")
    with locked(here / "pyproject.toml"):
        process = begin(dev(here, "run"), settings(PORT="0"))
        assert process.stdout is not None
        assert "waiting" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == ""


def test_client_tests_need_node(tmp_path: Path) -> None:
    done = finish(dev(ROOT, "test-clients"), settings(path=tmp_path))
    assert done.returncode == 0
    assert "install Node.js" in done.stdout


def test_make_alone_prints_every_target() -> None:
    try:
        shown = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("make is not installed")
    assert all(f"make {target} " in shown for target in (*TARGETS, "clean"))
    usage = subprocess.run(dev(ROOT, "--help"), capture_output=True, text=True, check=True).stdout
    assert set(TARGETS) <= set(usage.split())


def test_tools_load_on_python_3_8_with_the_standard_library_alone() -> None:
    for path in sorted((ROOT / "tools").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            foreign = {name.split(".")[0] for name in names} - {*sys.stdlib_module_names, "tools"}
            assert not foreign, f"{path.name} imports {foreign}"


def test_constraints_pin_every_requirement() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins: dict[str, list[str]] = {}
    for line in (ROOT / "tools" / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            pin = Requirement(line)
            pins.setdefault(pin.name, []).append(next(iter(pin.specifier)).version)
    needed = [Requirement(text) for text in project["dependencies"]]
    needed += [Requirement(text) for extra in project["optional-dependencies"].values() for text in extra]
    unpinned = [
        str(requirement)
        for requirement in needed
        if requirement.name != project["name"]
        and not any(map(requirement.specifier.contains, pins.get(requirement.name.lower(), [])))
    ]
    assert not unpinned, "make tools/constraints.txt anew with the command in its first lines"
