"""Owns `.venv`: makes it, installs Tidegate into it, and knows by a stamp when nothing is left to do.

A stamp that fits means that no interpreter is searched, no lock taken and no network touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.engine_fit import misfit, this_machine
from tools.installer import Installer, check_wheels, only_pip_has_an_index, pip_installer, uv_installer
from tools.interpreter import MINIMUM, Interpreter, SetupError, ask, find_interpreter, find_uv

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
SCRIPTS = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "tidegate-stamp.json"
LOG = VENV / "tidegate-install.log"
# Enough to show what a resolver or a compiler complained of.
LOG_LINES = 15
PYPROJECT = ROOT / "pyproject.toml"
CONSTRAINTS = ROOT / "tools" / "constraints.txt"
# A set-up without an index ends within 15 s; a part of that goes to starting and ending Python.
PATIENCE_SECONDS = 12.0
# Less than this is not enough for pip to start and ask.
SHORTEST_PROBE_SECONDS = 3.0
NO_INDEX = (
    "No package index answered, so nothing was installed: check the network and proxy, or name an index that "
    "you can reach in PIP_INDEX_URL, or install from a folder of wheels with `WHEELS=folder`."
)


def ensure(extras: frozenset[str], environment: Mapping[str, str]) -> None:
    """Make `.venv` hold Tidegate, `extras` and, where it fits, the local engine; at once if it does already.

    Two of these may run side by side: one installs, the other waits. Raises SetupError with what to type.
    """
    if is_ready(extras):
        return
    began = time.monotonic()
    with locked(Path(__file__)):
        if is_ready(extras):
            return
        uv = find_uv()
        interpreter = find_interpreter(uv)
        if sys.version_info[:2] < MINIMUM:
            # What follows reads pyproject.toml, which an older standard library cannot: begin again.
            os.execv(interpreter.path, [interpreter.path, *sys.argv])
        build(interpreter, uv, extras | (stamped_extras() or frozenset()), environment, began)


def build(
    interpreter: Interpreter,
    uv: str | None,
    extras: frozenset[str],
    environment: Mapping[str, str],
    began: float,
) -> None:
    STAMP.unlink(missing_ok=True)
    deadline = began + patience_seconds(environment.get("INDEX_WAIT"))
    installer = choose_installer(interpreter, uv, environment, deadline)
    what = "Tidegate and its test tools" if "test" in extras else "Tidegate"
    print(f"Installing {what} into {VENV.name} with {installer.name}; later runs start at once.", flush=True)
    target = f".[{','.join(sorted(extras))}]" if extras else "."
    LOG.write_bytes(b"")
    if not installer.install(["-e", target], LOG):
        show_log()
        raise SetupError(installer.failure())
    without_engine = add_engine(installer)
    if without_engine:
        print(without_engine, flush=True)
    STAMP.write_text(json.dumps({"key": stamp_key(), "extras": sorted(extras)}), encoding="utf-8")


def choose_installer(
    interpreter: Interpreter, uv: str | None, environment: Mapping[str, str], deadline: float
) -> Installer:
    """uv where there is one and its index answers, else pip, with a `.venv` that it can install into.

    Raises SetupError around `deadline` (of time.monotonic) when no index answers.
    """
    wheels = check_wheels(environment.get("WHEELS"))
    can_use_pip = interpreter.makes_environments
    if uv and not (can_use_pip and wheels is None and only_pip_has_an_index(interpreter, environment)):
        make_venv(interpreter, uv)
        installer = uv_installer(uv, PYTHON, ROOT, wheels, environment)
        patience = deadline - time.monotonic()
        if installer.index_answers(patience / 2 if can_use_pip else patience):
            return installer
    if can_use_pip:
        make_venv(interpreter, None)
        installer = pip_installer(PYTHON, ROOT, wheels, environment)
        if installer.index_answers(max(SHORTEST_PROBE_SECONDS, deadline - time.monotonic())):
            return installer
    raise SetupError(NO_INDEX)


def patience_seconds(setting: str | None) -> float:
    """How long a set-up may take to learn that no index answers; INDEX_WAIT is for a very slow network."""
    if not setting:
        return PATIENCE_SECONDS
    try:
        return float(setting)
    except ValueError:
        raise SetupError(f"INDEX_WAIT={setting} is no number of seconds: try INDEX_WAIT=60.") from None


def add_engine(installer: Installer) -> str | None:
    """Install the extra `local`; when it does not fit or does not install, the sentence that says so."""
    reason = misfit(this_machine())
    if reason:
        return f"The local engine is left out: {reason}; everything else works."
    # Never from source: that is hundreds of C++ files.
    requirements = local_requirements(PYPROJECT.read_text(encoding="utf-8"))
    if installer.install(["--only-binary", ":all:", *requirements], LOG):
        return None
    return (
        f"The local engine was not installed (see {LOG.relative_to(ROOT)}); the rest works, and `make clean run` tries again."
    )


def local_requirements(pyproject: str) -> list[str]:
    """The requirements of the extra `local` in the text of a pyproject.toml."""
    import tomllib  # noqa: PLC0415 (new in 3.11; this file must load on 3.8)

    extras: dict[str, list[str]] = tomllib.loads(pyproject)["project"]["optional-dependencies"]
    return extras["local"]


def show_log() -> None:
    lines = LOG.read_text(encoding="utf-8", errors="replace").splitlines()
    print("\n".join(lines[-LOG_LINES:]), file=sys.stderr)


def make_venv(interpreter: Interpreter, uv: str | None) -> None:
    """Create `.venv` with `uv`, or with pip in it; one that works and has what is needed is kept."""
    found = ask(str(PYTHON)) if PYTHON.exists() else None
    if found and found.version >= MINIMUM and (uv or has_pip()):
        return
    if VENV.exists():
        shutil.rmtree(VENV)
    venv = (
        [uv, "venv", "-q", "--no-project", "--python", interpreter.path]
        if uv
        else [interpreter.path, "-m", "venv"]
    )
    if subprocess.call([*venv, str(VENV)], cwd=ROOT) != 0:
        raise SetupError(
            f"{interpreter.path} could not create {VENV}: mend what is named above and try again."
        )


def has_pip() -> bool:
    command = [str(PYTHON), "-m", "pip", "--version"]
    return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def is_ready(extras: frozenset[str]) -> bool:
    """Whether an earlier run installed all of `extras` and nothing that decides has changed since."""
    installed = stamped_extras()
    return installed is not None and extras <= installed and PYTHON.exists()


def stamped_extras() -> frozenset[str] | None:
    """The extras that the stamp vouches for; None when it is missing or from before a change."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        return frozenset(stamp["extras"]) if stamp["key"] == stamp_key() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def stamp_key() -> str:
    """Changes with the requirements, their pins, the environment's Python and the folder of the clone."""
    digest = hashlib.sha256(str(ROOT).encode())
    for path in (PYPROJECT, CONSTRAINTS, VENV / "pyvenv.cfg"):
        digest.update(b"\0" + path.read_bytes())
    return digest.hexdigest()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock on `path`, where the system has such locks; says so when it has to wait."""
    try:
        import fcntl  # noqa: PLC0415 (Unix only)
    except ImportError:
        yield
        return
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up is at work in .venv: waiting for it to finish.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: two set-ups at once are rare enough there
        yield
