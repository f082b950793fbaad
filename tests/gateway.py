"""Owns the gateway as tests see it: the real process, started from a file and stopped by a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests import forked
from tests.raw_http import Address, fetch

Config = dict[str, Any]

# Seconds that a start may take on a busy machine; a healthy one takes well under one.
START_DEADLINE = 30.0
STOP_DEADLINE = 15.0


def eventually(condition: Callable[[], bool], what: str, timeout: float = 5.0) -> None:
    """Waits for something that nobody announces, such as a figure in /proc; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout:g} s")
        threading.Event().wait(0.01)


def gateway_config(upstream_url: str, **sections: Any) -> Config:
    """The configuration that most tests share. Its models, all answered by the scripted upstream:

    `m` tries once; `again` tries three times; `pair` falls back from `mock-a` to `mock-b`; `hasty` has
    short deadlines, `restless` a short one for silence only. `c` is answered in Anthropic's dialect."""
    quick = {"connect": "1s", "first_token": "600ms", "idle": "600ms", "total": "2500ms"}
    config: Config = {
        "server": {"header_hold": "3s", "keep_alive": "5s"},
        "providers": {
            "up": {"base_url": f"{upstream_url}/v1", "dialect": "openai-chat", "api_key": "sk-up"},
            "claude": {"base_url": f"{upstream_url}/v1", "dialect": "anthropic-messages", "api_key": "sk-up"},
        },
        "models": {
            "m": {"use": ["up/mock"], "retry": {"attempts": 1}},
            "c": {"use": ["claude/mock"], "retry": {"attempts": 1}},
            "again": {"use": ["up/mock"], "retry": {"attempts": 3, "backoff": "10ms"}},
            "pair": {"use": ["up/mock-a", "up/mock-b"], "retry": {"attempts": 1}},
            "hasty": {"use": ["up/mock"], "retry": {"attempts": 1}, "timeouts": quick},
            "restless": {"use": ["up/mock"], "retry": {"attempts": 1}, "timeouts": {"idle": "400ms"}},
        },
        "default_model": "m",
        "demo": {"delay": "0ms"},
    }
    for name, section in sections.items():
        known = config.get(name)
        config[name] = known | section if isinstance(known, dict) and isinstance(section, dict) else section
    return config


def clean_environment() -> dict[str, str]:
    """The environment without the keys, proxies and settings that would change what a gateway finds."""
    dropped = ("_API_KEY", "_PROXY", "_proxy")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(dropped)
        and not name.startswith(("TIDEGATE_", "OPENAI_", "ANTHROPIC_", "AZURE_"))
    }


class Gateway:
    """A running `tidegate serve`. `stop` ends it with SIGTERM and checks that it left with code 0.

    It begins as a copy of a process that has imported it (`forked.py`), which takes a fourth of the time. One
    whose memory is measured is not to be ``copied``."""

    def __init__(
        self,
        folder: Path,
        config: Config | None,
        arguments: Sequence[str] = ("--port", "0"),
        environment: Mapping[str, str] | None = None,
        *,
        copied: bool = True,
    ) -> None:
        self.folder = folder
        self.config_file = folder / "tidegate.yaml"
        self.output_file = folder / "output.txt"
        command = ["serve", *arguments]
        if config is not None:
            self.write_config(config)
            command += ["--config", str(self.config_file)]
        there = {**clean_environment(), "TIDEGATE_HOME": str(folder), **(environment or {})}
        with Path(os.devnull).open("rb") as nothing, self.output_file.open("wb") as output:
            files = nothing.fileno(), output.fileno(), output.fileno()
            self.process = forked.start(command, folder, there, files, copied=copied)
        try:
            self.url = self._wait_for_address()
            split = urlsplit(self.url)
            self.address: Address = (split.hostname or "127.0.0.1", split.port or 80)
            eventually(self._ready, f"the gateway is not ready:\n{self.output()}", START_DEADLINE)
        except BaseException:
            self.kill()
            raise

    def write_config(self, config: Config) -> None:
        self.config_file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")

    def _wait_for_address(self) -> str:
        record = self.folder / "server.json"
        found: dict[str, Any] = {}

        def recorded() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended with {self.process.returncode}:\n{self.output()}")
            try:
                found.update(json.loads(record.read_text(encoding="utf-8")))
            except (FileNotFoundError, json.JSONDecodeError):
                return False
            return "url" in found

        eventually(recorded, "the gateway recorded no address", START_DEADLINE)
        return str(found["url"])

    def _ready(self) -> bool:
        try:
            return fetch(self.address, "GET", "/readyz", timeout=5).status == 200
        except OSError:
            return False

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self.output_file.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Any:
        response = fetch(self.address, "GET", path, headers=headers)
        assert response.status == 200, response
        return response.json

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the gateway ignored SIGTERM:\n{self.output()}") from None
        assert code == 0, f"exit code {code}:\n{self.output()}"

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_DEADLINE)

    # What the process costs, read from /proc.

    def _proc(self, name: str) -> Path:
        if not Path("/proc/self/status").exists():
            pytest.skip("what a process costs is read from /proc, which this system does not have")
        return Path(f"/proc/{self.pid}/{name}")

    def _status(self, name: str) -> int:
        for line in self._proc("status").read_text(encoding="ascii").splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"/proc has no {name}")

    @property
    def memory(self) -> int:
        """Resident bytes now."""
        return self._status("VmRSS")

    @property
    def peak_memory(self) -> int:
        """The most resident bytes so far."""
        return self._status("VmHWM")

    @property
    def descriptors(self) -> int:
        return len(os.listdir(self._proc("fd")))

    @property
    def cpu_seconds(self) -> float:
        fields = self._proc("stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
