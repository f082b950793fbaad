"""A program beside an agent: started without a shell or credentials, ended with all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidegate.agents.context import Context

PASSED: Final = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "SYSTEMROOT")
"""Variables that every command gets; ``options.env`` adds others."""

_READ: Final = 64 * 1024
_LONGEST_LINE: Final = 500
_LINES_AT_ONCE: Final = 20
_MOST_LINES: Final = 2_000
"""Lines of one run that are told: a program may write without end, and all that is told is kept."""

_TERM_SECONDS: Final = 2.0
"""How long a program may take to end when it is told to, before it is killed."""


async def start(arguments: Sequence[str], options: Mapping[str, Any]) -> Process:
    """Start it; of ``options`` it takes ``env`` and ``directory``. Raises OSError and ValueError."""
    environ = {name: os.environ[name] for name in PASSED if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        cwd=options.get("directory"),
        env=environ | {name: str(value) for name, value in (options.get("env") or {}).items()},
        start_new_session=True,
    )


async def notes(running: Process, context: Context, last: deque[str]) -> None:
    """Tell each line of its standard error, as far as it is worth telling: of a flood the newest only."""
    assert running.stderr is not None
    rest = b""
    told = 0
    while data := await running.stderr.read(_READ):
        *lines, rest = (rest + data).split(b"\n")
        rest = rest[-_LONGEST_LINE:]
        for line in lines[-_LINES_AT_ONCE:]:
            told += _note(line, context, last, tell=told < _MOST_LINES)
        await asyncio.sleep(0)  # what comes without end is there at once, and others are to have their turn
    _note(rest, context, last, tell=told < _MOST_LINES)


def _note(line: bytes, context: Context, last: deque[str], *, tell: bool) -> bool:
    """Whether there was something to tell."""
    text = "".join(each for each in line.decode("utf-8", "replace") if each.isprintable()).strip()
    if not text:
        return False
    last.append(text[:_LONGEST_LINE])
    if tell:
        context.status(text[:_LONGEST_LINE])
    return True


async def end(running: Process) -> None:
    """Have it end, and all that it has started."""
    for number, seconds in ((signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, None)):
        try:
            os.killpg(running.pid, number)
        except (ProcessLookupError, PermissionError):
            break
        if running.returncode is not None:
            continue
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await running.wait()
