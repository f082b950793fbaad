"""A tutorial outlives the process that writes it: nothing is done twice, and nothing is shown twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agents.tutorial import SECTIONS, WHOLE, section_asked_for, tutorial
from tests.chat import chunk, frame, text_stream
from tests.chat_stream import parse
from tests.crash.killing import Home, Reading, at_home, crash_config, frames_of
from tests.gateway import Gateway, eventually
from tests.raw_http import fetch
from tests.script import Head, Script, Send, Stall
from tests.upstream import Request, Upstream
from tests.wire.test_ledger import rows_of
from tidegate.agents.writing import SEAM
from tidegate.streams.segments import Slot

pytestmark = pytest.mark.timeout(120)

SUBJECT = "Write a tutorial about MySQL"
AGENT = "write_tutorial"


def stalling(at: str, words: int) -> Callable[[Request], Script]:
    """Answers all but the section ``at``, of which so many words come, and no end."""

    def answer(request: Request) -> Script:
        if section_asked_for(request) == at:
            return [Head(), *(Send(frame(chunk(word))) for word in SECTIONS[at][:words]), Stall()]
        return tutorial(request)

    return answer


def sections_asked_for(upstream: Upstream) -> list[str | None]:
    return [section_asked_for(request) for request in upstream.requests]


def answered(gateway: Gateway, stream: str) -> int:
    """How many of a stream's questions have been answered."""
    return sum(row.parent == stream for row in rows_of(gateway).values())


def killed_in(
    home: Home, upstream: Upstream, section: str, words: int, then: list[str] | None = None
) -> tuple[str, list[str]]:
    """Kill the gateway when so much of a section was shown; the stream, and the frames that came.

    ``then`` is what the upstream writes of that section the next time, if not the same.
    """
    upstream.answer = stalling(section, words)
    reading = Reading(home, SUBJECT, AGENT, {})
    reading.has(SECTIONS[section][words - 1].strip())
    eventually(lambda: answered(home.gateway, reading.stream) == len(SECTIONS), "all answers but one")
    home.kill()
    shown = frames_of(reading.ended())
    upstream.requests.clear()
    upstream.answer = lambda request: (
        text_stream(then) if then and section_asked_for(request) == section else tutorial(request)
    )
    home.start()
    return reading.stream, shown


def test_finished_sections_are_not_written_again(upstream: Upstream, tmp_path: Path) -> None:
    """The answer that was cut is gone on with by its model, so that nobody sees where."""
    with at_home(tmp_path / "home", crash_config(upstream, default_model="long")) as home:
        stream, shown = killed_in(home, upstream, "First queries", 2)
        rest = fetch(home.gateway.address, "GET", f"/v1/streams/{stream}")
        assert parse(rest).succeeded().text() == WHOLE
        assert sections_asked_for(upstream) == ["First queries"]
        assert frames_of(rest.body)[: len(shown)] == shown
        listed = home.gateway.get("/v1/streams")["data"]
        assert [each["id"] for each in listed] == [stream]


def test_a_section_that_no_model_goes_on_with_is_written_anew_behind_a_seam(
    upstream: Upstream, tmp_path: Path
) -> None:
    with at_home(tmp_path / "home", crash_config(upstream)) as home:
        stream, _ = killed_in(home, upstream, "First queries", 2, then=["Type:\n\n", "SHOW TABLES;"])
        answer = parse(fetch(home.gateway.address, "GET", f"/v1/streams/{stream}"))
        assert sections_asked_for(upstream) == ["First queries"]
        before, _, after = WHOLE.partition("SELECT 1;\n```")
        assert answer.succeeded().text() == f"{before}SELECT 1;\n{SEAM}Type:\n\nSHOW TABLES;{after}"


def test_a_plan_that_was_made_is_kept(upstream: Upstream, tmp_path: Path) -> None:
    with at_home(tmp_path / "home", crash_config(upstream)) as home:
        stream, _ = killed_in(home, upstream, "Installing MySQL", 1)
        answer = parse(fetch(home.gateway.address, "GET", f"/v1/streams/{stream}"))
        assert None not in sections_asked_for(upstream)
        assert answer.succeeded().text().endswith("every night.\n")


def test_a_server_that_is_stopped_leaves_the_rest_to_the_next(upstream: Upstream, tmp_path: Path) -> None:
    config = crash_config(upstream, default_model="long", server={"shutdown": "50ms"})
    with at_home(tmp_path / "home", config) as home:
        upstream.answer = stalling("Backups", 2)
        reading = Reading(home, SUBJECT, AGENT, {})
        reading.has("mysqldump")
        home.gateway.stop()
        shown = frames_of(reading.ended())
        upstream.answer = tutorial
        upstream.requests.clear()
        home.start()
        rest = fetch(home.gateway.address, "GET", f"/v1/streams/{reading.stream}")
        assert parse(rest).succeeded().text() == WHOLE
        assert sections_asked_for(upstream) == ["Backups"]
        assert frames_of(rest.body)[: len(shown)] == shown


def test_an_agent_goes_on_beside_a_gateway_that_does_not_answer(upstream: Upstream, tmp_path: Path) -> None:
    """Such as one that begins: nobody but this one has what the agent has asked for."""
    with at_home(tmp_path / "home", crash_config(upstream)) as home:
        upstream.answer = lambda _: [Head(), Stall()]
        reading = Reading(home, SUBJECT, AGENT, {})
        eventually(lambda: len(upstream.requests) == 1, "the question for the outline")
        home.kill()
        reading.ended()
        other = Slot(home.folder / "streams" / "other")
        upstream.answer = tutorial
        home.start()
        rest = fetch(home.gateway.address, "GET", f"/v1/streams/{reading.stream}")
        assert parse(rest).succeeded().text() == WHOLE
        other.remove()
