"""Roles of MetaGPT as models, each run in a process of its own, in an environment of its own.

MetaGPT's pins clash with everything, so it is never imported here: ``options.python`` is an interpreter that
has it. What it streams is streamed, its end is a real one, and what it saved is saved here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from json import dumps
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import yaml

from tidegate.agents.adapters.child import end, notes, start
from tidegate.agents.agent import Agent, AgentError
from tidegate.agents.context import Context
from tidegate.agents.request import AgentRequest
from tidegate.core.usage import Usage

PREFIX: Final = "metagpt:"
_BRIDGE: Final = Path(__file__).with_name("metagpt_bridge.py")
_LONGEST_LINE: Final = 4 * 2**20
_LAST_LINES: Final = 10
_MOST_FILE: Final = 64 * 2**20


class _Said(msgspec.Struct):
    """A line of the bridge."""

    text: str | None = None
    file: str | None = None
    usage: dict[str, int] | None = None
    error: str | None = None
    end: bool = False


_decode = msgspec.json.Decoder(_Said).decode


def metagpt_agent(name: str, role: str, options: Mapping[str, Any]) -> Agent:
    """The agent that runs a role; see docs/how-to/agents.md for its options."""

    async def run(request: AgentRequest, context: Context) -> AsyncIterator[str]:
        if context.again:
            raise AgentError("the gateway was stopped while the role worked; nobody knows what it has done")
        python = which(str(options.get("python") or ""))
        if python is None:
            raise AgentError(
                f"no MetaGPT: give the model {name} the option python, an interpreter in whose environment "
                "metagpt is installed",
                status=503,
            )
        with TemporaryDirectory(prefix="tidegate-metagpt-") as folder:
            running = await start([python, str(_BRIDGE)], _surroundings(Path(folder), options))
            asked = {"role": role, "text": request.text, "arguments": _arguments(request, options)}
            last: deque[str] = deque(maxlen=_LAST_LINES)
            beside = asyncio.create_task(notes(running, context, last))
            try:
                assert running.stdin is not None
                running.stdin.write(dumps(asked).encode())
                running.stdin.close()
                async for text in _told(running, context, Path(folder), last):
                    yield text
            finally:
                await end(running)
                beside.cancel()
                await asyncio.gather(beside, return_exceptions=True)

    return Agent(name, run, f"{role}, a role of MetaGPT", on_disconnect="cancel")


def _surroundings(folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Where it works and what it writes to; ``llm`` of the options becomes its own configuration."""
    env = {"METAGPT_PROJECT_ROOT": str(folder), **(options.get("env") or {})}
    if llm := options.get("llm"):
        settings = folder / "config"
        settings.mkdir()
        (settings / "config2.yaml").write_text(yaml.safe_dump({"llm": llm}), encoding="utf-8")
    return {"env": env, "directory": str(folder)}


def _arguments(request: AgentRequest, options: Mapping[str, Any]) -> dict[str, Any]:
    arguments = dict(options.get("arguments") or {})
    if isinstance(language := request.option("language"), str):
        arguments["language"] = language
    return arguments


async def _told(
    running: asyncio.subprocess.Process, context: Context, folder: Path, last: deque[str]
) -> AsyncIterator[str]:
    """What the role says. Raises AgentError where it failed or broke off."""
    assert running.stdout is not None
    rest = b""
    while data := await running.stdout.read(65536):
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise AgentError("the role said more at once than can be taken")
        for said in map(_decode, lines):
            if said.text is not None:
                yield said.text
            elif said.file is not None:
                await _keep(context, folder, Path(said.file))
            elif said.usage is not None:
                context.count(Usage(said.usage["input_tokens"], said.usage["output_tokens"]))
            elif said.error is not None:
                raise AgentError(f"the role failed: {said.error}")
            elif said.end:
                return
    raise AgentError("the role broke off: " + (" / ".join(last) or "it did not say why"))


async def _keep(context: Context, folder: Path, path: Path) -> None:
    """Save a file that the role made; one from elsewhere is none of its own."""
    data = await asyncio.to_thread(_read_below, folder, path)
    if data is None:
        context.status(f"The role names the file {path.name}, which it did not make here")
    else:
        await context.file(path.name, data)


def _read_below(folder: Path, path: Path) -> bytes | None:
    below = path.resolve().is_relative_to(folder.resolve()) and path.is_file()
    return path.read_bytes() if below and path.stat().st_size <= _MOST_FILE else None
