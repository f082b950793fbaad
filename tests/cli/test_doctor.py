"""`tidegate doctor`: says what is wrong and what mends it, and fails only for what stops the gateway."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from types import ModuleType

import pytest
import yaml

from tests.cli.conftest import RunCommand
from tests.fixtures import StartGateway
from tests.gateway import Config, gateway_config
from tests.streams.parts import header
from tests.tiny_gguf import TinyModel, shared_tiny_gguf
from tests.upstream import Upstream
from tidegate.cli.checks import Finding
from tidegate.cli.checks.machine import check_relay
from tidegate.cli.checks.port_owner import owner_of_port
from tidegate.streams.compiled import relay_compiled
from tidegate.streams.records import header_record
from tidegate.streams.segments import Segments, Slot

NOWHERE = "http://127.0.0.1:1/v1"


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def taken_port() -> Iterator[int]:
    """The port of a program that is no gateway: it accepts connections and closes them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closing = Thread(target=close_all, args=(listener,))
        closing.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        closing.join()


def close_all(listener: socket.socket) -> None:
    """Closes each connection of ``listener`` until that is shut down."""
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return


def write(folder: Path, config: Config) -> str:
    path = folder / "doctor.yaml"
    path.write_text(yaml.safe_dump(config), "utf-8")
    return str(path)


def test_everything_in_order(
    run_command: RunCommand, upstream: Upstream, tmp_path: Path, free_port: int
) -> None:
    config = gateway_config(upstream.url, server={"port": free_port})
    left = Slot(tmp_path / "streams" / "left")  # by a gateway that was killed, for the next one
    segments = Segments(left)
    segments.append(*header_record(header(), 1, 0))
    segments.close()
    left.close()
    done = run_command("doctor", "--config", write(tmp_path, config))
    assert os.listdir(tmp_path / "streams") == ["left"]
    assert (done.returncode, done.stderr) == (0, "")
    assert f"✓ data folder {tmp_path}" in done.stdout
    relayed = (
        "✓ streams are relayed by compiled code" if relay_compiled() else " streams are relayed by Python"
    )
    assert relayed in done.stdout
    assert f"doctor.yaml: {len(config['providers'])} providers, {len(config['models'])} models" in done.stdout
    assert "✓ up: 1 model, with a key from the settings" in done.stdout
    assert f"✓ port {free_port} is free" in done.stdout
    assert "  · no gateway is running\n      tidegate serve\n" in done.stdout
    assert done.stdout.endswith("\nNo problems.\n")
    assert "sk-up" not in done.stdout
    assert upstream.requests == []


def test_what_relays_streams_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # None in sys.modules is what makes an import fail, as it does where nothing was compiled.
    monkeypatch.delattr("tidegate.streams._relay", raising=False)
    monkeypatch.setitem(sys.modules, "tidegate.streams._relay", None)
    missing = check_relay()
    assert not relay_compiled()
    assert missing.level in {"warning", "note"}
    assert "relayed by Python" in missing.text
    monkeypatch.setitem(sys.modules, "tidegate.streams._relay", ModuleType("tidegate.streams._relay"))
    assert relay_compiled()
    assert check_relay() == Finding("ok", "streams are relayed by compiled code")


def test_mistakes_in_the_settings(run_inside: RunCommand, tmp_path: Path) -> None:
    done = run_inside("doctor", "--config", write(tmp_path, {"server": {"prot": 1}, "demo": {"delay": "x"}}))
    assert done.returncode == 1
    assert "✗ " in done.stdout
    assert "server.prot is not a setting" in done.stdout
    assert "demo.delay" in done.stdout
    assert "2 problems to solve" in done.stdout


def test_default_model_that_nobody_has_is_found(
    run_inside: RunCommand, tmp_path: Path, free_port: int
) -> None:
    config = {"server": {"port": free_port}, "default_model": "nobody"}
    done = run_inside("doctor", "--config", write(tmp_path, config))
    assert (done.returncode, "nobody" in done.stdout) == (1, True)


def test_provider_that_cannot_be_reached_is_a_warning(
    run_inside: RunCommand, tmp_path: Path, free_port: int
) -> None:
    config = {
        "server": {"port": free_port},
        "providers": {"gone": {"base_url": NOWHERE, "api_key": "none"}},
        "models": {"m": {"use": "gone/m"}},
    }
    done = run_inside("doctor", "--config", write(tmp_path, config))
    assert done.returncode == 0
    assert "! gone: cannot connect to http://127.0.0.1:1" in done.stdout
    assert f"curl -v {NOWHERE}/models" in done.stdout


def test_port_of_another_program_is_a_problem(
    run_inside: RunCommand, tmp_path: Path, taken_port: int
) -> None:
    done = run_inside("doctor", "--config", write(tmp_path, {"server": {"port": taken_port}}))
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{taken_port}" in done.stdout
    assert "      tidegate serve --port " in done.stdout


def test_port_owner_is_named(taken_port: int) -> None:
    if not Path("/proc/net/tcp").exists():
        pytest.skip("this system does not show who listens")
    assert (owner_of_port(taken_port) or "").endswith(f"(process {os.getpid()})")


def test_running_gateway_is_seen(
    run_inside: RunCommand, start_gateway: StartGateway, upstream: Upstream, tmp_path: Path
) -> None:
    gateway = start_gateway(gateway_config(upstream.url))
    recorded = run_inside("doctor", environment={"TIDEGATE_HOME": str(gateway.folder)})
    assert f"✓ a gateway is ready at {gateway.url}" in recorded.stdout
    # Under another data folder it is found by its port, and is no problem there either.
    config = write(tmp_path, {"server": {"port": gateway.address[1]}})
    found = run_inside("doctor", "--config", config)
    assert (found.returncode, f"✓ a gateway is ready at {gateway.url}" in found.stdout) == (0, True)


def test_model_files_around_are_offered(
    run_inside: RunCommand, tmp_path: Path, free_port: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.gguf").symlink_to(shared_tiny_gguf(tmp_path_factory, TinyModel()))
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    done = run_inside("doctor", "--config", write(tmp_path, {"server": {"port": free_port}}))
    assert done.returncode == 0
    assert "models/tiny.gguf: " in done.stdout
    assert "broken.gguf ends in the middle of its header" in done.stdout
