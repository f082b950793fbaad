"""The process that reads documents: one job after the other from standard input, until that ends.

It gives up what it does not need before it looks at anything: memory beyond its limit, the network, other
programs, and time beyond what its parent would wait.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from contextlib import suppress
from typing import BinaryIO, Final

import msgspec

from tidegate.errors import Unreadable
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.limits import too_much_memory
from tidegate.workspaces.parsing.protocol import LENGTH, READY, Answer, Job, answer_with, framed
from tidegate.workspaces.parsing.reading import read

_GRACE: Final = 5
"""Seconds after which the process ends itself, should its parent not be there any more to do that."""

_FORBIDDEN: Final = (
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind",
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty",
)  # fmt: skip


def main() -> None:
    """Serve the parent that started this. ``argv[1]`` is the memory limit in bytes."""
    _confine(int(sys.argv[1]))
    jobs, answers = _streams()
    answers.write(READY)
    answers.flush()
    while length := jobs.read(LENGTH):
        job = msgspec.json.decode(jobs.read(int.from_bytes(length, "big")), type=Job)
        data = jobs.read(job.size)
        _end_after(job.limits.seconds + _GRACE)
        answer, texts = _answer(File(data, job.name, job.media_type, job.limits))
        for part in (framed(answer), *texts):
            answers.write(part)
        answers.flush()
        _end_after(0)
        if answer.spent:
            return


def _answer(file: File) -> tuple[Answer, list[bytes]]:
    try:
        return answer_with(read(file))
    except Unreadable as error:
        detail = repr(error.__cause__)[:500] if error.__cause__ is not None else ""
        return Answer(refusal=error.message, code=error.code or "", detail=detail), []
    except MemoryError:
        return Answer(refusal=too_much_memory(file.shown, file.limits), code="too_large", spent=True), []


def _confine(memory: int) -> None:
    with suppress(ImportError, ValueError, OSError):  # not everywhere, and not where it is less already
        import resource  # noqa: PLC0415 - Unix only

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    sys.addaudithook(_judge)


def _judge(event: str, arguments: tuple[object, ...]) -> None:
    if event in _FORBIDDEN:
        raise PermissionError(f"{event}: a document has nothing to do there")


def _streams() -> tuple[BinaryIO, BinaryIO]:
    """Where jobs come from and answers go to; what a library prints goes nowhere."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return sys.stdin.buffer, answers


def _end_after(seconds: float) -> None:
    if hasattr(signal, "alarm"):
        signal.alarm(math.ceil(seconds))


if __name__ == "__main__":
    main()
