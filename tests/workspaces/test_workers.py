"""Several processes serve the same workspaces: what goes in through one is found through all, at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.gateway import Gateway, eventually
from tests.raw_http import RawConnection, Response, request_bytes
from tests.upstream import Upstream
from tests.workers.processes import connect_to, worker_of, workers_of
from tests.workspaces.asking import HARBOUR, Desk, answers, embedded, rows, said, with_embedder
from tests.workspaces.test_ingestion import LONG, TWICE, UNSEEN, WITHOUT_PASSAGE, WITHOUT_VECTOR, count

pytestmark = pytest.mark.timeout(180)

LIGHTHOUSE = "The lighthouse burns green."
MEANT = "pharos pharos"
"""What only vectors find: the text has no such word."""


class WorkerDesk(Desk):
    """A desk at one of the processes."""

    def __init__(self, gateway: Gateway, connection: RawConnection, slug: str | None = None) -> None:
        self.connection = connection
        if slug is None:
            super().__init__(gateway)
        else:
            self.gateway, self.headers, self.slug = gateway, {}, slug

    def send(self, method: str, path: str, body: Any = None) -> Response:
        self.connection.send(request_bytes(method, f"/api/v1{path}", body, self.headers))
        return self.connection.read_response(method)


@pytest.fixture(scope="module")
def _two(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = with_embedder(_shared_upstream.url, server={"workers": 2, "port": 0})
    running = Gateway(tmp_path_factory.mktemp("two"), config)
    yield running
    running.stop()


@pytest.fixture
def two(_two: Gateway, upstream: Upstream) -> Gateway:
    upstream.answer = answers
    eventually(lambda: _two.get("/readyz")["workers"] == 2, "both workers are there", 30)
    return _two


@pytest.fixture
def desks(two: Gateway) -> Iterator[tuple[WorkerDesk, WorkerDesk]]:
    """The same workspace, through either process."""
    with ExitStack() as stack:
        here, there = [stack.enter_context(connect_to(two, worker)) for worker in workers_of(two)]
        first = WorkerDesk(two, here)
        yield first, WorkerDesk(two, there, first.slug)


def found(desk: Desk, query: str, threshold: float | None = 0.5) -> list[str]:
    return [each["text"] for each in desk.search(query, threshold=threshold)]


def test_what_goes_in_anywhere_is_found_everywhere(
    desks: tuple[WorkerDesk, WorkerDesk], upstream: Upstream
) -> None:
    """By words and by vectors, which each process holds in memory: it notices what another has added."""
    here, there = desks
    here.add()
    for desk in desks:
        assert found(desk, MEANT) == []  # and holds the vectors from now on
        assert found(desk, "harbour opens morning", None)
    there.add(LIGHTHOUSE, "Lights")
    for desk in desks:
        assert found(desk, MEANT) == [LIGHTHOUSE]
        told = desk.ask()
        assert said(told) == "It opens at six."
        assert "Harbour guide" in [each["title"] for each in told[-1]["sources"]]
    assert len(here.history()) == len(there.history()) == 4


def test_what_is_removed_anywhere_is_gone_everywhere_at_once(desks: tuple[WorkerDesk, WorkerDesk]) -> None:
    here, there = desks
    here.add()
    lights = there.add(LIGHTHOUSE, "Lights")
    for desk in desks:
        assert found(desk, MEANT) == [LIGHTHOUSE]
    here.embed(deletes=(lights,))
    for desk in desks:
        assert found(desk, MEANT) == found(desk, "lighthouse burns green") == []
    there.embed(lights)
    for desk in desks:
        assert found(desk, MEANT) == [LIGHTHOUSE]
    there.send("DELETE", "/system/remove-documents", {"names": [lights]})
    for desk in desks:
        assert found(desk, MEANT) == found(desk, "lighthouse burns green") == []
    assert there.send("DELETE", f"/workspace/{there.slug}").status == 200
    assert here.send("GET", f"/workspace/{here.slug}").json == {"workspace": []}


def test_one_process_puts_documents_in(desks: tuple[WorkerDesk, WorkerDesk], upstream: Upstream) -> None:
    """What both are sent at the same time is cut once, and embedded once."""
    texts = [[f"Berth {number} of row {row} is free." for number in range(10)] for row in range(2)]

    def add_all(row: int) -> None:
        for number, text in enumerate(texts[row]):
            desks[row].add(text, f"{row}-{number}")

    threads = [threading.Thread(target=add_all, args=(row,)) for row in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    asked = [text for request in embedded(upstream.requests) for text in request.json["input"]]
    assert sorted(asked) == sorted([*texts[0], *texts[1]])
    for desk in desks:
        assert [each["state"] for each in desk.documents()] == ["indexed"] * 20


def test_another_takes_the_place_of_the_process_that_puts_documents_in(
    desks: tuple[WorkerDesk, WorkerDesk], two: Gateway
) -> None:
    """It is killed in the middle; who sent the document to the other one waits, and then it is there."""
    other = desks[1]
    told: list[str] = []
    thread = threading.Thread(target=lambda: told.append(other.add(LONG, "Berths")))
    victim = worker_of(two, desks[0].connection)
    other.connection.socket.settimeout(90)
    thread.start()
    eventually(lambda: count(two, UNSEEN) >= 256, "it is half in", 60)
    os.kill(victim, signal.SIGKILL)
    thread.join(90)
    assert told
    assert [each["state"] for each in other.documents()] == ["indexed"]
    eventually(lambda: count(two, WITHOUT_VECTOR) == 0, "all have vectors", 60)
    assert rows(two, TWICE) == []
    assert (count(two, UNSEEN), count(two, WITHOUT_PASSAGE)) == (0, 0)
    other.add(HARBOUR)
    assert found(other, "harbour opens morning", None)
