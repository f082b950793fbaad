"""Finds a Python that can run Tidegate, or the sentence that says how to get one.

Must itself run on Python 3.8, because a machine's `python3` may be old while a newer one stands beside it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MINIMUM = (3, 11)
COMMAND_NAMES = ("python3.14", "python3.13", "python3.12", "python3.11", "python3", "python")
# A version manager's shim answers slowly the first time; anything slower than this is not worth waiting for.
QUESTION_SECONDS = 10

_QUESTION = (
    "import sys, importlib.util as u;"
    "complete = u.find_spec('venv') and u.find_spec('ensurepip');"
    "print(sys.version_info[0], sys.version_info[1], int(bool(complete)))"
)


class SetupError(Exception):
    """Set-up cannot go on; the message is one sentence that says what to type."""


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine: its path, its (major, minor), whether it can make a virtual environment."""

    path: str
    version: tuple[int, int]
    makes_environments: bool


def find_uv() -> str | None:
    return shutil.which("uv")


def find_interpreter(uv: str | None) -> Interpreter:
    """The first Python of at least MINIMUM that can get an environment: with uv any, else one that has venv.

    Raises SetupError with the command that installs what is missing.
    """
    incomplete: Interpreter | None = None
    for path in candidates(uv):
        found = ask(path)
        if found is None or found.version < MINIMUM:
            continue
        if uv or found.makes_environments:
            return found
        incomplete = incomplete or found
    if incomplete:
        raise SetupError(venv_advice(incomplete))
    raise SetupError(python_advice(uv))


def candidates(uv: str | None) -> Iterator[str]:
    """Paths worth asking, best first: this interpreter, then those on PATH, then those that uv knows."""
    # Of a virtual environment, the interpreter under it: `.venv` itself may be about to be rebuilt.
    own = getattr(sys, "_base_executable", None) or sys.executable
    if own:
        yield own
    for name in COMMAND_NAMES:
        path = shutil.which(name)
        if path:
            yield path
    if uv:
        path = output_of([uv, "python", "find", "--no-project", f">={dotted(MINIMUM)}"])
        if path:
            yield path


def ask(path: str) -> Interpreter | None:
    """What the interpreter at `path` says of itself; None when it does not run."""
    answer = output_of([path, "-c", _QUESTION]).split()
    if len(answer) != 3:
        return None
    major, minor, complete = (int(number) for number in answer)
    return Interpreter(path, (major, minor), bool(complete))


def output_of(command: list[str]) -> str:
    """The stripped standard output of a command, or an empty string when it fails."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=QUESTION_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace").strip()


def python_advice(uv: str | None) -> str:
    """How to get a Python that is new enough, for the package manager that is here."""
    needed = dotted(MINIMUM)
    return f"Tidegate needs Python {needed} or newer and found none: {_python_command(uv)}, then try again."


def _python_command(uv: str | None) -> str:
    if uv:
        return "type `uv python install 3.13`"
    if shutil.which("apt-get"):
        package = newest_apt_python(
            lambda name: bool(output_of(["apt-cache", "show", "--no-all-versions", name]))
        )
        return f"type `{_sudo()}apt install {package} {package}-venv`"
    for manager, arguments in (
        ("dnf", "install python3.12"),
        ("brew", "install python@3.13"),
        ("pacman", "-S python"),
        ("apk", "add python3"),
        ("zypper", "install python312"),
    ):
        if shutil.which(manager):
            sudo = "" if manager == "brew" else _sudo()
            return f"type `{sudo}{manager} {arguments}`"
    return "install uv (https://docs.astral.sh/uv) and type `uv python install 3.13`"


def newest_apt_python(is_known: Callable[[str], bool]) -> str:
    """The newest versioned Python package that this Debian or Ubuntu offers."""
    versioned = [name for name in COMMAND_NAMES if "." in name]
    return next((name for name in versioned if is_known(name)), f"python{dotted(MINIMUM)}")


def venv_advice(incomplete: Interpreter) -> str:
    """How to complete a Python whose `venv` or `ensurepip` was split off by its distribution."""
    version = dotted(incomplete.version)
    if shutil.which("apt-get"):
        command = f"type `{_sudo()}apt install python{version}-venv`"
    else:
        command = "install uv (https://docs.astral.sh/uv), which does without them,"
    return (
        f"{incomplete.path} (Python {version}) lacks the venv or ensurepip module: {command} and try again."
    )


def dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _sudo() -> str:
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return "" if is_root else "sudo "
