"""Owns how command-line agents are started: in a home of the test's own, with no network but loopback."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.conftest import CLIENTS, NODE, PATIENCE, isolated
from tests.gateway import Gateway

CLAUDE = CLIENTS.packages / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs"
CODEX = CLIENTS.packages / "@openai" / "codex" / "bin" / "codex.js"
NOTE = "the word is heliotrope"
QUESTION = "Which word is in note.txt?"
KEY = "sk-of-a-caller"


@dataclass(frozen=True)
class Desk:
    """A home for an agent, and the folder that it works in."""

    home: Path
    work: Path

    @property
    def note(self) -> Path:
        return self.work / "note.txt"


@contextmanager
def desk() -> Iterator[Desk]:
    """Not below the system's temporary folder, where Codex makes no programs of its own."""
    place = CLIENTS.packages / ".desks"
    place.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(dir=place))
    work = home / "work"
    work.mkdir()
    (work / "note.txt").write_text(f"{NOTE}\n", encoding="utf-8")
    try:
        yield Desk(home, work)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@dataclass(frozen=True)
class Said:
    """What an agent printed: its exit code, the JSON values on its standard output, and its complaints."""

    code: int
    values: list[Any]
    problems: str


def run(command: list[str], desk: Desk, environment: Mapping[str, str], patience: float) -> Said:
    try:
        done = subprocess.run(
            command,
            cwd=desk.work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        said = [(each or b"").decode() for each in (late.stdout, late.stderr)]
        raise AssertionError("the agent did not end:\n" + "\n".join(said)) from None
    values = [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith("{")]
    return Said(done.returncode, values, done.stderr.decode())


def claude(
    gateway: Gateway,
    desk: Desk,
    *arguments: str,
    model: str = "m",
    key: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
) -> Said:
    """One turn of Claude Code; what it allows itself is in the arguments."""
    environment = isolated(
        desk.home,
        ANTHROPIC_BASE_URL=gateway.url,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        CLAUDE_CODE_MAX_RETRIES="1",
        DISABLE_AUTOUPDATER="1",
        DISABLE_ERROR_REPORTING="1",
        DISABLE_TELEMETRY="1",
        **(key or {"ANTHROPIC_API_KEY": KEY}),
    )
    options = ["--output-format", "stream-json", "--verbose", "--model", model, *arguments]
    return run([NODE, str(CLAUDE), "-p", QUESTION, *options], desk, environment, patience)


def codex(
    gateway: Gateway,
    desk: Desk,
    *arguments: str,
    model: str = "m",
    provider: bool = True,
    patience: float = PATIENCE,
) -> Said:
    """One turn of Codex: with a provider of its configuration, or with its built-in one sent elsewhere."""
    lines = [f'model = "{model}"']
    if provider:
        lines += [
            'model_provider = "tidegate"',
            "[model_providers.tidegate]",
            'name = "Tidegate"',
            f'base_url = "{gateway.base_url}"',
            'wire_api = "responses"',
            'env_key = "TIDEGATE_KEY"',
            "request_max_retries = 0",
            "stream_max_retries = 0",
        ]
        options = []
    else:
        options = ["-c", f'openai_base_url="{gateway.base_url}"']
    home = desk.home / "codex"
    home.mkdir()
    (home / "config.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    environment = isolated(desk.home, CODEX_HOME=str(home), TIDEGATE_KEY=KEY, CODEX_API_KEY=KEY)
    # Its sandbox needs namespaces, which containers do not have; what it may run is in the script anyhow.
    options += ["--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", *arguments]
    return run([NODE, str(CODEX), "exec", *options, QUESTION], desk, environment, patience)
