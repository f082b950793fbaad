"""Tests that a port that cannot be had is told with a command that works, against really occupied ports."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.port import free_port, option, port_problem, refusal, respelled


@pytest.fixture
def occupied() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_suggested_port_can_be_had(occupied: int) -> None:
    sentence = port_problem(["--port", str(occupied)], {"PORT": str(occupied)}, "make run") or ""
    before, _, suggested = sentence.removesuffix("`.").rpartition("PORT=")
    assert before == f"Port {occupied} is in use: try `make run "
    with socket.create_server(("127.0.0.1", int(suggested))):
        pass


def test_free_port_is_no_problem(occupied: int) -> None:
    assert port_problem(["--port", str(free_port("127.0.0.1", occupied + 1))], {}, "make run") is None
    assert port_problem(["--port=0"], {}, "make run") is None


def test_wildcard_listener_occupies_loopback() -> None:
    with socket.create_server(("", 0)) as server:
        assert refusal("127.0.0.1", server.getsockname()[1]) == errno.EADDRINUSE


def test_foreign_address_is_told() -> None:
    sentence = port_problem(["--host", "192.0.2.1"], {"HOST": "192.0.2.1"}, "make run")
    assert sentence == "192.0.2.1 is no address of this machine: try `make run HOST=127.0.0.1`."


@pytest.mark.parametrize("port", ["http", "-1", "65536", "٣"])
def test_no_port_number_is_told(port: str) -> None:
    sentence = port_problem(["--port", port], {"PORT": port}, "make run") or ""
    assert sentence.endswith("is no port number: try `make run PORT=7860`.")


def test_configuration_file_decides_on_its_own_port(tmp_path: Path, occupied: int) -> None:
    assert port_problem(["--config", "a.yaml"], {}, "make run") is None
    assert port_problem(["--config", "a.yaml", "--port", str(occupied)], {}, "make run") is not None
    (tmp_path / "tidegate.yaml").touch()
    assert port_problem([], {}, "make run") is None


def test_command_keeps_the_other_settings() -> None:
    user = {"HOST": "::1", "ARGS": "--gguf 'a b.gguf'", "PORT": "1", "HOME": "x"}
    assert (
        respelled(user, "make run", PORT="2")
        == """make run HOST=::1 PORT=2 ARGS='--gguf '"'"'a b.gguf'"'"''"""
    )
    assert respelled({}, "python3 tools/dev.py run", PORT="2") == "PORT=2 python3 tools/dev.py run"


def test_last_option_counts() -> None:
    assert option(["--port", "1", "--port=2"], "--port") == "2"
    assert option(["--port"], "--port") is None
