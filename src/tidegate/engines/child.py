"""One life of one child process, seen from the parent: spawned, asked for its health, ended, cleaned up."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from tidegate.engines.directory import EngineDirectory
from tidegate.engines.handshake import LARGEST_LINE, ChildOptions, EngineFacts, decode_answer, encode_line
from tidegate.engines.llama_log import reason_for_crash

_MODULE: Final = "tidegate.engines.llama_child"
_POLITE: Final = 2.0  # seconds for a child to end by itself
_LARGEST_HEALTH: Final = 64 << 10

# What native code needs to run, and nothing else: credentials of providers are no business of the child.
_ENVIRONMENT: Final = frozenset(
    {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH"}
)
_ENVIRONMENT_PREFIXES: Final = (
    "LC_",
    "DYLD_",
    "OMP_",
    "GOMP_",
    "GGML_",
    "CUDA_",
    "HIP_",
    "ROCR_",
    "HSA_",
    "VK_",
)


class StartFailed(Exception):
    """The child did not get ready; the message goes on after the engine's name."""


class Unhealthy(Exception):
    """The child did not answer as a living engine does; the message says how."""


class _Health(msgspec.Struct, frozen=True):
    running: int
    queued: int
    silent_for: float


class Child:
    """A running child process. Whoever has one must :meth:`discard` it."""

    def __init__(self, process: asyncio.subprocess.Process, directory: EngineDirectory) -> None:
        self._process = process
        self._directory = directory
        self.killed_because: str | None = None

    @classmethod
    async def spawn(cls, python: Sequence[str], directory: EngineDirectory, options: ChildOptions) -> Child:
        """Start the program and hand it ``options``. Raises OSError when ``python`` cannot be run."""
        process = await asyncio.create_subprocess_exec(
            *python, "-m", _MODULE, options.name,  # the name is for those who look at `ps`
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=directory.log_descriptor,
            env=_environment(),
            limit=LARGEST_LINE,
            start_new_session=True,  # Ctrl-C and Ctrl-Z in the terminal are for the parent alone
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(encode_line(options))
        return cls(process, directory)

    def __repr__(self) -> str:
        return f"<Child {self._process.pid} {self._process.returncode}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def socket(self) -> str:
        return str(self._directory.socket)

    async def handshake(self, deadline: float) -> EngineFacts:
        """Wait up to ``deadline`` seconds until the model is loaded. Raises StartFailed."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(deadline):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise StartFailed(
                f"did not finish loading in {deadline:g} s: take a smaller model or raise its load timeout"
            ) from None
        except ValueError:  # longer than any answer
            line = b""
        if not line:
            raise StartFailed(f"{self._describe(await self._process.wait())} while it was loading")
        try:
            answer = decode_answer(line)
        except msgspec.DecodeError:
            raise StartFailed("said something that is not an answer while it was loading") from None
        if answer.ready is None:
            raise StartFailed(f"cannot start: {answer.error or 'no reason was given'}")
        return answer.ready

    async def wait(self) -> str:
        """Wait for the end of the process and say how it ended, as the rest of a sentence."""
        return self._describe(await self._process.wait())

    async def check(self, timeout: float, longest_silence: float) -> None:
        """Ask the child whether it is well. Raises Unhealthy."""
        self._directory.trim_log()
        try:
            async with asyncio.timeout(timeout):
                health = await _ask_health(self.socket)
        except TimeoutError:
            raise Unhealthy(f"gave no sign of life for {timeout:g} s") from None
        except (OSError, EOFError, msgspec.DecodeError) as error:
            raise Unhealthy(f"could not be asked for its health ({error})") from None
        if health.silent_for > longest_silence:
            raise Unhealthy(f"computed nothing for {health.silent_for:.0f} s")

    def kill(self, because: str) -> None:
        """End the process at once, for a reason that :meth:`wait` then tells."""
        self.killed_because = because
        with suppress(ProcessLookupError):
            self._process.kill()

    async def discard(self) -> None:
        """End the process if it still runs, within seconds, and remove its folder."""
        try:
            await self._end()
        finally:
            self._directory.remove()

    async def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            if self._process.returncode is None:
                self._process.terminate()
                async with asyncio.timeout(_POLITE):
                    await self._process.wait()
        except (TimeoutError, ProcessLookupError):
            pass
        finally:
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    self._process.kill()
        await self._process.wait()

    def _describe(self, code: int) -> str:
        if self.killed_because is not None:
            return f"was ended because it {self.killed_because}"
        if code >= 0:
            return f"ended unexpectedly (exit code {code})"
        words = f"crashed (signal {-code})"
        if reason := reason_for_crash(self._directory.log_tail()):
            return f"{words}: {reason}"
        if -code == signal.SIGKILL:
            return f"{words}, which is what happens when memory runs out"
        if -code == signal.SIGILL:
            return f"{words}, because this processor lacks an instruction that it needs"
        return words


async def _ask_health(socket: str) -> _Health:
    reader, writer = await asyncio.open_unix_connection(socket, limit=_LARGEST_HEALTH)
    try:
        writer.write(b"GET /health HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n")
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise EOFError("no answer")
        return msgspec.json.decode(body, type=_Health)
    finally:
        writer.transport.abort()


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT or name.startswith(_ENVIRONMENT_PREFIXES)
    }
    return kept | {"PYTHONUTF8": "1"}


def this_python() -> tuple[str, ...]:
    """The interpreter that runs this process, as the start of a command."""
    return (sys.executable,)
