"""Two gateways share a data folder: what one has is found at the other, and what one leaves goes on there."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chat_stream import body_for, parse, post_chat
from tests.crash.killing import (
    FINISH,
    HALF,
    WHOLE,
    WORDS,
    Answers,
    Home,
    Reading,
    at_home,
    crash_config,
    digest,
    frames_of,
    keyed,
    rest,
    said,
    upto,
)
from tests.gateway import Config, Gateway, eventually
from tests.hazards.test_buffering import free_port
from tests.raw_http import fetch
from tests.script import End, Gate, Head, WaitFor
from tests.upstream import Upstream

pytestmark = pytest.mark.timeout(120)

LAST_SHOWN = WORDS[HALF - 1]


class Second(Gateway):
    """A gateway in the data folder of another one, whose address is recorded there."""

    def __init__(self, folder: Path, home: Home, config: Config) -> None:
        self._port = free_port()
        folder.mkdir()
        there = {"TIDEGATE_HOME": str(home.folder)}
        super().__init__(folder, config, ("--port", str(self._port)), there)

    def _wait_for_address(self) -> str:
        return f"http://127.0.0.1:{self._port}"


class Two:
    def __init__(self, home: Home, second: Second, answers: Answers) -> None:
        self.home, self.first, self.second, self.answers = home, home.gateway, second, answers


@pytest.fixture
def two(upstream: Upstream, tmp_path: Path) -> Iterator[Two]:
    config = crash_config(upstream, server={"shutdown": "200ms"})
    with at_home(tmp_path / "home", config) as home:
        second = Second(tmp_path / "second", home, config)
        try:
            yield Two(home, second, Answers(upstream))
        finally:
            second.kill()


def test_a_stream_under_way_is_found_at_the_other(two: Two, upstream: Upstream) -> None:
    gate = Gate()
    two.answers.play(
        "held", lambda _: [Head(), *said(0, HALF), WaitFor(gate), *said(HALF, len(WORDS)), FINISH, End()]
    )
    reading = Reading(two.home, "held", "m", keyed("held"))
    reading.has(LAST_SHOWN)
    other = two.second.address
    state = fetch(other, "GET", f"/v1/streams/{reading.stream}", headers={"Accept": "application/json"})
    assert (state.status, state.json["status"]) == (200, "running")
    assert reading.stream in [each["id"] for each in two.second.get("/v1/streams")["data"]]
    assert fetch(other, "GET", "/v1/streams/" + "0" * 32).status == 404
    gate.open()
    repeated = post_chat(other, body_for("held", model="m"), keyed("held"))
    read_on = fetch(other, "GET", f"/v1/streams/{reading.stream}")
    assert repeated.head.get("idempotent-replayed") == "true"
    assert repeated.body == read_on.body == reading.ended()
    assert len(upstream.requests) == 1


def test_whoever_comes_back_finds_at_the_other_what_a_killed_one_had(two: Two) -> None:
    two.answers.play("middle", upto(HALF), rest)
    reading = Reading(two.home, "middle", "long", keyed("middle"))
    reading.has(LAST_SHOWN)
    two.first.kill()
    back = parse(fetch(two.second.address, "GET", f"/v1/streams/{reading.stream}")).succeeded()
    assert digest(back.text()) == digest(WHOLE)
    shown = frames_of(reading.ended())
    assert shown
    assert frames_of(back.response.body)[: len(shown)] == shown
    assert len(two.home.slots) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_what_one_leaves_goes_on_at_the_other_without_being_asked_for(
    two: Two, upstream: Upstream, number: signal.Signals
) -> None:
    two.answers.play("middle", upto(HALF), rest)
    reading = Reading(two.home, "middle", "long", keyed("middle"))
    reading.has(LAST_SHOWN)
    two.first.signal(number)
    upstream.wait_until(lambda: len(upstream.requests) == 2, "the rest is asked for", 20)
    eventually(lambda: len(two.home.slots) == 1, "the slot of the first is gone", 20)
    again = post_chat(two.second.address, body_for("middle", model="long"), keyed("middle"))
    assert digest(parse(again).succeeded().text()) == digest(WHOLE)
    assert again.head.get("idempotent-replayed") == "true"
    assert reading.stream
    assert len(upstream.requests) == 2
