"""Finds a Python that can run Tidegate, or the sentence that says how to get one.

Must itself run on Python 3.8, because a machine's `python3` may be old while a newer one stands beside it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

MINIMUM = (3, 11)
COMMAND_NAMES = ("python3.14", "python3.13", "python3.12", "python3.11", "python3", "python")
INSTALL_COMMANDS = (
    ("dnf", "install python3.12"),
    ("brew", "install python@3.13"),
    ("pacman", "-S python"),
    ("apk", "add python3"),
    ("zypper", "install python312"),
)
GET_UV = "install uv (https://docs.astral.sh/uv)"
# A version manager's shim answers slowly the first time; anything slower than this is not worth waiting for.
QUESTION_SECONDS = 10

_QUESTION = (
    "import sys, importlib.util as u;"
    "complete = u.find_spec('venv') and u.find_spec('ensurepip');"
    "print(sys.version_info[0], sys.version_info[1], int(bool(complete)), int(bool(u.find_spec('pip'))))"
)


class SetupError(Exception):
    """Set-up cannot go on; the message is one sentence that says what to type."""


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine; `makes_environments` means that it has venv and ensurepip."""

    path: str
    version: tuple[int, int]
    makes_environments: bool
    has_pip: bool


def find_uv() -> str | None:
    return shutil.which("uv")


def own_interpreter() -> str:
    """The Python that runs this; of a virtual environment the one under it, as `.venv` may be about to go."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def find_interpreter(uv: str | None, own: str, path: str | None = None) -> Interpreter:
    """The first Python of at least MINIMUM that can get an environment: with uv any, else one that has venv.

    `path` stands for PATH. Raises SetupError with the command that installs what is missing.
    """
    incomplete: Interpreter | None = None
    for candidate in candidates(uv, own, path):
        found = ask(candidate)
        if found is None or found.version < MINIMUM:
            continue
        if uv or found.makes_environments:
            return found
        incomplete = incomplete or found
    if incomplete:
        raise SetupError(venv_advice(incomplete, path))
    raise SetupError(python_advice(uv, path))


def candidates(uv: str | None, own: str, path: str | None) -> Iterator[str]:
    """Paths worth asking, best first: this interpreter, then those on PATH, then those that uv knows."""
    yield own
    yield from filter(None, (shutil.which(name, path=path) for name in COMMAND_NAMES))
    if uv:
        yield output_of([uv, "python", "find", "--no-project", f">={dotted(MINIMUM)}"])


def ask(path: str) -> Interpreter | None:
    """What the interpreter at `path` says of itself; None when it does not run."""
    try:
        major, minor, complete, pip = (int(number) for number in output_of([path, "-c", _QUESTION]).split())
    except ValueError:
        return None
    return Interpreter(path, (major, minor), bool(complete), bool(pip))


def output_of(command: list[str]) -> str:
    """The stripped standard output of a command, or an empty string when it fails."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=QUESTION_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace").strip()


def python_advice(uv: str | None, path: str | None = None) -> str:
    """How to get a Python that is new enough, with what is here to install it."""
    needed = dotted(MINIMUM)
    return (
        f"Tidegate needs Python {needed} or newer and found none: {python_command(uv, path)}, then try again."
    )


def python_command(uv: str | None, path: str | None) -> str:
    if uv:
        return "type `uv python install 3.13`"
    if shutil.which("apt-get", path=path):
        package = newest_apt_python(path)
        return f"type `{sudo()}apt install {package} {package}-venv`"
    for manager, arguments in INSTALL_COMMANDS:
        if shutil.which(manager, path=path):
            return f"type `{sudo() if manager != 'brew' else ''}{manager} {arguments}`"
    return f"{GET_UV} and type `uv python install 3.13`"


def newest_apt_python(path: str | None) -> str:
    """The newest Python package that this Debian or Ubuntu offers; its plain python3 may be too old."""
    apt_cache = shutil.which("apt-cache", path=path)
    versioned = [name for name in COMMAND_NAMES if "." in name]
    offered = (name for name in versioned if apt_cache and output_of([apt_cache, "show", name]))
    return next(offered, f"python{dotted(MINIMUM)}")


def venv_advice(incomplete: Interpreter, path: str | None = None) -> str:
    """How to complete a Python whose `venv` or `ensurepip` was split off by its distribution."""
    version = dotted(incomplete.version)
    has_apt = shutil.which("apt-get", path=path)
    command = (
        f"type `{sudo()}apt install python{version}-venv`" if has_apt else f"{GET_UV}, which does without,"
    )
    return f"{incomplete.path} (Python {version}) has no venv or ensurepip module: {command} and try again."


def dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def sudo() -> str:
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return "" if is_root else "sudo "
