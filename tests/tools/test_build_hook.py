"""Builds a small project with our build hook, for real: with a compiler, without one, and told not to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.tools.commands import ROOT

MODULE = f"tidegate/streams/_relay{sysconfig.get_config_var('EXT_SUFFIX')}"
COMPILER = shutil.which("cc") if find_spec("setuptools") else None
HEADER = Path(sysconfig.get_path("include"), "Python.h")
pytestmark = pytest.mark.skipif(
    not (find_spec("hatchling") and find_spec("editables")), reason="what builds wheels is not installed"
)
needs_compiler = pytest.mark.skipif(
    not (COMPILER and HEADER.exists() and sys.platform in {"linux", "darwin"}),
    reason="a C compiler, Python's headers and setuptools are needed",
)
# What the wheel is made of; the rest of the package would only take time to pack.
PARTS = (
    *("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore", "src/tidegate/__init__.py"),
    "src/tidegate/streams/__init__.py",
    *(f"src/tidegate/streams/_relay{end}" for end in (".c", ".h", "_text.h", ".pyi")),
)
EDITABLE = "import sys, hatchling.build as build; print(build.build_editable(sys.argv[1]))"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Tidegate without most of its modules."""
    for part in PARTS:
        target = tmp_path / "project" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / part, target)
    return tmp_path / "project"


def build(project: Path, *command: str, **changed: str) -> tuple[Path, str]:
    """What `command` builds into dist/ of the project, and all that it says."""
    environment = {name: value for name, value in os.environ.items() if name not in {"CC", "TIDEGATE_PURE"}}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=project,
        env={**environment, **changed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (artifact,) = (project / "dist").iterdir()
    return artifact, done.stdout + done.stderr


def build_wheel(project: Path, **changed: str) -> tuple[Path, str]:
    return build(project, "-m", "hatchling", "build", "-t", "wheel", **changed)


def build_editable(project: Path, **changed: str) -> tuple[Path, str]:
    (project / "dist").mkdir(exist_ok=True)
    for old in (project / "dist").iterdir():
        old.unlink()
    return build(project, "-c", EDITABLE, "dist", **changed)


@needs_compiler
def test_wheel_with_compiled_code_is_for_one_platform(project: Path) -> None:
    wheel, said = build_wheel(project)
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert wheel.name.startswith(f"tidegate-0.1.0-{tag}-{tag}")
    assert "none-any" not in wheel.name
    assert "relayed" not in said
    with ZipFile(wheel) as archive:
        assert MODULE in archive.namelist()
        assert "tidegate/streams/_relay.c" not in archive.namelist()
        archive.extract(MODULE, project)
    # It is what this Python can load, and nothing lies about in the sources.
    load = "import importlib.machinery as m, sys; m.ExtensionFileLoader('_relay', sys.argv[1]).create_module"
    load += "(m.ModuleSpec('_relay', None, origin=sys.argv[1]))"
    subprocess.run([sys.executable, "-c", load, str(project / MODULE)], check=True)
    assert not list((project / "src").rglob("*.so"))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"CC": "/nonexistent"}, "there is no C compiler here: install a C compiler"),
        ({"TIDEGATE_PURE": "1"}, "TIDEGATE_PURE is set"),
        pytest.param({"CC": shutil.which("false") or ""}, "compiling failed (", marks=needs_compiler),
    ],
)
def test_wheel_without_compiled_code_is_for_all_and_says_why(
    project: Path, changed: dict[str, str], reason: str
) -> None:
    wheel, said = build_wheel(project, **changed)
    assert wheel.name == "tidegate-0.1.0-py3-none-any.whl"
    assert said.count("Streams will be relayed by Python, not by compiled code: ") == 1
    assert reason in said
    assert MODULE not in ZipFile(wheel).namelist()


@needs_compiler
def test_editable_install_compiles_what_the_source_says_now(project: Path) -> None:
    module = project / "src" / MODULE
    build_editable(project)
    first = module.read_bytes()
    source = module.parent / "_relay.c"
    with source.open("a", encoding="utf-8") as file:
        file.write('\nconst char edited_since[] = "Edited since";\n')
    build_editable(project)
    assert b"Edited since" not in first
    assert b"Edited since" in module.read_bytes()
    build_editable(project, TIDEGATE_PURE="1")
    assert not module.exists()


def test_sdist_holds_what_a_wheel_is_compiled_from(project: Path) -> None:
    (project / "src" / MODULE).touch()
    archive, _ = build(project, "-m", "hatchling", "build", "-t", "sdist")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    sources = {f"src/tidegate/streams/_relay{end}" for end in (".c", ".h", "_text.h")}
    assert {"hatch_build.py"} | sources <= names
    assert f"src/{MODULE}" not in names
