"""Workers are kept alive, and told as one what is asked of them. The processes are stand-ins here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import pytest

from tests.loops import in_virtual_time, turns
from tidegate.errors import ConfigError
from tidegate.server.workers import Child, Supervisor
from tidegate.server.workers.supervisor import ALIVE, NOW, READY, RELOAD, STOP, TASK

Answers = Mapping[str, Callable[[Any], Awaitable[Any]]]


class Process:
    """Stands for a worker process and its channel. It serves, unless its machine has other plans for it."""

    def __init__(self, machine: Machine, number: int, answers: Answers) -> None:
        self.machine = machine
        self.number = number
        self.channel = self
        self.hangs = False
        self.task: Any = None
        self.asked: list[str] = []
        self._end = asyncio.get_running_loop().create_future()
        self._beginning = asyncio.ensure_future(self._begin(answers))

    async def _begin(self, answers: Answers) -> None:
        self.task = (await answers[TASK](None))["task"]
        if self.machine.stillborn:
            self.end("ended with exit code 3")
        elif self.task in self.machine.mistakes:
            await answers[READY]({"problem": f"{self.task} is a mistake"})
            self.end("ended with exit code 1")
        else:
            await self.machine.gate.wait()
            await answers[READY]({"models": ["m"], "number": self.number})

    async def ask(self, question: str, value: Any = None) -> Any:
        self.asked.append(question)
        if self.hangs:
            await asyncio.Event().wait()
        if question == RELOAD:
            if value in self.machine.mistakes:
                return f"{value} is a mistake"
            self.task = value
        if question == NOW or (question == STOP and not self.machine.busy):
            self.end("ended with exit code 0")
        return None

    def end(self, how: str) -> None:
        if not self._end.done():
            self._end.set_result(how)

    def kill(self) -> None:
        self._beginning.cancel()
        self.end("was ended by SIGKILL")

    async def wait(self) -> str:
        return str(await self._end)


class Machine:
    """Where the processes are; ``lives`` has all that there ever were, in order."""

    def __init__(self) -> None:
        self.lives: list[Process] = []
        self.ended: list[int] = []
        self.mistakes: set[str] = set()
        self.stillborn = False
        self.busy = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def spawn(self, number: int, answers: Answers) -> Child:
        process = Process(self, number, answers)
        self.lives.append(process)
        return cast(Child, process)

    def supervisor(self, count: int = 2) -> Supervisor:
        monotonic = asyncio.get_running_loop().time
        return Supervisor(
            count, "old", self.spawn, ended=self.ended.append, monotonic=monotonic, jitter=lambda: 0.0
        )


async def stop(supervisor: Supervisor, seconds: float = 1.0) -> None:
    await supervisor.stop(seconds, asyncio.Event())


@in_virtual_time
async def test_all_are_started_and_the_first_tells_what_there_is() -> None:
    machine = Machine()
    supervisor = machine.supervisor(3)
    assert (await supervisor.start())["number"] == 0
    assert [each.number for each in machine.lives] == [0, 1, 2]
    await stop(supervisor)
    assert machine.ended == []


@in_virtual_time
async def test_what_one_cannot_begin_with_is_an_error_of_the_settings() -> None:
    machine = Machine()
    machine.mistakes = {"old"}
    with pytest.raises(ConfigError, match="old is a mistake"):
        await machine.supervisor().start()


@in_virtual_time
async def test_one_that_ends_while_it_starts_is_told_with_its_number() -> None:
    machine = Machine()
    machine.stillborn = True
    with pytest.raises(ConfigError, match="worker 0 ended with exit code 3 while it was starting"):
        await machine.supervisor(1).start()


@in_virtual_time
async def test_a_dead_one_is_replaced_at_once_and_a_second_time_later() -> None:
    machine = Machine()
    supervisor = machine.supervisor()
    await supervisor.start()
    machine.lives[1].end("was ended by SIGSEGV")
    await turns()
    assert [each.number for each in machine.lives] == [0, 1, 1]
    machine.lives[2].end("was ended by SIGSEGV")
    await turns()
    assert len(machine.lives) == 3
    await asyncio.sleep(0.6)
    assert [each.number for each in machine.lives] == [0, 1, 1, 1]
    assert machine.ended == [1, 1]
    await stop(supervisor)


@in_virtual_time
async def test_one_that_cannot_be_started_again_is_tried_ever_more_rarely() -> None:
    machine = Machine()
    supervisor = machine.supervisor()
    await supervisor.start()
    machine.stillborn = True
    machine.lives[0].end("was ended by SIGSEGV")
    await asyncio.sleep(60)
    assert 6 <= len(machine.lives) - 2 <= 10
    machine.stillborn = False
    await asyncio.sleep(31)
    count = len(machine.lives)
    await asyncio.sleep(60)
    assert len(machine.lives) == count, "it lives"
    await stop(supervisor)


@in_virtual_time
async def test_one_that_hangs_is_ended_and_replaced() -> None:
    machine = Machine()
    supervisor = machine.supervisor()
    await supervisor.start()
    await asyncio.sleep(30)
    assert machine.lives[0].asked.count(ALIVE) >= 5
    machine.lives[0].hangs = True
    await asyncio.sleep(70)
    assert [each.number for each in machine.lives] == [0, 1, 0]
    await stop(supervisor)


@in_virtual_time
async def test_a_reload_reaches_all_and_those_that_come_later() -> None:
    machine = Machine()
    supervisor = machine.supervisor()
    await supervisor.start()
    await supervisor.reload("new")
    machine.lives[0].end("was ended by SIGSEGV")
    await turns()
    assert [each.task for each in machine.lives] == ["new", "new", "new"]
    await stop(supervisor)


@in_virtual_time
async def test_a_reload_that_the_first_refuses_changes_nothing() -> None:
    machine = Machine()
    machine.mistakes = {"bad"}
    supervisor = machine.supervisor()
    await supervisor.start()
    with pytest.raises(ConfigError, match="bad is a mistake"):
        await supervisor.reload("bad")
    machine.lives[0].end("was ended by SIGSEGV")
    await turns()
    assert [each.task for each in machine.lives] == ["old", "old", "old"]
    await stop(supervisor)


@in_virtual_time
async def test_a_reload_during_a_start_is_told_afterwards() -> None:
    machine = Machine()
    supervisor = machine.supervisor()
    await supervisor.start()
    machine.gate.clear()
    machine.lives[0].end("was ended by SIGSEGV")
    await turns()
    await supervisor.reload("new")
    assert machine.lives[2].task == "old"
    machine.gate.set()
    await turns()
    assert machine.lives[2].task == "new"
    await stop(supervisor)


@in_virtual_time
async def test_a_stop_waits_until_it_is_to_hurry() -> None:
    machine = Machine()
    machine.busy = True
    supervisor = machine.supervisor()
    await supervisor.start()
    now = asyncio.Event()
    stopping = asyncio.ensure_future(supervisor.stop(600.0, now))
    await asyncio.sleep(300)
    assert not stopping.done()
    now.set()
    await stopping
    assert all(NOW in each.asked for each in machine.lives)
    assert len(machine.lives) == 2, "nobody takes the place of one that was to end"


@in_virtual_time
async def test_one_that_does_not_stop_in_time_is_killed() -> None:
    machine = Machine()
    machine.busy = True
    supervisor = machine.supervisor()
    await supervisor.start()
    began = asyncio.get_running_loop().time()
    await stop(supervisor, 5.0)
    assert 5 <= asyncio.get_running_loop().time() - began <= 20


@in_virtual_time
async def test_a_stop_waits_for_no_start() -> None:
    machine = Machine()
    supervisor = machine.supervisor()
    await supervisor.start()
    machine.gate.clear()
    machine.lives[0].end("was ended by SIGSEGV")
    await turns()
    await stop(supervisor)
    assert len(machine.lives) == 3
