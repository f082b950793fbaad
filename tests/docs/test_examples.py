"""What the documents tell people to type works as it stands, against the real server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.docs.examples import KEY, Block, Example, blocks, examples, fits, run
from tests.gateway import Gateway
from tidegate.config import Config, Server, load_config

DEMO_ONLY: dict[str, object] = {"providers": {}, "default_model": "demo", "demo": {"delay": "0ms"}}


@pytest.fixture(scope="module")
def _demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("demo"), DEMO_ONLY)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def _locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("locked"), {**DEMO_ONLY, "auth": {"list": [KEY]}})
    yield running
    running.stop()


def place(block: Block | Example) -> str:
    return f"{block.document}:{block.line}"


@pytest.mark.parametrize("example", examples(), ids=place)
def test_example_runs(example: Example, _demo: Gateway, _locked: Gateway, tmp_path: Path) -> None:
    """Against a gateway that asks for a key where the example sends one; with the output that is shown."""
    if not shutil.which("curl") and "curl" in example.source:
        pytest.skip("curl is not installed")
    gateway = _locked if "TIDEGATE_API_KEY" in example.source else _demo
    printed = run(example, gateway, tmp_path)
    assert printed
    if example.expected:
        assert fits(example.expected, printed), printed


def settings_in(block: Block, folder: Path) -> Config:
    """The settings of a block, its variables set and its model files there."""
    for name in re.findall(r"[\w./-]+\.gguf", block.text):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"GGUF")
    path = folder / "tidegate.yaml"
    path.write_text(block.text, encoding="utf-8")
    return load_config(path, {name: "secret" for name in re.findall(r"\$\{(\w+)", block.text)})


YAML = [block for block in blocks() if block.words == ("yaml",)]


@pytest.mark.parametrize("block", YAML, ids=place)
def test_settings_are_valid(block: Block, tmp_path: Path) -> None:
    if "~" in block.text:
        pytest.skip("names a file in somebody's home")
    assert settings_in(block, tmp_path).source_path is not None


def test_service_outlasts_a_graceful_shutdown() -> None:
    """systemd must not kill what still drains, nor tell local engines to stop before the gateway does."""
    [unit] = [block for block in blocks() if block.words == ("ini",)]
    parser = ConfigParser(strict=False, interpolation=None)
    parser.read_string(unit.text)
    service = parser["Service"]
    assert int(service["TimeoutStopSec"]) > Server().shutdown + 3
    assert service["KillMode"] == "mixed"
    assert service["ExecReload"].endswith("-HUP $MAINPID")
    assert int(service["LimitNOFILE"]) > 2 * Server().max_streams


@pytest.mark.parametrize(
    ("expected", "printed", "matches"),
    [
        ("a … c\n", "a b\nb c", True),
        ("a … c", "a b", False),
        (f'{"0" * 32} "created":1,', f'{"af" * 16} "created":99,', True),
        ("(.*)", "x", False),
    ],
)
def test_output_fits(expected: str, printed: str, matches: bool) -> None:
    assert fits(expected, printed) is matches
