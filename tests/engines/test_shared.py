"""Engines that several workers use are started once, and stop when none of them needs them any more."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.loops import in_virtual_time
from tidegate.engines import EngineSettings, EngineUnavailable, RemoteEngine, SharedEngines
from tidegate.engines.shared import READY, RELEASE, Ask

SETTINGS = EngineSettings("tiny", Path("/models/tiny.gguf"), context=512, purpose="embedding")


class Started:
    """Stands for an engine: its socket is named after how many were made before it."""

    def __init__(self, made: list[Started], settings: EngineSettings) -> None:
        self.settings = settings
        self.socket = f"/socket/{len(made)}"
        self.stopped = False
        self.problem: EngineUnavailable | None = None
        made.append(self)

    async def ready(self) -> str:
        if self.problem is not None:
            raise self.problem
        return self.socket

    async def stop(self) -> None:
        self.stopped = True


class House:
    """An owner of engines, and the workers' ways to ask it; all that is said goes through JSON."""

    def __init__(self) -> None:
        self.made: list[Started] = []
        make: Any = lambda settings: Started(self.made, settings)  # noqa: E731 - a stand-in
        self.engines = SharedEngines(make)

    @property
    def stopped(self) -> list[bool]:
        return [each.stopped for each in self.made]

    def engine(self, worker: int, settings: EngineSettings = SETTINGS) -> RemoteEngine:
        return RemoteEngine(settings, self._ask(worker))

    def _ask(self, worker: int) -> Ask:
        answers = {READY: self.engines.ready, RELEASE: self.engines.release}

        async def ask(question: str, value: Any) -> Any:
            heard = msgspec.json.decode(msgspec.json.encode(value))
            return msgspec.json.decode(msgspec.json.encode(await answers[question](worker, heard)))

        return ask


@in_virtual_time
async def test_workers_get_the_same_engine() -> None:
    house = House()
    sockets = await asyncio.gather(house.engine(0).ready(), house.engine(1).ready())
    assert set(sockets) == {"/socket/0"}
    assert house.made[0].settings == SETTINGS


@in_virtual_time
async def test_it_stops_with_the_last_that_needs_it() -> None:
    house = House()
    first, second = house.engine(0), house.engine(1)
    await first.ready()
    await second.ready()
    await first.stop()
    await first.stop()
    assert house.stopped == [False]
    await second.stop()
    assert house.stopped == [True]
    assert await first.ready() == "/socket/1", "and is made anew for the next"


@in_virtual_time
async def test_one_that_never_used_it_has_no_say() -> None:
    house = House()
    used, unused = house.engine(0), house.engine(1)
    await used.ready()
    await unused.stop()
    assert house.stopped == [False]


@in_virtual_time
async def test_the_death_of_a_worker_stops_none() -> None:
    house = House()
    await house.engine(0).ready()
    house.engines.left(0)
    assert house.stopped == [False]
    assert await house.engine(0).ready() == "/socket/0"


@in_virtual_time
async def test_what_is_wrong_with_it_reaches_the_worker() -> None:
    house = House()
    engine = house.engine(0)
    await engine.ready()
    house.made[0].problem = EngineUnavailable("it crashed", retryable=False, retry_after=7)
    with pytest.raises(EngineUnavailable, match="it crashed") as raised:
        await engine.ready()
    assert (raised.value.retryable, raised.value.retry_after, raised.value.status) == (False, 7, 503)


@in_virtual_time
async def test_without_its_owner_it_is_stopped() -> None:
    async def gone(_: str, __: Any) -> Any:
        raise ConnectionError

    engine = RemoteEngine(SETTINGS, gone)
    with pytest.raises(EngineUnavailable, match="engine tiny is stopped"):
        await engine.ready()
    await engine.stop()
