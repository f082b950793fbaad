"""Tests the stamp: what makes a set-up valid, and what makes it stale."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tools.environment import BUILD_HOOK, COMPILED_SOURCE, Environment, extra_requirements

CORE: frozenset[str] = frozenset()
TEST = frozenset({"test"})


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment that holds the test tools, as its stamp says."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "constraints.txt").write_text("click==8.5.1\n", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    (tmp_path / COMPILED_SOURCE).parent.mkdir(parents=True)
    (tmp_path / COMPILED_SOURCE).write_text("int one;\n", encoding="utf-8")
    made = Environment(tmp_path)
    made.python.parent.mkdir(parents=True)
    made.python.symlink_to(sys.executable)
    (made.folder / "pyvenv.cfg").write_text("version = 3.11.7\n", encoding="utf-8")
    made.write_stamp(TEST)
    return made


def test_stamp_vouches_for_what_was_installed(environment: Environment) -> None:
    assert environment.is_ready(TEST)
    assert environment.is_ready(CORE)
    assert not environment.is_ready(TEST | {"documents"})


@pytest.mark.parametrize(
    "changed", ["pyproject.toml", "tools/constraints.txt", ".venv/pyvenv.cfg", BUILD_HOOK, COMPILED_SOURCE]
)
def test_stamp_is_stale_after_a_change(environment: Environment, changed: str) -> None:
    with (environment.root / changed).open("a", encoding="utf-8") as file:
        file.write("# more\n")
    assert not environment.is_ready(CORE)


def test_stamp_is_stale_in_another_folder(environment: Environment, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(environment.root, moved, symlinks=True, ignore=shutil.ignore_patterns("moved"))
    assert not Environment(moved).is_ready(CORE)


def test_no_interpreter_is_not_ready(environment: Environment) -> None:
    environment.python.unlink()
    assert not environment.is_ready(CORE)
    environment.python.symlink_to("/nowhere/python")
    assert not environment.is_ready(CORE)


@pytest.mark.parametrize("stamp", ["", "[]", "{}", '{"key": 1, "extras": []}'])
def test_damaged_stamp_is_not_ready(environment: Environment, stamp: str) -> None:
    environment.stamp.write_text(stamp, encoding="utf-8")
    assert not environment.is_ready(CORE)


def test_no_stamp_is_not_ready(environment: Environment) -> None:
    environment.stamp.unlink()
    assert not environment.is_ready(CORE)


def test_what_is_compiled_is_missed_where_there_is_a_source(environment: Environment) -> None:
    source = environment.root / COMPILED_SOURCE
    assert environment.lacks_compiled()
    source.with_suffix(".cpython-311-x86_64-linux-gnu.so").touch()
    assert not environment.lacks_compiled()
    source.with_suffix(".cpython-311-x86_64-linux-gnu.so").unlink()
    source.unlink()
    assert not environment.lacks_compiled()


def test_sources_that_are_compiled_exist() -> None:
    root = Path(__file__).resolve().parents[2]
    assert (root / BUILD_HOOK).exists()
    assert (root / COMPILED_SOURCE).exists()


def test_requirements_of_an_extra_are_read() -> None:
    pyproject = '[project.optional-dependencies]\nlocal = ["a>=1", "b"]\n'
    assert extra_requirements(pyproject, "local") == ["a>=1", "b"]
    assert extra_requirements(pyproject, "documents") == []
