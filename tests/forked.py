"""Owns processes that run `tidegate` and begin as copies of one that has imported it already.

To import the gateway takes most of the time of its start, and a test run starts hundreds. A copy is a process
of its own in all else: it has its own folder, environment and output, obeys signals, can be killed, and its
`main` is the one that `python -m tidegate` calls. Each worker of a test run has one process to copy, which
ends with it. Where there is no fork that can be relied on, programs are started in the usual way.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

ROOT: Final = Path(__file__).resolve().parent.parent
_MODULES: Final = ("tidegate.cli.serve", "tidegate.cli.alone", "uvloop")
_LONGEST_ORDER: Final = 2**20


class Process(Protocol):
    """What tests use of `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


def start(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], output: int) -> Process:
    """`tidegate ARGUMENTS` in a folder, without input; what it writes goes to the descriptor ``output``."""
    differs = {name for name in environment if name.startswith(("PYTHON", "LC_", "LANG"))}
    if sys.platform == "linux" and all(environment[name] == os.environ.get(name) for name in differs):
        return _original().copy(arguments, folder, environment, output)
    return subprocess.Popen(
        [sys.executable, "-m", "tidegate", *arguments],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )


class _Copy:
    """A process whose parent is the original, which writes its exit code into a pipe once it has ended."""

    def __init__(self, pid: int, ended: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"tidegate ({self.pid})", timeout or 0)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            if self.returncode is None:
                left = None if deadline is None else max(deadline - time.monotonic(), 0)
                poll = select.poll()
                poll.register(self._ended, select.POLLIN)
                if poll.poll(None if left is None else left * 1000):
                    self.returncode = int(os.read(self._ended, 16))
                    os.close(self._ended)
            return self.returncode


class _Original:
    """The process that is copied, as its owner sees it."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked", str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # no terminal, whose output would be written line by line
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self.close)

    def copy(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], output: int
    ) -> _Copy:
        order = {"arguments": [*arguments], "folder": str(folder), "environment": dict(environment)}
        ended, tell = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._control, [json.dumps(order).encode()], [output, tell])
                pid = self._control.recv(16)
        finally:
            os.close(tell)
        return _Copy(int(pid), ended)

    def close(self) -> None:
        self._control.close()
        self._process.wait()


@cache
def _original() -> _Original:
    return _Original()


# What follows runs in the original, and from the fork on in a copy.


class _Order:
    """One copy to be made."""

    def __init__(self, told: Mapping[str, Any], output: int) -> None:
        self.arguments: list[str] = told["arguments"]
        self.folder: str = told["folder"]
        self.environment: dict[str, str] = told["environment"]
        self.output = output


def next_order(control: socket.socket) -> _Order:
    """Fork for each order that comes, and return it in the copy alone. The original never returns."""
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ends: dict[int, int] = {}
    poll = select.poll()
    for descriptor in (control.fileno(), wake):
        poll.register(descriptor, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if wake in ready:
            os.read(wake, 4096)
            _reap(ends)
        if control.fileno() not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(control, _LONGEST_ORDER, 2)
        if not message:
            os._exit(0)
        output, tell = descriptors
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            control.close()
            for descriptor in (wake, waker, tell, *ends.values()):
                os.close(descriptor)
            return _Order(json.loads(message), output)
        ends[pid] = tell
        os.close(output)
        control.send(str(pid).encode())


def _reap(ends: dict[int, int]) -> None:
    """Tell of the copies that have ended."""
    while ends:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        tell = ends.pop(pid)
        os.write(tell, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(tell)


def become(order: _Order) -> None:
    """Make this process what `python -m tidegate` would find."""
    for descriptor in (1, 2):
        os.dup2(order.output, descriptor)
    os.close(order.output)
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.environment)
    sys.path[0] = order.folder
    sys.argv = ["tidegate", *order.arguments]


def main() -> NoReturn:
    for name in _MODULES:
        importlib.import_module(name)
    dialects = importlib.import_module("tidegate.dialects")
    for name in importlib.import_module("tidegate.server.urls").SERVED:
        dialects.load_dialect(name)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        order = next_order(control)
    become(order)
    importlib.import_module("tidegate.cli").main(prog_name="tidegate")
    sys.exit()


if __name__ == "__main__":
    main()
