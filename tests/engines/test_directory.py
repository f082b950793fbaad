"""The private folder of an engine, and how one that was left behind is told from one in use."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tidegate.engines.directory import EngineDirectory, remove_abandoned


def test_folder_is_private_and_goes_away(short_path: Path) -> None:
    directory = EngineDirectory(short_path)
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(directory.log.stat().st_mode) == 0o600
    directory.remove()
    directory.remove()
    assert list(short_path.iterdir()) == []


def test_log_is_read_from_its_end_and_kept_small(short_path: Path) -> None:
    directory = EngineDirectory(short_path)
    os.write(directory.log_descriptor, b"x" * 2_000_000 + "last wörds".encode())
    assert directory.log_tail().endswith("last wörds")
    assert len(directory.log_tail()) <= 64 << 10
    directory.trim_log()
    assert directory.log_tail() == ""
    os.write(directory.log_descriptor, b"new")
    directory.trim_log()
    assert directory.log_tail() == "new"
    directory.remove()


def test_only_folders_that_nobody_holds_are_removed(short_path: Path) -> None:
    alive = EngineDirectory(short_path)
    left = EngineDirectory(short_path)
    os.close(left.log_descriptor)
    (short_path / "tidegate-engine-new").mkdir()
    old = short_path / "tidegate-engine-old"
    old.mkdir()
    os.utime(old, (0, 0))
    (short_path / "something-else").mkdir()
    remove_abandoned(short_path)
    assert {path.name for path in short_path.iterdir()} == {
        alive.path.name,
        "tidegate-engine-new",
        "something-else",
    }
    alive.remove()


def test_path_that_no_socket_can_have_is_refused(tmp_path: Path) -> None:
    base = tmp_path / ("x" * 100)
    base.mkdir()
    with pytest.raises(OSError, match="too long a path for a socket"):
        EngineDirectory(base)
    assert list(base.iterdir()) == []


def test_short_folder_is_found_when_the_usual_one_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / ("x" * 100)
    base.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
    directory = EngineDirectory()
    assert base not in directory.path.parents
    directory.remove()
