"""Tests how pip and uv are called, and that a silent or dead index is noticed in time."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.tools.commands import ROOT, program, settings
from tools.installer import (
    check_wheels,
    fill_wheels,
    has_uv_file,
    names_an_index,
    only_pip_has_an_index,
    pip_installer,
    uv_installer,
)
from tools.interpreter import Interpreter, SetupError

PYTHON = Path(sys.executable)


def test_wheels_are_all_that_is_looked_at(tmp_path: Path) -> None:
    options = ("--no-index", "--find-links", str(tmp_path))
    assert pip_installer(sys.executable, PYTHON, ROOT, tmp_path, {}).command[-3:] == options
    assert uv_installer("uv", sys.executable, PYTHON, ROOT, tmp_path, {}).command[-3:] == options
    assert pip_installer(sys.executable, PYTHON, ROOT, tmp_path, {}).index_answers(0)


def test_without_wheels_the_index_is_the_users(tmp_path: Path) -> None:
    user = {"PIP_INDEX_URL": "http://127.0.0.1:1/simple", "HTTPS_PROXY": "http://127.0.0.1:2"}
    installer = pip_installer(sys.executable, PYTHON, ROOT, None, user)
    assert not any("index" in word or "links" in word for word in installer.command)
    assert user.items() <= installer.environment.items()


def test_pip_installs_nowhere_else() -> None:
    installer = pip_installer(
        sys.executable, PYTHON, ROOT, None, {"PIP_USER": "1", "PIP_TARGET": "/elsewhere", "LANG": "C"}
    )
    assert "PIP_USER" not in installer.environment
    assert "PIP_TARGET" not in installer.environment
    assert installer.environment["LANG"] == "C"


def test_folder_of_wheels_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "click-8.5.1-py3-none-any.whl").touch()
    assert check_wheels(".") == tmp_path
    assert check_wheels("") is None
    assert check_wheels(None) is None
    with pytest.raises(SetupError, match="WHEELS=gone holds no wheels"):
        check_wheels("gone")


def test_command_that_fills_a_folder_is_quoted() -> None:
    assert "-w '/a folder' -c" in fill_wheels(Path("/a folder"))


@pytest.mark.parametrize(
    ("wheel", "changed", "pure", "reason"),
    [
        ("click-8.5.1-py3-none-any.whl", {}, "1", "has no setuptools"),
        ("setuptools-84.2.1-py3-none-any.whl", {}, "", "install a C compiler and Python's headers"),
        (None, {}, "", "install a C compiler and Python's headers"),
        (None, {"TIDEGATE_PURE": "1"}, "1", "TIDEGATE_PURE is set"),
    ],
)
def test_nothing_is_compiled_from_wheels_without_setuptools(
    tmp_path: Path, wheel: str | None, changed: dict[str, str], pure: str, reason: str
) -> None:
    wheels = tmp_path / "wheels" if wheel else None
    if wheels and wheel:
        wheels.mkdir()
        (wheels / wheel).touch()
    uv = str(program(tmp_path, "uv", 'echo "pure: $TIDEGATE_PURE."'))
    installer = uv_installer(uv, sys.executable, PYTHON, ROOT, wheels, settings(**changed))
    assert installer.install(["-e", "."], tmp_path / "log")
    assert (tmp_path / "log").read_text() == f"pure: {pure}.\n"
    assert reason in installer.why_not_compiled()


def test_silent_index_is_given_up_on_in_time(tmp_path: Path) -> None:
    uv = str(program(tmp_path, "uv", "exec sleep 30"))
    began = time.monotonic()
    assert not uv_installer(uv, sys.executable, PYTHON, ROOT, None, settings()).index_answers(0.5)
    assert time.monotonic() - began < 10


def test_index_that_has_the_package_answers(tmp_path: Path) -> None:
    uv = str(program(tmp_path, "uv", 'read package; test "$package" = click'))
    assert uv_installer(uv, sys.executable, PYTHON, ROOT, None, settings()).index_answers(10)


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        ("global.index-url='https://a.example/simple'", True),
        (":env:.no-index='1'", True),
        ("global.extra-index-url='https://a.example/simple'\nglobal.cert='index-url'", False),
        ("", False),
    ],
)
def test_index_in_pip_configuration_is_noticed(listing: str, *, expected: bool) -> None:
    assert names_an_index(listing) is expected


def test_pip_is_used_where_only_pip_was_given_an_index(tmp_path: Path) -> None:
    own = Interpreter(sys.executable, (3, 11), makes_environments=True, has_pip=True)
    bare = {"XDG_CONFIG_HOME": str(tmp_path)}
    index = {"PIP_INDEX_URL": "http://127.0.0.1:1/simple"}
    assert only_pip_has_an_index(own, {**bare, **index})
    assert not only_pip_has_an_index(own, {**bare, **index, "UV_DEFAULT_INDEX": "http://127.0.0.1:1/simple"})
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").touch()
    assert has_uv_file(bare)
    assert not only_pip_has_an_index(own, {**bare, **index})
