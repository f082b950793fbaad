"""The start-up screen of `tidegate serve`: what was found, once, and a line that works when it is pasted."""

from __future__ import annotations

import json
import re
import subprocess

from tests.cli.conftest import OpenTerminal
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.upstream import Upstream

NASTY = """it's-"q"-$(x)"""


def pasted(gateway: Gateway) -> list[str]:
    """The arguments that a shell makes of the line to try."""
    found = re.search(r"^curl .*?\}'$", gateway.output(), re.MULTILINE | re.DOTALL)
    assert found is not None, gateway.output()
    script = f"""curl() {{ printf '%s\\0' "$@"; }}\n{found[0]}"""
    shell = subprocess.run(["/bin/sh", "-c", script], capture_output=True, encoding="utf-8", check=True)
    return shell.stdout.split("\0")[:-1]


def test_line_to_try_is_right_whatever_the_model_is_called(
    start_gateway: StartGateway, upstream: Upstream
) -> None:
    config = gateway_config(upstream.url, models={NASTY: {"use": "up/mock"}}, default_model=NASTY)
    gateway = start_gateway(config)
    option, url, data, body = pasted(gateway)
    assert (option, data) == ("-N", "-d")
    assert url == f"{gateway.url}/v1/chat/completions"
    assert json.loads(body)["model"] == NASTY


def test_line_to_try_has_the_key_where_one_is_needed(start_gateway: StartGateway, upstream: Upstream) -> None:
    gateway = start_gateway(gateway_config(upstream.url), environment={"TIDEGATE_API_KEYS": "sk-1"})
    assert '-H "Authorization: Bearer $TIDEGATE_API_KEYS" ' in gateway.output()
    assert len(pasted(gateway)) == 6
    assert "sk-1" not in gateway.output()


def test_what_was_found_is_said_once(start_gateway: StartGateway, upstream: Upstream) -> None:
    gone = {"gone": {"base_url": "http://127.0.0.1:1/v1", "api_key": "none"}}
    config = gateway_config(upstream.url, providers=gone)
    screen = start_gateway(config).output()
    assert screen.count("● up ") == screen.count("● demo ") == screen.count("● gone ") == 1
    assert "requests to it fail until this is mended" in screen
    assert ", ".join(["m (default)", *(name for name in config["models"] if name != "m")][:3]) in screen


def test_nothing_is_cut_off_in_a_narrow_terminal(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("serve", "--port", "0", columns=40)
    terminal.wait_for('Hello"}]}')
    words = " ".join(line.strip() for line in terminal.screen.lines)
    assert "For real answers set OPENAI_API_KEY or another vendor's key, start Ollama, or add --gguf" in words
    terminal.interrupt()
    assert terminal.wait_for_end() == 0
