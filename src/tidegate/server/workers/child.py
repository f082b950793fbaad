"""One life of one worker process, seen from its owner: spawned, spoken to, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Sequence

from tidegate.server.workers.channel import Answers, Channel


class Child:
    """A running worker process and the channel to it."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self._process = process
        self.channel = channel
        self._listening = asyncio.get_running_loop().create_task(channel.listen())

    @classmethod
    async def spawn(cls, command: Sequence[str], listener: socket.socket, answers: Answers) -> Child:
        """Start ``command`` with the descriptors of the listener and of its channel added. Raises OSError.

        What it is to do it asks over the channel, so that nothing of it can be seen in a list of processes.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    str(listener.fileno()),
                    str(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(listener.fileno(), theirs.fileno()),
                )
            except BaseException:
                ours.close()
                raise
        return cls(process, await Channel.over(ours, answers))

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> str:
        """Wait for the end of the process and say how it ended, as the rest of a sentence."""
        code = await self._process.wait()
        await asyncio.wait([self._listening])
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"was ended by {signal.Signals(-code).name}"
            return f"was ended by signal {-code}"
        return f"ended with exit code {code}"

    def kill(self) -> None:
        """End the process at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
