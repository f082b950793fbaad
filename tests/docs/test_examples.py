"""What the documents tell people to type works as it stands, against the real server."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.chat_stream import body_for, parse, post_chat
from tests.docs.examples import KEY, Block, Example, blocks, examples, fits, run
from tests.gateway import Gateway, eventually
from tests.hazards.test_buffering import NGINX, accepts, free_port
from tests.raw_http import Address, fetch
from tidegate.config import Config, Server, load_config

DEMO_ONLY: dict[str, object] = {"providers": {}, "default_model": "demo", "demo": {"delay": "0ms"}}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("demo"), DEMO_ONLY)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("locked"), {**DEMO_ONLY, "auth": {"list": [KEY]}})
    yield running
    running.stop()


def place(block: Block | Example) -> str:
    return f"{block.document}:{block.line}"


@pytest.mark.parametrize("example", examples(), ids=place)
def test_example_runs(example: Example, demo: Gateway, locked: Gateway, tmp_path: Path) -> None:
    """With the output that is shown; those about keys against a gateway that asks for one."""
    if not shutil.which("curl") and "curl" in example.source:
        pytest.skip("curl is not installed")
    gateway = locked if example.document == "docs/how-to/keys.md" else demo
    printed = run(example, gateway, tmp_path)
    assert printed
    if example.expected:
        assert fits(example.expected, printed), printed


def settings_in(block: Block, folder: Path) -> Config:
    """The settings of a block, its variables set and its model files there."""
    for name in re.findall(r"[\w./~-]+\.gguf", block.text):
        file = folder / name.removeprefix("~/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"GGUF")
    path = folder / "tidegate.yaml"
    path.write_text(block.text, encoding="utf-8")
    return load_config(path, dict.fromkeys(re.findall(r"\$\{(\w+)", block.text), "secret"))


YAML = [block for block in blocks() if block.words == ("yaml",)]


@pytest.mark.parametrize("block", YAML, ids=place)
def test_settings_are_valid(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings_in(block, tmp_path).source_path is not None


def in_front_of(gateway: Gateway, port: int, folder: Path) -> str:
    """The documented configuration of nginx, for this gateway, without its certificate."""
    [block] = [block for block in blocks() if block.words == ("nginx",)]
    text = re.sub(r"\n +ssl_\w+.*", "", block.text).replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    text = text.replace("127.0.0.1:7860", f"127.0.0.1:{gateway.address[1]}")
    places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    temporary = "".join(f"  {each}_temp_path {folder}/{each};\n" for each in places)
    return (
        f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\n  access_log off;\n{temporary}{text}}}\n"
    )


@pytest.fixture
def nginx(locked: Gateway, tmp_path: Path) -> Iterator[Address]:
    if NGINX is None:
        pytest.skip("nginx is not installed")
    port = free_port()
    config, log = tmp_path / "nginx.conf", tmp_path / "error.log"
    config.write_text(in_front_of(locked, port, tmp_path), encoding="ascii")
    process = subprocess.Popen([NGINX, "-p", tmp_path, "-c", config, "-e", log], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: accepts(("127.0.0.1", port)), "nginx listens")
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(10)


def test_nginx_as_documented(nginx: Address) -> None:
    """A public name, a body of more than nginx's own limit, and a stream that stays one."""
    headers = {"Host": "gateway.example", "Authorization": f"Bearer {KEY}", "Accept-Encoding": "gzip"}
    answer = parse(post_chat(nginx, body_for("x" * 2**21, model="demo"), headers)).succeeded()
    assert answer.response.head.chunked
    assert answer.response.head.get("content-encoding") is None


def test_forwarded_scheme_is_believed_from_this_machine(locked: Gateway) -> None:
    headers = {"Host": "gateway.example", "X-Forwarded-Proto": "https"}
    page = fetch(locked.address, "GET", "/", headers=headers).body
    assert b"https://gateway.example/v1/chat/completions" in page


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
