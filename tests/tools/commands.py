"""Makes small programs and clones for the tests of the tools."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[2]
# A package whose build needs nothing from anywhere, so that installing it is real and still needs no network.
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "tidegate"
version = "0.1.0"
dependencies = ["click>=8"]
[project.optional-dependencies]
local = ["xllamacpp>=2026"]
test = []
"""
BACKEND = '''
"""Builds an editable wheel of one module with the command `tidegate`, which prints its arguments."""
import os, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "tidegate-0.1.0-py3-none-any.whl"
    info = "tidegate-0.1.0.dist-info/"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("tidegate_editable.pth", os.getcwd())
        wheel.writestr(info + "METADATA", METADATA)
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "entry_points.txt", "[console_scripts]\\ntidegate = printer:main\\n")
        wheel.writestr(info + "RECORD", "")
    return name

METADATA = """Metadata-Version: 2.1
Name: tidegate
Version: 0.1.0
Requires-Dist: click>=8
Provides-Extra: test
"""
'''
PRINTER = "import sys\ndef main():\n    print('serving', *sys.argv[1:])\n"


def program(folder: Path, name: str, script: str) -> Path:
    """An executable shell script at folder/name."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def clone(folder: Path) -> Path:
    """A folder with our tools and a tiny package of Tidegate's name, which needs nothing but click."""
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (folder / "backend.py").write_text(BACKEND, encoding="utf-8")
    (folder / "printer.py").write_text(PRINTER, encoding="utf-8")
    return folder


def wheel(folder: Path, pin: str) -> Path:
    """The folder, with an empty wheel in it for a pin such as "click==8.5.1"."""
    folder.mkdir(exist_ok=True)
    name, _, version = pin.partition("==")
    info = f"{name}-{version}.dist-info/"
    with ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(info + "RECORD", "")
    return folder


def settings(path: str | Path = "/usr/bin:/bin", **changed: str) -> Mapping[str, str]:
    """A user's environment variables: no configuration of pip or uv but `changed`, no uv on PATH."""
    return {"PATH": str(path), "HOME": os.devnull, "PIP_CONFIG_FILE": os.devnull, **changed}


def dev(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, str(folder / "tools" / "dev.py"), *arguments]
