"""Documents are read in processes of their own, which are bounded, and which may come to harm."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.loops import on_both_loops, until
from tests.workspaces.parsing import documents
from tests.workspaces.parsing.documents import HARBOUR
from tidegate.errors import Overloaded, Unreadable
from tidegate.workspaces.document import Page
from tidegate.workspaces.parsing.limits import Limits
from tidegate.workspaces.parsing.parser import Parser

SLOW = documents.bomb_pdf(400)
"""Less than a megabyte that takes most of a minute."""


@asynccontextmanager
async def parser(limits: Limits | None = None, *, processes: int | None = None) -> AsyncIterator[Parser]:
    made = Parser(limits, processes=processes)
    try:
        yield made
    finally:
        await made.close()
        assert made.pids == []


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _gone(made: Parser, pid: int) -> bool:
    return pid not in made.pids


async def refused(made: Parser, data: bytes, name: str) -> Unreadable:
    with pytest.raises(Unreadable) as raised:
        await made.parse(data, name)
    return raised.value


@on_both_loops
async def test_one_process_reads_one_document_after_the_other() -> None:
    async with parser(processes=1) as made:
        assert made.starts == 0
        parsed = await made.parse(
            documents.pdf([HARBOUR, "", "two"], title="Rules"), "a.pdf", "application/pdf"
        )
        assert parsed.pages == (Page(HARBOUR, 1), Page("two", 3))
        assert (parsed.title, parsed.author) == ("Rules", "A. Keeper")
        assert (await refused(made, documents.pdf([""]), "scan.pdf")).code == "no_text"
        several = await asyncio.gather(*(made.parse(b"text %d" % each, "a.txt") for each in range(5)))
        assert [each.text for each in several] == [f"text {each}" for each in range(5)]
        assert made.starts == 1
        [pid] = made.pids
    assert not is_running(pid)


@on_both_loops
async def test_long_texts_come_whole() -> None:
    text = "港务长 signs\n" * 300_000
    async with parser() as made:
        assert (await made.parse(text.encode(), "a.txt")).text == text.rstrip("\n")


@on_both_loops
async def test_a_document_that_takes_too_long_is_given_up() -> None:
    async with parser(Limits(seconds=0.5), processes=1) as made:
        error = await refused(made, SLOW, "slow.pdf")
        assert (error.code, error.message) == (
            "too_slow",
            "slow.pdf takes longer than 0.5 s to be read: split it",
        )
        assert made.pids == []
    async with parser(processes=1) as made:
        assert (await made.parse(b"text", "a.txt")).text == "text"


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the system does not hold a process to its memory"
)
@on_both_loops
async def test_a_document_that_takes_too_much_memory_is_given_up() -> None:
    async with parser(Limits(memory=256 << 20), processes=1) as made:
        error = await refused(made, b"[" + b'{"a":1},' * 1_500_000 + b"0]", "wide.json")
        assert error.code == "too_large"
        assert error.message == "wide.json needs more than 256 MiB of memory to be read: split it"
        assert (await made.parse(b"[1]", "a.json")).text == "[\n  1\n]"
        assert made.starts == 2


@on_both_loops
async def test_a_process_that_was_killed_while_idle_is_replaced() -> None:
    async with parser(processes=1) as made:
        await made.parse(b"text", "a.txt")
        [pid] = made.pids
        os.kill(pid, signal.SIGKILL)
        assert (await made.parse(b"more", "b.txt")).text == "more"
        assert made.starts == 2


@on_both_loops
async def test_a_process_that_was_killed_at_work_has_one_more_try() -> None:
    async with parser(processes=1) as made:
        task = asyncio.create_task(refused(made, SLOW, "slow.pdf"))
        for _ in range(2):
            await until(lambda: made.pids and is_running(made.pids[0]))
            [pid] = made.pids
            os.kill(pid, signal.SIGABRT)
            await until(partial(_gone, made, pid))
        error = await task
        assert error.code == "corrupt"
        assert error.message.startswith("slow.pdf made the process that reads documents crash")
        assert (await made.parse(b"text", "a.txt")).text == "text"


@on_both_loops
async def test_nobody_waits_for_a_document_that_was_given_up() -> None:
    async with parser(processes=1) as made:
        task = asyncio.create_task(made.parse(SLOW, "slow.pdf"))
        await until(lambda: made.pids)
        waiting = asyncio.create_task(made.parse(b"text", "a.txt"))
        [pid] = made.pids
        task.cancel()
        assert (await waiting).text == "text"
        assert task.cancelled()
        assert not is_running(pid) or pid not in made.pids


@on_both_loops
async def test_two_are_read_at_the_same_time() -> None:
    async with parser(processes=2) as made:
        slow = asyncio.create_task(made.parse(SLOW, "slow.pdf"))
        await until(lambda: made.pids)
        assert (await made.parse(b"text", "a.txt")).text == "text"
        assert not slow.done()
        slow.cancel()
        await asyncio.wait([slow])


@on_both_loops
async def test_closing_ends_what_is_being_read() -> None:
    async with parser(processes=1) as made:
        tasks = [asyncio.create_task(made.parse(SLOW, "slow.pdf")) for _ in range(3)]
        await until(lambda: made.pids)
        [pid] = made.pids
    assert not is_running(pid)
    for task in tasks:
        with pytest.raises(Overloaded, match="shutting down"):
            await task
    with pytest.raises(Overloaded, match="shutting down"):
        await made.parse(b"text", "a.txt")


@on_both_loops
async def test_idle_processes_end() -> None:
    made = Parser(processes=1, idle_seconds=0)
    await made.parse(b"text", "a.txt")
    await until(lambda: not made.pids)
    assert (await made.parse(b"more", "a.txt")).text == "more"
    assert made.starts == 2
    await made.close()


@on_both_loops
async def test_a_process_that_does_not_start_is_told() -> None:
    for python, words in (("/nowhere/python", "cannot be started"), (sys.executable + " -c 1", "")):
        made = Parser(python=python.split())
        with pytest.raises(Overloaded, match=words or "does not start"):
            await made.parse(b"text", "a.txt")
        await made.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux tells of a process")
@on_both_loops
async def test_the_process_knows_no_credentials() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-secret")
        async with parser(processes=1) as made:
            await made.parse(b"text", "a.txt")
            [pid] = made.pids
            environ = await asyncio.to_thread(Path(f"/proc/{pid}/environ").read_bytes)
            assert b"PATH=" in environ
            assert b"secret" not in environ


def test_the_process_starts_without_what_its_parent_needs() -> None:
    """It is started for the first document, and again for one that came to harm."""
    program = "import sys; import tidegate.workspaces.parsing.child; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert not {"asyncio", "socket", "subprocess", "tidegate.workspaces.parsing.parser"} & set(said.split())


def test_a_document_reaches_neither_network_nor_programs() -> None:
    program = (
        "import os, socket\n"
        "from tidegate.workspaces.parsing import child\n"
        "child._confine(2 << 30)\n"
        "for attempt in (lambda: socket.create_connection(('127.0.0.1', 1)), lambda: os.system('true')):\n"
        "    try:\n"
        "        attempt()\n"
        "    except PermissionError as error:\n"
        "        print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert said.count("a document has nothing to do there") == 2
