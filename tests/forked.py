"""Owns processes that run `tidegate`, or a program, and begin as copies of one that has imported it already.

To import it takes most of the time of a start, and a test run starts hundreds. A copy is a process of its own
in all else: it has its own folder, environment, input and output, obeys signals, can be killed, and its
`main` is the one that `python -m tidegate` calls. Each worker of a test run has one process to copy, which
ends with it. Where there is no fork that can be relied on, programs are started in the usual way.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import importlib
import json
import locale
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from types import ModuleType
from typing import IO, Final, NoReturn, Protocol

import click

ROOT: Final = Path(__file__).resolve().parent.parent
RUN_SECONDS: Final = 50.0
"""How long a command may take on a busy machine."""

_LONGEST_ORDER: Final = 2**20
_ENCODING: Final = "PYTHONIOENCODING"
_TAKEN_OVER: Final = (_ENCODING, "LC_ALL")
"""Variables that a copy can obey, of those that Python reads before anything else."""

# Ctrl-C reaches a program only when the terminal is the one that controls its session.
_TAKE_TERMINAL: Final = (
    "import fcntl, os, sys, termios; "
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)

Files = tuple[int, int, int]
"""The descriptors of input, output and errors."""


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


@dataclass(frozen=True, slots=True)
class Order:
    """A process that is to run `tidegate ARGUMENTS`, or a ``program``.

    ``controls``: its input is a terminal, from which Ctrl-C comes."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    controls: bool = False
    program: str = ""


def start(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    files: Files,
    *,
    controls: bool = False,
    copied: bool = True,
) -> Process:
    """`tidegate ARGUMENTS` in a folder. ``controls``: its input is a terminal, from which Ctrl-C comes."""
    order = Order([*arguments], str(folder), dict(environment), controls)
    command = [sys.executable, "-m", "tidegate", *arguments]
    if controls:
        command = [sys.executable, "-c", _TAKE_TERMINAL, *command]
    return _started(order, files, command, () if copied else None)


def run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], text: str = ""
) -> subprocess.CompletedProcess[str]:
    """`tidegate ARGUMENTS` to its end, with files for a terminal."""
    return _to_its_end(lambda files: start(arguments, folder, environment, files), text)


def run_program(
    program: str, folder: Path, environment: Mapping[str, str], imported: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """`python -W error -c PROGRAM` to its end, in a process that has imported some modules."""
    order = Order([], str(folder), dict(environment), program=program)
    command = [sys.executable, "-W", "error", "-c", program]
    return _to_its_end(lambda files: _started(order, files, command, tuple(imported)), "")


def _started(order: Order, files: Files, command: Sequence[str], imported: tuple[str, ...] | None) -> Process:
    """A copy of what has ``imported`` these modules, or ``command`` for None and where copies cannot be."""
    if imported is not None and sys.platform == "linux" and not _read_early(order.environment):
        return _original(imported).copy(order, files)
    read, write, errors = files
    return subprocess.Popen(
        command,
        cwd=order.folder,
        env=order.environment,
        stdin=read,
        stdout=write,
        stderr=errors,
        start_new_session=order.controls,
    )


def _to_its_end(begin: Callable[[Files], Process], text: str) -> subprocess.CompletedProcess[str]:
    with TemporaryFile() as given, TemporaryFile() as output, TemporaryFile() as errors:
        given.write(text.encode())
        given.seek(0)
        process = begin((given.fileno(), output.fileno(), errors.fileno()))
        try:
            code = process.wait(RUN_SECONDS)
        finally:
            process.kill()
        return subprocess.CompletedProcess([], code, _text(output), _text(errors))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _read_early(environment: Mapping[str, str]) -> bool:
    """Whether there is something that Python reads when it starts, and that the original does not have."""
    return any(
        name.startswith(("PYTHON", "LC_", "LANG"))
        and name not in _TAKEN_OVER
        and value != os.environ.get(name)
        for name, value in environment.items()
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
        """The exit code as soon as there is one. Others may look, and send signals, while somebody waits."""
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._ended, select.POLLIN)
            if poll.poll(None if timeout is None else timeout * 1000):
                with self._lock:
                    if self.returncode is None:
                        self.returncode = int(os.read(self._ended, 16))
        return self.returncode

    def __del__(self) -> None:
        os.close(self._ended)


class _Original:
    """A process that is copied, as its owner sees it."""

    def __init__(self, imported: Sequence[str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked", str(theirs.fileno()), *imported],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self.close)

    def copy(self, order: Order, files: Files) -> _Copy:
        ended, tell = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._control, [json.dumps(asdict(order)).encode()], [*files, tell])
                pid = self._control.recv(16)
        finally:
            os.close(tell)
        assert pid, "what is to be copied has ended: its traceback is above"
        return _Copy(int(pid), ended)

    def close(self) -> None:
        self._control.close()
        self._process.wait()


@cache
def _original(imported: tuple[str, ...]) -> _Original:
    """What has imported these modules, or `tidegate` where none is named."""
    return _Original(imported)


# What follows runs in the original, and from the fork on in a copy.


def next_order(control: socket.socket) -> tuple[Order, Sequence[int]]:
    """Fork for each order that comes, and return it with its files in the copy. The original stays here."""
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
        message, descriptors, _, _ = socket.recv_fds(control, _LONGEST_ORDER, 4)
        if not message:
            os._exit(0)
        *files, tell = descriptors
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            control.close()
            for descriptor in (wake, waker, tell, *ends.values()):
                os.close(descriptor)
            return Order(**json.loads(message)), files
        ends[pid] = tell
        for descriptor in files:
            os.close(descriptor)
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


def become(order: Order, files: Sequence[int]) -> None:
    """Make this process what Python would be at the start of the program."""
    for place, descriptor in enumerate(files):
        os.dup2(descriptor, place)
        os.close(descriptor)
    if order.controls:
        import fcntl
        import termios

        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.environment)
    locale.setlocale(locale.LC_CTYPE, "")
    encoding = order.environment.get(_ENCODING)
    sys.stdin = os.fdopen(0, encoding=encoding, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding=encoding, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding=encoding, errors="backslashreplace", closefd=False)
    sys.path[0] = order.folder
    sys.argv = ["tidegate", *order.arguments]


def import_commands() -> click.Group:
    """Import each command and what serves, and return what `python -m tidegate` calls."""
    commands: click.Group = importlib.import_module("tidegate.cli").main
    context = click.Context(commands)
    for name in commands.list_commands(context):
        commands.get_command(context, name)
    for name in ("tidegate.cli.alone", "tidegate.client"):
        importlib.import_module(name)
    with suppress(ImportError):  # which not every Python can have
        importlib.import_module("uvloop")
    asyncio.run(open_once())
    return commands


async def open_once() -> None:
    """Do what every gateway does before it starts: compile its paths, import its dialects and agents."""
    application = importlib.import_module("tidegate.app").Application
    config = importlib.import_module("tidegate.config").Config()
    with TemporaryDirectory() as folder:
        opened = application(config, {"TIDEGATE_HOME": folder}, asyncio.get_running_loop())
        await opened.close()
    importlib.import_module("tidegate.agents.loading").load_agents((), None)


def main() -> NoReturn:
    descriptor, *imported = sys.argv[1:]
    for name in imported:
        importlib.import_module(name)
    commands = None if imported else import_commands()
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(descriptor)) as control:
        order, files = next_order(control)
    become(order, files)
    if commands is None:
        warnings.simplefilter("error")
        program = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(order.program, "<string>", "exec"), program.__dict__)
    else:
        commands.main(prog_name="tidegate")
    sys.exit()


if __name__ == "__main__":
    main()
