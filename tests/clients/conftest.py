"""Owns how the tests of this folder start a client, and the gateway that all of them talk to."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.gateway import Gateway, clean_environment, gateway_config
from tests.tiny_gguf import TinyModel, shared_tiny_gguf
from tests.upstream import Upstream
from tools.clients import Clients

PROGRAMS = Path(__file__).parent / "programs"
CLIENTS = Clients(Path(__file__).resolve().parents[2])
NODE = shutil.which("node") or "node"
HELLO = "Hello from a tiny local model. Every word of this answer is known beforehand."
# Seconds for a program that takes one or two on an idle machine.
PATIENCE = 50
# Both are shorter than any silence in these tests, so that each is filled by several keep-alives.
IMPATIENT = {"header_hold": "100ms", "keep_alive": "100ms"}


class RunProgram(Protocol):
    def __call__(self, program: str, task: str, model: str = "m") -> Any: ...


def isolated(home: Path, **more: str) -> dict[str, str]:
    """An environment for a program that has a home of its own and reaches nothing but loopback."""
    inherited = {
        name: value
        for name, value in clean_environment().items()
        if not name.startswith(("ANTHROPIC_", "CLAUDE", "CODEX_", "XDG_", "NODE_", "LANG"))
    }
    nowhere = "http://127.0.0.1:9"
    proxies = {"HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "NO_PROXY": "127.0.0.1,localhost"}
    proxies |= {name.lower(): value for name, value in proxies.items()}
    return {**inherited, **proxies, "HOME": str(home), "PYTHONIOENCODING": "utf-8", **more}


def finished(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What a program printed, which must end well and within PATIENCE."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        said = [(each or b"").decode() for each in (late.stdout, late.stderr)]
        raise AssertionError(f"{command[0]} did not end:\n" + "\n".join(said)) from None
    output, problems = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 0, f"exit code {done.returncode}\n{output}\n{problems}"
    return output


@pytest.fixture(scope="session")
def _running(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = gateway_config(_shared_upstream.url, server=IMPATIENT)
    if importlib.util.find_spec("xllamacpp"):
        path = shared_tiny_gguf(tmp_path_factory, TinyModel(script=HELLO))
        config["models"]["hello"] = {"gguf": str(path), "threads": 1, "slots": 1}
    running = Gateway(tmp_path_factory.mktemp("clients"), config)
    yield running
    running.stop()


@pytest.fixture
def gateway(_running: Gateway, upstream: Upstream) -> Gateway:
    """This worker's gateway, which lets no silence be longer than 100 ms.

    Its models are those of `gateway_config`, `demo`, and `hello`, a real llama.cpp that says HELLO."""
    return _running


@pytest.fixture(scope="session")
def agents_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A real llama.cpp as `hello`, quick and roomy enough for the prompts of command-line agents.

    It has one small layer, and learned its words from our own documents, so that prompts are few tokens."""
    pages = [page.read_text("utf-8") for page in sorted((CLIENTS.root / "docs").glob("*.md"))]
    counted = Counter(re.findall("[A-Za-z]{2,}", " ".join(pages)))
    model = TinyModel(
        script=HELLO,
        dim=32,
        layers=1,
        heads=2,
        kv_heads=1,
        feed_forward=32,
        context=131072,
        merges=1000,
        corpus=" ".join(word for word, _ in counted.most_common(800)),
    )
    path = shared_tiny_gguf(tmp_path_factory, model)
    hello = {"gguf": str(path), "threads": 1, "slots": 1, "context": 90_000}
    patient = {"first_token": "5m", "idle": "5m", "total": "10m"}
    running = Gateway(tmp_path_factory.mktemp("engine"), {"models": {"hello": hello}, "timeouts": patient})
    yield running
    running.stop()


@pytest.fixture
def run_node(gateway: Gateway, tmp_path: Path) -> RunProgram:
    """Runs one task of a program in programs/ and returns the JSON that it prints."""
    if not CLIENTS.node_is_ready():
        pytest.skip("the npm packages are not installed: make test-clients")

    def run(program: str, task: str, model: str = "m") -> Any:
        command = [NODE, str(PROGRAMS / program), task, gateway.url, model]
        return json.loads(finished(command, tmp_path, isolated(tmp_path)))

    return run


@pytest.fixture(scope="session")
def _python_programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Running programs by name: what they import takes seconds, so each answers one task after another."""
    programs: dict[str, subprocess.Popen[str]] = {}
    yield programs
    for process in programs.values():
        process.communicate(timeout=PATIENCE)


@pytest.fixture
def run_python(
    gateway: Gateway,
    _python_programs: dict[str, subprocess.Popen[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> RunProgram:
    """The same with the second environment's Python."""
    if not CLIENTS.python_is_ready():
        pytest.skip("the Python clients are not installed: make test-clients")

    def run(program: str, task: str, model: str = "m") -> Any:
        process = _python_programs.get(program)
        if process is None or process.poll() is not None:
            process = _python_programs[program] = start_python(program, tmp_path_factory.mktemp("python"))
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{task} {gateway.url} {model}\n")
        process.stdin.flush()
        printed = process.stdout.readline()
        assert printed, f"{program} ended with {process.wait(PATIENCE)}: its traceback is above"
        return json.loads(printed)

    return run


def start_python(program: str, home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(CLIENTS.environment.python), str(PROGRAMS / program)],
        cwd=home,
        env=isolated(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
