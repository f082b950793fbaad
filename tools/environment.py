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
from dataclasses import dataclass
from pathlib import Path

from tools.engine_fit import misfit, this_machine
from tools.installer import Installer, check_wheels, only_pip_has_an_index, pip_installer, uv_installer
from tools.interpreter import (
    MINIMUM,
    Interpreter,
    SetupError,
    ask,
    find_interpreter,
    find_uv,
    own_interpreter,
)

# A set-up without an index ends within 15 s; a part of that goes to starting and ending Python.
PATIENCE_SECONDS = 12.0
# Less than this is not enough for pip to start and ask.
SHORTEST_PROBE_SECONDS = 3.0
# Enough to show what a resolver or a compiler complained of.
LOG_LINES = 15
NO_INDEX = (
    "No package index answered, so nothing was installed: check the network and proxy, or name an index that "
    "you can reach in PIP_INDEX_URL, or install from a folder of wheels with `WHEELS=folder`."
)

# What decides, beside pyproject.toml, on what is compiled.
BUILD_HOOK = "hatch_build.py"
COMPILED_SOURCE = "src/tidegate/streams/_relay.c"

# The oldest SDKs that still install, by the folder that each gets; both pass an argument that httpx dropped.
OLD_SDKS = {
    "openai-1.6.1": ("openai==1.6.1", "httpx<0.28"),
    "anthropic-0.16.0": ("anthropic==0.16.0", "httpx<0.28"),
}


@dataclass(frozen=True)
class Environment:
    """A virtual environment of the clone at `root`."""

    root: Path
    place: str = ".venv"

    @property
    def folder(self) -> Path:
        return self.root / self.place

    @property
    def python(self) -> Path:
        return self.script("python")

    @property
    def log(self) -> Path:
        return self.folder / "tidegate-install.log"

    @property
    def stamp(self) -> Path:
        return self.folder / "tidegate-stamp.json"

    @property
    def pyproject(self) -> Path:
        return self.root / "pyproject.toml"

    def script(self, name: str) -> Path:
        return self.folder / "Scripts" / f"{name}.exe" if os.name == "nt" else self.folder / "bin" / name

    def is_ready(self, extras: frozenset[str]) -> bool:
        """Whether an earlier run installed all of `extras` and nothing that decides has changed since."""
        stamped = self.stamped_extras()
        return stamped is not None and extras <= stamped and self.python.exists()

    def stamped_extras(self) -> frozenset[str] | None:
        """The extras that the stamp vouches for; None when it is missing or from before a change."""
        try:
            stamp = json.loads(self.stamp.read_text(encoding="utf-8"))
            return frozenset(stamp["extras"]) if stamp["key"] == self.stamp_key() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_stamp(self, extras: frozenset[str]) -> None:
        stamp = {"key": self.stamp_key(), "extras": sorted(extras)}
        self.stamp.write_text(json.dumps(stamp), encoding="utf-8")

    def stamp_key(self) -> str:
        """Changes with the requirements, pins, what is compiled, the environment's Python and its folder."""
        digest = hashlib.sha256(str(self.root).encode())
        constraints = self.root / "tools" / "constraints.txt"
        for path in (self.pyproject, constraints, self.folder / "pyvenv.cfg"):
            digest.update(b"\0" + path.read_bytes())
        source = self.root / COMPILED_SOURCE
        for path in (self.root / BUILD_HOOK, *sorted(source.parent.glob(f"{source.stem}*.[ch]"))):
            digest.update(b"\0" + (path.read_bytes() if path.exists() else b""))
        return digest.hexdigest()

    def create(self, interpreter: Interpreter, uv: str | None) -> None:
        """Make it with `uv`, or with pip in it; one that works and has what is needed is kept."""
        found = ask(str(self.python)) if self.python.exists() else None
        if found and found.version >= MINIMUM and (uv or self.has_pip()):
            return
        if self.folder.exists():
            shutil.rmtree(self.folder)
        if uv:
            venv = [uv, "venv", "-q", "--no-project", "--python", interpreter.path]
        else:
            venv = [interpreter.path, "-m", "venv"]
        if subprocess.call([*venv, str(self.folder)], cwd=self.root) != 0:
            raise SetupError(f"{self.folder} could not be created: mend what is named above and try again.")

    def lacks_compiled(self) -> bool:
        """Whether there is something to compile and no Python has it compiled."""
        source = self.root / COMPILED_SOURCE
        return source.exists() and not any(source.parent.glob(f"{source.stem}.*.so"))

    def has_pip(self) -> bool:
        command = [str(self.python), "-m", "pip", "--version"]
        return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0

    def show_log(self) -> None:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        print("\n".join(lines[-LOG_LINES:]), file=sys.stderr)


def ensure(environment: Environment, extras: frozenset[str], settings: Mapping[str, str]) -> None:
    """Make `.venv` hold Tidegate, `extras` and, where they fit, the local engine and what reads documents.

    At once if it does already. Two of these may run side by side: one installs, the other waits. `settings`
    are the user's environment variables. Raises SetupError with what to type.
    """
    if environment.is_ready(extras):
        return
    deadline = time.monotonic() + patience_seconds(settings.get("INDEX_WAIT"))
    with locked(environment.pyproject):
        if environment.is_ready(extras):
            return
        uv = find_uv()
        interpreter = find_interpreter(uv, own_interpreter())
        if sys.version_info[:2] < MINIMUM:
            # What follows reads pyproject.toml, which an older standard library cannot: begin again.
            os.execv(interpreter.path, [interpreter.path, *sys.argv])
        kept = environment.stamped_extras() or frozenset()
        environment.stamp.unlink(missing_ok=True)
        installer = choose_installer(environment, interpreter, uv, settings, deadline)
        install(environment, installer, extras | kept)
        environment.write_stamp(extras | kept)


def patience_seconds(setting: str | None) -> float:
    """How long a set-up may take to learn that no index answers; INDEX_WAIT is for a very slow network."""
    if not setting:
        return PATIENCE_SECONDS
    try:
        return float(setting)
    except ValueError:
        raise SetupError(f"INDEX_WAIT={setting} is no number of seconds: try INDEX_WAIT=60.") from None


def choose_installer(
    environment: Environment,
    interpreter: Interpreter,
    uv: str | None,
    settings: Mapping[str, str],
    deadline: float,
) -> Installer:
    """uv where there is one and its index answers, else pip, with a `.venv` that it can install into.

    Indexes are asked first, as creating `.venv` takes seconds. Raises SetupError around `deadline` (of
    time.monotonic) when none answers.
    """
    wheels = check_wheels(settings.get("WHEELS"))
    can_use_pip = interpreter.makes_environments
    where = (environment.python, environment.root, wheels, settings)
    if uv and not (can_use_pip and wheels is None and only_pip_has_an_index(interpreter, settings)):
        installer = uv_installer(uv, interpreter.path, *where)
        patience = deadline - time.monotonic()
        if installer.index_answers(patience / 2 if can_use_pip else patience):
            environment.create(interpreter, uv)
            return installer
    if can_use_pip:
        asking = interpreter.path
        if not interpreter.has_pip:
            environment.create(interpreter, None)
            asking = str(environment.python)
        installer = pip_installer(asking, *where)
        if installer.index_answers(max(SHORTEST_PROBE_SECONDS, deadline - time.monotonic())):
            environment.create(interpreter, None)
            return installer
    raise SetupError(NO_INDEX)


def install(environment: Environment, installer: Installer, extras: frozenset[str]) -> None:
    """Install Tidegate as an editable package, then what may fail: the readers of documents, the engine."""
    what = "Tidegate and its test tools" if "test" in extras else "Tidegate"
    print(f"Installing {what} into .venv with {installer.name}; later runs start at once.", flush=True)
    environment.log.write_bytes(b"")
    target = f".[{','.join(sorted(extras))}]" if extras else "."
    if not installer.install(["-e", target], environment.log):
        environment.show_log()
        raise SetupError(installer.failure())
    if environment.lacks_compiled() and os.name != "nt":
        print(f"Streams are relayed by Python, not by compiled code: {installer.why_not_compiled()}.")
    if "test" in extras:
        install_old_sdks(environment, installer)
    pyproject = environment.pyproject.read_text(encoding="utf-8")
    log = environment.log.relative_to(environment.root)
    # In the test tools they are contained.
    readers = [] if "test" in extras else extra_requirements(pyproject, "documents")
    if readers and not installer.install(["--only-binary", ":all:", *readers], environment.log):
        print(f"What reads PDF and Office files did not install ({log} says why); the rest works.")
    reason = misfit(this_machine())
    if reason:
        print(f"The local engine is left out: {reason}; everything else works.", flush=True)
        return
    # Never from source: that is hundreds of C++ files.
    engine = extra_requirements(pyproject, "local")
    if not installer.install(["--only-binary", ":all:", *engine], environment.log):
        print(f"The local engine did not install ({log} says why); the rest works, `make clean run` retries.")


def install_old_sdks(environment: Environment, installer: Installer) -> None:
    """Beside the environment, for they clash with the newest."""
    for folder, requirements in OLD_SDKS.items():
        where = ["--target", str(environment.folder / folder)]
        if not installer.install([*where, *requirements], environment.log, pinned=False):
            print(f"{requirements[0]} did not install; the tests with it are left out.", flush=True)


def extra_requirements(pyproject: str, extra: str) -> list[str]:
    """The requirements of an extra in the text of a pyproject.toml; none when it has no such extra."""
    import tomllib  # noqa: PLC0415 (new in 3.11; this file must load on 3.8)

    extras: dict[str, list[str]] = tomllib.loads(pyproject)["project"]["optional-dependencies"]
    return extras.get(extra, [])


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
