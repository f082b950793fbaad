"""Other gateways in the same data folder are asked what they have; what dead ones had is taken over."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.loops import on_both_loops
from tidegate.errors import Overloaded
from tidegate.server.handover import HAS
from tidegate.server.neighbours import Neighbours
from tidegate.streams.segments import Slot


class Place:
    """One gateway's part of a data folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.slot = Slot(folder / name)
        self.own: set[str] = set()
        self.taken_over = 0
        self.neighbours = Neighbours(folder, self.slot, self._take_over)

    async def _take_over(self) -> None:
        self.taken_over += 1

    def listen(self, has: Callable[[Any], Any] | None = None) -> Place:
        async def in_own(stream: Any) -> bool:
            return stream in self.own

        async def adopt(client: socket.socket, request: bytes) -> None:
            raise AssertionError("nobody is handed over")

        self.neighbours.listen({HAS: has or in_own}, adopt)
        return self

    def close(self) -> None:
        self.neighbours.close()
        self.slot.remove()


@pytest.fixture(params=["short", "x" * 120], ids=["here", "at a path that is too long for a socket"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    made: Path = tmp_path / request.param
    made.mkdir()
    return made


@on_both_loops
async def test_whoever_has_a_stream_is_found(folder: Path) -> None:
    places = [Place(folder, name).listen() for name in "abc"]
    places[1].own.add("s")
    found = await places[0].neighbours.find("s")
    assert found is not None
    assert await found.ask(HAS, "s") is True
    assert await places[2].neighbours.find("t") is None
    assert await places[0].neighbours.ask(HAS, "s") in ([True, False], [False, True])
    assert not any(place.taken_over for place in places)
    places[1].neighbours.close()  # it ends, or has just begun
    with pytest.raises(Overloaded):
        await places[0].neighbours.find("s")
    for place in places:
        place.close()
    assert os.listdir(folder) == []


@on_both_loops
async def test_what_a_dead_one_had_is_taken_over_by_whoever_is_asked(folder: Path) -> None:
    here, dead = Place(folder, "a").listen(), Place(folder, "b").listen()
    peers = dead.neighbours._peers
    accepting, peers._accepting = peers._accepting, None
    assert accepting is not None
    accepting.close()  # as a process that is killed does, whose socket's name stays
    accepting.cancel()
    assert dead.slot.socket.exists()
    with pytest.raises(Overloaded):
        await here.neighbours.find("s")  # the system has not let go of all that it had
    dead.slot.close()
    assert await here.neighbours.find("s") is None
    assert here.taken_over == 2
    here.close()
    left = Slot.abandoned(dead.slot.folder)
    assert left is not None
    left.remove()
    assert os.listdir(folder) == []


@on_both_loops
async def test_one_that_took_over_after_it_was_asked_is_asked_again(folder: Path) -> None:
    here, other, dead = (Place(folder, name).listen() for name in "abc")
    dead.neighbours.close()
    dead.slot.close()

    async def taken_over_by_the_other() -> None:
        left = Slot.abandoned(dead.slot.folder)
        if left is not None:
            other.own.add("s")
            left.remove()

    here.neighbours._take_over = taken_over_by_the_other
    found = await here.neighbours.find("s")
    assert found is not None
    assert found.path == other.slot.socket
    for place in (here, other):
        place.close()


@on_both_loops
async def test_one_that_hangs_is_no_reason_to_say_that_there_is_no_such_stream(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.server.handover._PATIENCE", 0.05)

    async def hang(_: Any) -> bool:
        await asyncio.Event().wait()
        raise AssertionError

    here, other = Place(folder, "a").listen(), Place(folder, "b").listen(hang)
    with pytest.raises(Overloaded):
        await here.neighbours.find("s")
    for place in (here, other):
        place.close()
    left = asyncio.all_tasks() - {asyncio.current_task()}  # what hangs has been cancelled
    await asyncio.gather(*left, return_exceptions=True)
