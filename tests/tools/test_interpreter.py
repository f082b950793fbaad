"""Tests the search for a Python, among real small programs on a PATH of the test's own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.tools.commands import program
from tools.interpreter import SetupError, ask, find_interpreter, python_advice

# What an interpreter answers: major, minor, whether it has venv and ensurepip, whether it has pip.
OLD = "echo 3 8 1 1"
COMPLETE = "echo 3 12 1 1"
INCOMPLETE = "echo 3 13 0 1"
NOWHERE = "/nowhere/python3"


def test_own_interpreter_comes_first(tmp_path: Path) -> None:
    program(tmp_path, "python3.14", "echo 3 14 1 1")
    found = find_interpreter(None, own=sys.executable, path=str(tmp_path))
    assert found.path == sys.executable
    assert found.version == sys.version_info[:2]


def test_newest_on_path_is_taken_when_own_is_too_old(tmp_path: Path) -> None:
    own = str(program(tmp_path, "old", OLD))
    program(tmp_path, "python3.11", "echo 3 11 1 1")
    newest = program(tmp_path, "python3.12", COMPLETE)
    assert find_interpreter(None, own, str(tmp_path)).path == str(newest)


@pytest.mark.parametrize("broken", ["exit 127", "echo no such version here", "echo 3 12 1 1 >&2"])
def test_broken_shim_is_passed_over(tmp_path: Path, broken: str) -> None:
    program(tmp_path, "python3.14", broken)
    working = program(tmp_path, "python3.11", "echo 3 11 1 1")
    assert find_interpreter(None, NOWHERE, str(tmp_path)).path == str(working)


def test_python_with_venv_is_preferred_to_a_newer_one_without(tmp_path: Path) -> None:
    program(tmp_path, "python3.13", INCOMPLETE)
    complete = program(tmp_path, "python3.12", COMPLETE)
    assert find_interpreter(None, NOWHERE, str(tmp_path)).path == str(complete)


def test_uv_needs_no_venv_module(tmp_path: Path) -> None:
    uv = str(program(tmp_path, "uv", "exit 1"))
    incomplete = program(tmp_path, "python3.13", INCOMPLETE)
    assert find_interpreter(uv, NOWHERE, str(tmp_path)).path == str(incomplete)


def test_python_of_uv_is_found(tmp_path: Path) -> None:
    managed = program(tmp_path / "managed", "python", COMPLETE)
    uv = str(program(tmp_path / "bin", "uv", f'test "$1 $2" = "python find" && echo "{managed}"'))
    assert find_interpreter(uv, NOWHERE, str(tmp_path / "bin")).path == str(managed)


def test_missing_venv_names_the_debian_package(tmp_path: Path) -> None:
    program(tmp_path, "python3.13", INCOMPLETE)
    program(tmp_path, "apt-get", "")
    with pytest.raises(
        SetupError, match=r"no venv or ensurepip .*apt install python3\.13-venv` and try again\.$"
    ):
        find_interpreter(None, NOWHERE, str(tmp_path))


def test_missing_venv_without_apt_names_uv(tmp_path: Path) -> None:
    program(tmp_path, "python3.13", INCOMPLETE)
    with pytest.raises(SetupError, match=r"install uv .*, which does without, and try again\.$"):
        find_interpreter(None, NOWHERE, str(tmp_path))


def test_no_python_names_what_apt_offers(tmp_path: Path) -> None:
    own = str(program(tmp_path, "old", OLD))
    program(tmp_path, "apt-get", "")
    program(tmp_path, "apt-cache", 'test "$2" = python3.12 && echo Package: python3.12')
    with pytest.raises(
        SetupError, match=r"found none: .*apt install python3\.12 python3\.12-venv`, then try again\.$"
    ):
        find_interpreter(None, own, str(tmp_path))


@pytest.mark.parametrize(
    ("manager", "command"), [("dnf", "dnf install python3.12"), ("brew", "`brew install python@3.13`")]
)
def test_no_python_names_the_package_manager(tmp_path: Path, manager: str, command: str) -> None:
    program(tmp_path, manager, "")
    assert command in python_advice(None, str(tmp_path))


def test_no_python_with_uv_names_uv(tmp_path: Path) -> None:
    assert "`uv python install 3.13`" in python_advice("uv", str(tmp_path))
    assert "install uv " in python_advice(None, str(tmp_path))


def test_sudo_is_named_where_it_is_needed(tmp_path: Path) -> None:
    program(tmp_path, "dnf", "")
    assert ("sudo dnf" in python_advice(None, str(tmp_path))) == (os.geteuid() != 0)


def test_interpreter_tells_of_itself() -> None:
    found = ask(sys.executable)
    assert found is not None
    assert found.version == sys.version_info[:2]
    assert ask(NOWHERE) is None
