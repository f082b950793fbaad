"""A command as an agent: what it writes to its standard output is the answer.

It is run without a shell, in a process group of its own, with no more of the gateway's environment than
:data:`tidegate.agents.adapters.child.PASSED`: credentials among the rest are not its business. What it writes
to its standard error is told as progress.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import shlex
from asyncio.subprocess import Process
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from tidegate.agents.adapters.child import end, notes, start
from tidegate.agents.agent import Agent, AgentError
from tidegate.agents.context import Context
from tidegate.agents.request import AgentRequest
from tidegate.core.usage import Usage, tokens_of

_TEXT: Final = "{text}"
_INPUTS: Final = ("text", "messages", "none")
_MOST_OUTPUT: Final = 16 * 2**20
_READ: Final = 64 * 1024
_LAST_LINES: Final = 10


def command_agent(name: str, command: Sequence[str], options: Mapping[str, Any]) -> Agent:
    """The agent that runs a command; see docs/how-to/agents.md for its options."""

    async def run(request: AgentRequest, context: Context) -> AsyncIterator[str]:
        if context.again and not options.get("repeatable"):
            raise AgentError("the gateway was stopped while the command ran; nobody knows what it has done")
        given = _input(request, command, options)
        try:
            running = await start([_argument(each, request.text, command) for each in command], options)
        except (OSError, ValueError) as error:
            raise AgentError(f"{command[0]} cannot be run: {_reason(error)}", status=503) from None
        try:
            async for text in _output(running, given, context):
                yield text
        finally:
            await end(running)

    return Agent(name, run, f"Runs {shlex.join(command)[:80]}", on_disconnect="cancel")


def _argument(argument: str, text: str, command: Sequence[str]) -> str:
    """An argument with the text in its place. A text alone must not pass for an option of the command."""
    if argument == _TEXT and text.startswith("-") and "--" not in command:
        raise AgentError(
            "the text must not begin with a dash: the command would take it for an option", status=400
        )
    return argument.replace(_TEXT, text)


def _input(request: AgentRequest, command: Sequence[str], options: Mapping[str, Any]) -> bytes:
    """What the command reads."""
    kind = options.get("input") or ("none" if any(_TEXT in each for each in command) else "text")
    if kind == "messages":
        return msgspec.json.encode(request.messages)
    return request.text.encode("utf-8", "replace") if kind == "text" else b""


async def _output(running: Process, given: bytes, context: Context) -> AsyncIterator[str]:
    """What it writes, decoded wherever a read has cut it. Raises AgentError when it fails."""
    assert running.stdout is not None
    last: deque[str] = deque(maxlen=_LAST_LINES)
    beside = [asyncio.create_task(_feed(running, given)), asyncio.create_task(notes(running, context, last))]
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    written = characters = pieces = 0
    try:
        while data := await running.stdout.read(_READ):
            written += len(data)
            if written > _MOST_OUTPUT:
                raise AgentError(f"the command wrote more than {_MOST_OUTPUT >> 20} MiB and was stopped")
            if text := decoder.decode(data):
                characters, pieces = characters + len(text), pieces + 1
                yield text
        if text := decoder.decode(b"", final=True):
            yield text
        code = await running.wait()
        await beside[1]
        if code != 0:
            said = ": " + " / ".join(last) if last else ""
            raise AgentError(f"the command ended with exit code {code}{said}")
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        context.count(Usage(output_tokens=tokens_of(characters, pieces)))


async def _feed(running: Process, given: bytes) -> None:
    assert running.stdin is not None
    with contextlib.suppress(ConnectionError):  # it may not want to read
        running.stdin.write(given)
        await running.stdin.drain()
        running.stdin.close()


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such command or directory"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
