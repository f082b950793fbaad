"""The systems that are measured side by side: Tidegate, nginx, and the mock upstream alone."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import yaml

from bench.errors import BenchError
from bench.machine import Machine, on_core
from tidegate.streams.compiled import relay_compiled

KEY = "sk-bench-0123456789abcdef"
CHAT_PATH = "/v1/chat/completions"
DIALECTS = {"mock": "openai-chat", "messages": "anthropic-messages", "responses": "openai-responses"}
"""The mock upstream as providers: by name, the dialect that it is called in."""

LOGS = {
    "memory": {"log": "memory"},
    "disk": {"log": "disk", "durability": "process"},
    "power": {"log": "disk", "durability": "power"},
}

READY_SECONDS = 30.0
STOP_SECONDS = 10.0
LOG_TAIL = 1500  # characters of a system's own output that an error shows


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the load goes, and the process that is accounted for it (0: none)."""

    port: int
    process: int = 0
    path: str = CHAT_PATH
    translates: bool = False
    """It serves other forms than Chat, and knows a model for each form that the mock speaks."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a system needs to know to start."""

    machine: Machine
    mock_port: int
    folder: Path
    access_log: bool = False
    log: str = "disk"
    """Where streams are logged, and how safely: a key of :data:`LOGS`."""


System = Callable[[Surroundings], AbstractContextManager[Endpoint]]
"""Starts a system and yields where it listens; stops it at the end."""


@contextmanager
def direct(surroundings: Surroundings) -> Iterator[Endpoint]:
    """The load generator on the mock itself: what the harness alone adds to a latency."""
    yield Endpoint(surroundings.mock_port)


@contextmanager
def nginx(surroundings: Surroundings) -> Iterator[Endpoint]:
    folder, port = surroundings.folder, free_port()
    config = folder / "nginx.conf"
    open_files = surroundings.machine.open_files
    names = {
        "FOLDER": folder,
        "PORT": port,
        "MOCK_PORT": surroundings.mock_port,
        "OPEN_FILES": open_files,
        "CONNECTIONS": min(20_000, open_files),
        "ACCESS_LOG": folder / "nginx-access.log" if surroundings.access_log else "off",
    }
    text = (Path(__file__).parent / "nginx.conf").read_text()
    for name, value in names.items():
        text = text.replace(f"@{name}@", str(value))
    config.write_text(text)
    words = [nginx_program(), "-p", str(folder), "-e", str(folder / "nginx-error.log"), "-c", str(config)]
    with running(words, port, surroundings) as process:
        yield Endpoint(port, process)


def nginx_program() -> str:
    # Where distributions put it, and where an ordinary user's PATH does not look.
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/nginx/sbin")
    if found is None:
        raise BenchError(
            "The bench needs nginx as its reference: install it (Debian: apt install nginx-light)."
        )
    return found


def nginx_version() -> str:
    told = subprocess.run([nginx_program(), "-v"], capture_output=True, text=True, check=False).stderr
    return told.rpartition("/")[2].strip()


@contextmanager
def tidegate(surroundings: Surroundings, interpreter_options: Sequence[str] = ()) -> Iterator[Endpoint]:
    """The gateway of this repository, one worker, with keys required and the mock as its only provider."""
    port = free_port()
    config = surroundings.folder / "tidegate.yaml"
    config.write_text(yaml.safe_dump(tidegate_config(surroundings), sort_keys=False))
    words = [
        sys.executable,
        *interpreter_options,
        "-m",
        "tidegate",
        "serve",
        "--config",
        str(config),
        "--port",
        str(port),
    ]
    with running(words, port, surroundings, {"TIDEGATE_HOME": str(surroundings.folder / "home")}) as process:
        yield Endpoint(port, process, translates=True)


def tidegate_versions() -> str:
    """Of Tidegate and of the libraries on its hot path, and whether its relay is compiled."""
    packages = {each.name: each.version for each in metadata.distributions()}
    names = ("tidegate", "uvloop", "httptools", "msgspec", "uvicorn")
    told = [f"{name} {packages[name]}" for name in names if name in packages]
    return ", ".join([*told, "relay compiled" if relay_compiled() else "relay not compiled"])


def tidegate_config(surroundings: Surroundings) -> dict[str, object]:
    # Every stream has two sockets; some descriptors stay for everything else.
    streams = min(20_000, (surroundings.machine.open_files - 500) // 2)
    url = f"http://127.0.0.1:{surroundings.mock_port}/v1"
    return {
        "server": {"access_log": surroundings.access_log, "max_streams": streams},
        "streams": LOGS[surroundings.log],
        "auth": {"keys": "required", "list": [KEY]},
        "providers": {
            name: {"base_url": url, "dialect": dialect, "api_key": "sk-mock"}
            for name, dialect in DIALECTS.items()
        },
        "models": {f"{name}-model": {"use": [f"{name}/mock-model"]} for name in DIALECTS},
    }


def command(template: str) -> System:
    """A gateway started by a shell-like command in which {port} and {mock_port} are filled in."""

    @contextmanager
    def start(surroundings: Surroundings) -> Iterator[Endpoint]:
        port = free_port()
        words = [word.format(port=port, mock_port=surroundings.mock_port) for word in shlex.split(template)]
        with running(words, port, surroundings) as process:
            yield Endpoint(port, process)

    return start


def external(endpoint: Endpoint) -> System:
    """A gateway that somebody else started and goes on running."""

    @contextmanager
    def start(surroundings: Surroundings) -> Iterator[Endpoint]:
        yield endpoint

    return start


@contextmanager
def running(
    words: Sequence[str], port: int, surroundings: Surroundings, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Runs a command from the moment that it listens on the port; yields its process id."""
    log = surroundings.folder / "output.log"
    with log.open("wb") as output, on_core(surroundings.machine.gateway_core):
        # A session of its own: Ctrl-C in the terminal reaches the bench alone, which stops things in order.
        process = subprocess.Popen(
            words,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=clean_environment() | dict(environment or {}),
            start_new_session=True,
        )
    try:
        wait_until_listening(process, words[0], port)
        yield process.pid
    except BenchError as error:
        raise BenchError(f"{error}{tail(log)}") from error
    finally:
        stop(process)


def clean_environment() -> dict[str, str]:
    """This environment without what would give the gateway other providers, keys or a home."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TIDEGATE_") and not name.endswith("_API_KEY")
    }


def wait_until_listening(process: subprocess.Popen[bytes], name: str, port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"{name} ended with status {process.returncode} before it listened.")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise BenchError(f"{name} did not listen on port {port} within {READY_SECONDS:.0f} s.")


def tail(log: Path) -> str:
    text = log.read_text(errors="replace")[-LOG_TAIL:].strip()
    return f"\nIts output ends with:\n{text}" if text else ""


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a process; what is left of its process group after a while is killed."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
