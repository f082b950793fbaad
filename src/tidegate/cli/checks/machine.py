"""Looks at the machine: Python, the event loop, the local engine, limits, and the data folder."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

from tidegate.cli.checks.finding import Finding
from tidegate.cli.home import home
from tidegate.config import Config
from tidegate.engines import local_engine_problem
from tidegate.server.process import raise_file_limit
from tidegate.streams.compiled import relay_compiled

_OLDEST_PYTHON: Final = (3, 11)
_FILES_PER_STREAM: Final = 2
"""A client's connection and an upstream's."""

_FILES_BESIDE: Final = 100
_FEW_STREAMS: Final = 1000


_COMPILER_INSTALLS: Final = {
    "apt": "sudo apt install gcc python3-dev",
    "dnf": "sudo dnf install gcc python3-devel",
    "xcode-select": "xcode-select --install",
}
"""What installs a C compiler and Python's headers, by the program that a system which has it is known by."""


def check_machine(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Everything about this machine that matters to a gateway with these settings."""
    yield _python()
    yield Finding("ok", f"{platform.system()} {platform.release()} on {platform.machine()}")
    yield _event_loop()
    yield check_relay()
    yield _local_engine()
    yield from _file_limit(config.server.max_streams)
    yield _data_folder(home(environ))


def _python() -> Finding:
    version = f"{platform.python_implementation()} {platform.python_version()}"
    if sys.version_info < _OLDEST_PYTHON:
        wanted = ".".join(map(str, _OLDEST_PYTHON))
        return Finding(
            "problem", f"{version} is too old: Tidegate needs Python {wanted}", "uv python install 3.13"
        )
    return Finding("ok", version)


def _event_loop() -> Finding:
    version = _version_of("uvloop")
    if version is not None:
        return Finding("ok", f"uvloop {version}")
    if sys.platform == "win32":
        return Finding("note", "uvloop does not exist for Windows, so asyncio's own event loop is used")
    return Finding(
        "warning", "uvloop is missing, so every stream costs more processor time", "pip install uvloop"
    )


def check_relay() -> Finding:
    """Whether the optional compiled code is here."""
    if relay_compiled():
        return Finding("ok", "streams are relayed by compiled code")
    if sys.platform == "win32" or sys.implementation.name != "cpython":
        return Finding(
            "note", "streams are relayed by Python: compiled code is for CPython on Linux and macOS"
        )
    return Finding(
        "warning",
        "streams are relayed by Python, not by compiled code, so they cost more processor time: "
        "install a C compiler and Python's headers, then Tidegate again (in a clone with `make clean run`)",
        next((command for tool, command in _COMPILER_INSTALLS.items() if shutil.which(tool)), None),
    )


def _local_engine() -> Finding:
    problem = local_engine_problem()
    if problem is not None:
        what, _, remedy = problem.partition(": ")
        return Finding("note", f"GGUF files cannot be served: {what}", remedy or None)
    return Finding("ok", f"local engine for GGUF files: xllamacpp {_version_of('xllamacpp') or ''}".rstrip())


def _file_limit(wanted: int) -> Iterator[Finding]:
    limit = raise_file_limit()
    if not limit:
        return  # this platform has no such limit
    streams = min(max((limit - _FILES_BESIDE) // _FILES_PER_STREAM, 0), wanted)
    text = f"{limit:,} open files are allowed, enough for {streams:,} streams at a time"
    if streams >= min(wanted, _FEW_STREAMS):
        yield Finding("ok", text)
    else:
        yield Finding("warning", text, f"ulimit -n {_FILES_PER_STREAM * wanted + _FILES_BESIDE}")


def _data_folder(folder: Path) -> Finding:
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return Finding("ok", f"data folder {folder}")
    return Finding(
        "warning",
        f"the data folder {folder} cannot be written, so other commands will not find the gateway",
        "export TIDEGATE_HOME=$HOME/.tidegate",
    )


def _version_of(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
