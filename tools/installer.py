"""Installs packages with uv or pip, as the machine has configured them, and asks whether their index answers.

Knows no index address: the configuration of pip or uv decides on index, proxy and certificates.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.interpreter import Interpreter, SetupError, output_of

# Small, pure Python, and a requirement of Tidegate itself: what the index is asked for first.
PROBED_PACKAGE = "click"
CONNECT_SECONDS = 5
# pip may be told to install elsewhere than into the environment that it runs in; for us that is never right.
MISPLACING = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER")
UV_INDEX_SETTINGS = (
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_INDEX",
    "UV_CONFIG_FILE",
    "UV_NO_INDEX",
    "UV_OFFLINE",
)


@dataclass(frozen=True)
class Installer:
    """One way to install into an environment.

    `command` stands before what is installed, `pins` between the two; `probe` is whole.
    """

    name: str
    command: tuple[str, ...]
    pins: tuple[str, ...]
    probe: tuple[str, ...]
    root: Path
    wheels: Path | None
    environment: Mapping[str, str]
    probe_environment: Mapping[str, str]

    def install(self, requirements: list[str], log: Path, *, pinned: bool = True) -> bool:
        """Whether it worked; all that the installer says is added to `log`."""
        with log.open("ab") as output:
            done = subprocess.run(
                [*self.command, *(self.pins if pinned else ()), *requirements],
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**self.environment, **({"TIDEGATE_PURE": "1"} if self.lacks_setuptools() else {})},
                check=False,
            )
        return done.returncode == 0

    def index_answers(self, seconds: float) -> bool:
        """Whether a small package can be had, decided within `seconds`; always so for a folder of wheels."""
        if self.wheels:
            return True
        # What is downloaded lands in the working directory.
        with tempfile.TemporaryDirectory() as passing:
            try:
                done = subprocess.run(
                    self.probe,
                    cwd=passing,
                    input=PROBED_PACKAGE.encode(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**self.environment, **self.probe_environment},
                    timeout=seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return False
        return done.returncode == 0

    def lacks_setuptools(self) -> bool:
        """Whether what compiles cannot be had, so that asking for it would end the installation."""
        return self.wheels is not None and not any(self.wheels.glob("setuptools-*.whl"))

    def why_not_compiled(self) -> str:
        """A reason and what to do, for when an installation went on without compiled code."""
        if self.environment.get("TIDEGATE_PURE", "0") not in {"", "0"}:
            return "TIDEGATE_PURE is set"
        if self.lacks_setuptools():
            return f"WHEELS={self.wheels} has no setuptools, with which it is compiled"
        return "install a C compiler and Python's headers, then type `make clean run`"

    def failure(self) -> str:
        """What to type after install() has failed and its log was shown."""
        if self.wheels:
            return f"WHEELS={self.wheels} lacks what is named above: {fill_wheels(self.wheels)}."
        return (
            f"{self.name} could not install for the reason above: mend that and type the same command again."
        )


def pip_installer(
    asking: str, python: Path, root: Path, wheels: Path | None, environment: Mapping[str, str]
) -> Installer:
    """pip of the virtual environment that `python` belongs to; the interpreter `asking` asks the index."""
    pins = ("-c", constraints(root))
    once = ("--no-deps", "--retries", "0", "--timeout", str(CONNECT_SECONDS))
    kept = {name: value for name, value in environment.items() if name not in MISPLACING}
    unasked = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    return Installer(
        name="pip",
        command=(str(python), "-m", "pip", "install", *wheel_options(wheels)),
        pins=pins,
        # Downloading is allowed in a Python that its distribution manages; a dry run of installing is not.
        probe=(asking, "-m", "pip", "download", *pins, *once, PROBED_PACKAGE),
        root=root,
        wheels=wheels,
        environment={**kept, **unasked},
        probe_environment={"PIP_REQUIRE_VIRTUALENV": "0"},
    )


def uv_installer(
    uv: str, asking: str, python: Path, root: Path, wheels: Path | None, environment: Mapping[str, str]
) -> Installer:
    """uv, for the virtual environment that `python` belongs to; `asking` is whom it asks the index for."""
    pins = ("-c", constraints(root))
    return Installer(
        name="uv",
        # An older uv takes an editable package that it built before, whose compiled part may be gone by now.
        command=(
            *(uv, "pip", "install", "--python", str(python), "--reinstall-package", "tidegate"),
            *wheel_options(wheels),
        ),
        pins=pins,
        # Compiles what stands on standard input; without --refresh a cached answer would hide a dead index.
        probe=(uv, "pip", "compile", "--python", asking, *pins, "--no-deps", "--refresh", "-"),
        root=root,
        wheels=wheels,
        environment=environment,
        probe_environment={"UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": str(CONNECT_SECONDS)},
    )


def constraints(root: Path) -> str:
    return str(root / "tools" / "constraints.txt")


def wheel_options(wheels: Path | None) -> tuple[str, ...]:
    return ("--no-index", "--find-links", str(wheels)) if wheels else ()


def check_wheels(folder: str | None) -> Path | None:
    """The folder named by WHEELS, None when none is named; raises SetupError when it has no wheels."""
    if not folder:
        return None
    path = Path(folder).expanduser().absolute()
    if not any(path.glob("*.whl")):
        raise SetupError(f"WHEELS={folder} holds no wheels: {fill_wheels(path)}.")
    return path


def fill_wheels(folder: Path) -> str:
    """How to fill a folder of wheels; with all that an editable install is built with."""
    what = "-c tools/constraints.txt hatchling editables setuptools '.[local,test]'"
    return f"fill it where an index answers with `python3 -m pip wheel -w {shlex.quote(str(folder))} {what}`"


def only_pip_has_an_index(interpreter: Interpreter, environment: Mapping[str, str]) -> bool:
    """Whether pip is pointed at an index of the user's choice and uv, which does not read that, at none."""
    if any(environment.get(name) for name in UV_INDEX_SETTINGS) or has_uv_file(environment):
        return False
    if environment.get("PIP_INDEX_URL") or environment.get("PIP_NO_INDEX"):
        return True
    return names_an_index(output_of([interpreter.path, "-m", "pip", "config", "list"]))


def names_an_index(settings: str) -> bool:
    """Whether the output of `pip config list` replaces the default index or forbids any."""
    keys = [line.partition("=")[0].rpartition(".")[2] for line in settings.splitlines()]
    return "index-url" in keys or "no-index" in keys


def has_uv_file(environment: Mapping[str, str]) -> bool:
    home = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return any(path.is_file() for path in (home / "uv" / "uv.toml", Path(os.sep, "etc", "uv", "uv.toml")))
