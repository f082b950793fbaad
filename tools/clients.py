"""Installs what `make test-clients` needs beside `.venv`: npm packages and a second environment.

Both are in tests/clients. A stamp that fits means that nothing is installed and no network touched. Whatever
does not install is told and left out: the tests with it are skipped.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.environment import Environment, choose_installer, locked, patience_seconds
from tools.interpreter import SetupError, find_interpreter, find_uv, own_interpreter

WHERE = "tests/clients"


@dataclass(frozen=True)
class Clients:
    """The clients of the clone at `root`."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / WHERE

    @property
    def environment(self) -> Environment:
        """Where the Python clients are, whose requirements clash with those of `.venv`."""
        return Environment(self.root, f"{WHERE}/.venv")

    @property
    def packages(self) -> Path:
        return self.folder / "node_modules"

    def python_is_ready(self) -> bool:
        environment = self.environment
        return environment.python.exists() and self._fits(environment.folder, "requirements.txt")

    def node_is_ready(self) -> bool:
        return self._fits(self.packages, "package.json", "package-lock.json")

    def install_python(self, settings: Mapping[str, str]) -> None:
        """Make the second environment; raises SetupError with what to type."""
        environment = self.environment
        requirements = self.folder / "requirements.txt"
        uv = find_uv()
        interpreter = find_interpreter(uv, own_interpreter())
        deadline = time.monotonic() + patience_seconds(settings.get("INDEX_WAIT"))
        installer = choose_installer(environment, interpreter, uv, settings, deadline)
        print(f"Installing Python clients into {WHERE}/.venv with {installer.name}.", flush=True)
        environment.log.write_bytes(b"")
        if not installer.install(["-r", str(requirements)], environment.log, pinned=False):
            environment.show_log()
            raise SetupError(installer.failure())
        self._stamp(environment.folder, "requirements.txt")

    def install_node(self) -> None:
        """Let npm fill node_modules as the lock says; raises SetupError with what to type."""
        npm = shutil.which("npm")
        if npm is None:
            raise SetupError("npm is not installed: install it beside Node.js.")
        print(f"Installing Node clients into {WHERE}/node_modules with npm.", flush=True)
        if subprocess.call([npm, "ci", "--loglevel", "error"], cwd=self.folder) != 0:
            raise SetupError("npm could not install for the reason above: mend that and type it again.")
        self._stamp(self.packages, "package.json", "package-lock.json")

    def _fits(self, place: Path, *sources: str) -> bool:
        stamp = place / "tidegate-stamp.txt"
        return stamp.is_file() and stamp.read_text(encoding="utf-8") == self._key(*sources)

    def _stamp(self, place: Path, *sources: str) -> None:
        (place / "tidegate-stamp.txt").write_text(self._key(*sources), encoding="utf-8")

    def _key(self, *sources: str) -> str:
        digest = hashlib.sha256(str(self.root).encode())
        for name in sources:
            digest.update(b"\0" + (self.folder / name).read_bytes())
        return digest.hexdigest()


def ensure_clients(clients: Clients, settings: Mapping[str, str]) -> None:
    """Install what is missing, as far as it can be had; two of these may run side by side."""
    if clients.node_is_ready() and clients.python_is_ready():
        return
    with locked(clients.folder / "package.json"):
        try:
            if not clients.node_is_ready():
                clients.install_node()
        except SetupError as problem:
            print(f"The Node clients are left out: {problem}", flush=True)
        try:
            if not clients.python_is_ready():
                clients.install_python(settings)
        except SetupError as problem:
            print(f"The Python clients are left out: {problem}", flush=True)
