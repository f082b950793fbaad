"""One life of a process that reads documents, seen from the gateway."""

from __future__ import annotations

import asyncio
import codecs
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from tidegate.errors import Overloaded, Unreadable
from tidegate.workspaces.document import Page, Parsed
from tidegate.workspaces.parsing.limits import Limits
from tidegate.workspaces.parsing.protocol import LARGEST_HEAD, LENGTH, READY, Answer, Job, framed

logger = logging.getLogger("tidegate")

_MODULE: Final = "tidegate.workspaces.parsing.child"
_START_SECONDS: Final = 60.0
_PIECE: Final = 256 * 1024
"""Bytes that go through a pipe in one turn of the loop."""

# Enough to find Python and its libraries; credentials are no business of what looks at strangers' files.
_PASSED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "PYTHONPATH", "PYTHONHOME",
                  "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "PYTHONDONTWRITEBYTECODE",
                  "PYTHONPYCACHEPREFIX")  # fmt: skip


class Crashed(Exception):
    """The process ended in the middle of a document, or made no sense. ``killed``: by the system."""

    def __init__(self, *, killed: bool) -> None:
        super().__init__()
        self.killed = killed


class Process:
    """A running process. Whoever has one must :meth:`end` it, or :meth:`kill` it and wait for its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self.documents = 0
        """How many it has read."""
        self.spent = False
        """It ends by itself."""

    @classmethod
    async def start(cls, python: Sequence[str], memory: int) -> Process:
        """One that is ready. Raises Overloaded when it cannot be started."""
        environ = {name: os.environ[name] for name in _PASSED if name in os.environ}
        try:
            started = await asyncio.create_subprocess_exec(
                *python, "-m", _MODULE, str(memory),
                stdin=PIPE, stdout=PIPE, stderr=DEVNULL,
                env=environ | {"PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C in the terminal is for the gateway alone
            )  # fmt: skip
        except OSError as error:
            raise Overloaded(f"the process that reads documents cannot be started: {error}") from None
        process = cls(started)
        try:
            async with asyncio.timeout(_START_SECONDS):
                if await process._stdout.readline() == READY:
                    return process
        except TimeoutError:
            pass
        except BaseException:
            process.kill()
            raise
        process.kill()
        code = await process._process.wait()
        raise Overloaded(f"the process that reads documents does not start (it ended with {code})")

    def __repr__(self) -> str:
        return f"<Process {self.pid} documents={self.documents} {self._process.returncode}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def usable(self) -> bool:
        return not self.spent and self._process.returncode is None

    async def read(self, data: bytes, name: str, media_type: str, limits: Limits) -> Parsed:
        """What is in the file. Raises Unreadable and Crashed; after Crashed or a cancellation, kill it."""
        job = Job(name, media_type, len(data), limits)
        try:
            await self._send(framed(job), data)
            answer = await self._head()
            if answer.spent:
                self.spent = True
            if answer.refusal:
                if answer.detail:
                    logger.info("a document could not be read: %s (%s)", answer.refusal, answer.detail)
                raise Unreadable(answer.refusal, code=answer.code or None)
            parsed = await self._parsed(answer, limits)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            self.kill()
            code = await self._process.wait()
            raise Crashed(killed=code == -signal.SIGKILL) from None
        self.documents += 1
        return parsed

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self.spent = True
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                _kill(self._process)

    async def end(self) -> None:
        """End it, and wait for that."""
        self.kill()
        if not self._stdin.transport.is_closing():
            self._stdin.transport.abort()
        with suppress(ConnectionError):
            while await self._stdout.read(_PIECE):  # up to its end, else the pipe stays open
                pass
        await self._process.wait()

    async def _send(self, head: bytes, data: bytes) -> None:
        self._stdin.write(head)
        view = memoryview(data)
        for at in range(0, len(view), _PIECE):
            self._stdin.write(view[at : at + _PIECE])
            await self._stdin.drain()
            await asyncio.sleep(0)  # what goes fast is not waited for, and others are to have their turn

    async def _head(self) -> Answer:
        """Raises ValueError for what is no answer."""
        length = int.from_bytes(await self._stdout.readexactly(LENGTH), "big")
        if length > LARGEST_HEAD:
            raise ValueError("an answer that is too long")
        return msgspec.json.decode(await self._stdout.readexactly(length), type=Answer)

    async def _parsed(self, answer: Answer, limits: Limits) -> Parsed:
        if sum(each.size for each in answer.pages) > 4 * limits.characters:
            raise ValueError("an answer that is too long")
        pages = [Page(await self._text(each.size), each.number) for each in answer.pages]
        return Parsed(
            pages=tuple(pages),
            title=answer.title,
            author=answer.author,
            description=answer.description,
            published=answer.published,
        )

    async def _text(self, size: int) -> str:
        """Decoded piece by piece: in one go a long text would stop all that goes on beside it."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        parts = []
        while size:
            data = await self._stdout.read(min(size, _PIECE))
            if not data:
                raise asyncio.IncompleteReadError(b"", size)
            size -= len(data)
            parts.append(decoder.decode(data, final=not size))
            await asyncio.sleep(0)
        return "".join(parts)


def _kill(process: asyncio.subprocess.Process) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        # Not by the library: it would look for the end itself, and what waits for that would miss it.
        os.killpg(process.pid, signal.SIGKILL)
