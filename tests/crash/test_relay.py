"""The gateway ends while frames go past its interpreter, and nothing that was shown is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chat import one_by_one
from tests.chat_stream import parse
from tests.crash.killing import (
    HALF,
    LAST,
    WHOLE,
    WORDS,
    Reading,
    at_home,
    crash_config,
    frames_of,
    keyed,
    said,
    words_before,
)
from tests.script import Head, Script, Stall
from tests.upstream import Request, Upstream
from tidegate.streams import relay

pytestmark = pytest.mark.skipif(
    not relay.COMPILED, reason="it was installed without a compiler, so there are no relays"
)


@pytest.mark.parametrize("stopped", [False, True])
def test_an_end_in_the_middle_of_a_relay_loses_nothing(
    upstream: Upstream, tmp_path: Path, stopped: bool
) -> None:
    """The next process goes on, after a kill and after a stop whose deadline passes."""

    def answer(request: Request) -> Script:
        begun = words_before(request)
        if begun:
            return [Head(), *said(begun, len(WORDS)), *LAST]
        return [Head(), *one_by_one(WORDS[:HALF]), Stall()]

    upstream.answer = answer
    with at_home(tmp_path / "home", crash_config(upstream, server={"shutdown": "0s"})) as home:
        client = Reading(home, "relayed", "long", keyed("relayed"))
        client.has(WORDS[HALF - 1])
        if stopped:
            home.gateway.stop()
        home.kill_and_start()
        shown = frames_of(client.ended())
        assert len(shown) >= HALF
        back = parse(home.events(client.stream)).succeeded()
        assert back.text() == WHOLE
        assert frames_of(back.response.body)[: len(shown)] == shown
        assert [words_before(request) for request in upstream.requests] == [0, HALF]
