"""The gateway is killed while frames go past its interpreter, and nothing that was shown is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

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
    said,
    words_before,
)
from tests.script import Head, Pause, Script, Stall, Step
from tests.upstream import Request, Upstream
from tidegate.streams import relay

pytestmark = pytest.mark.skipif(
    not relay.COMPILED, reason="it was installed without a compiler, so there are no relays"
)


def _one_by_one(first: int, last: int) -> list[Step]:
    """Words that each come in a read of their own, so that a relay takes them."""
    return [step for number in range(first, last) for step in (*said(number, number + 1), Pause(0.004))]


def test_a_kill_in_the_middle_of_a_relay_loses_nothing(upstream: Upstream, tmp_path: Path) -> None:
    def answer(request: Request) -> Script:
        begun = words_before(request)
        if begun:
            return [Head(), *said(begun, len(WORDS)), *LAST]
        return [Head(), *_one_by_one(0, HALF), Stall()]

    upstream.answer = answer
    with at_home(tmp_path / "home", crash_config(upstream)) as home:
        client = Reading(home, "relayed", "long", {})
        client.has(WORDS[HALF - 1])
        home.kill_and_start()
        shown = frames_of(client.ended())
        assert len(shown) >= HALF
        back = parse(home.events(client.stream)).succeeded()
        assert back.text() == WHOLE
        assert frames_of(back.response.body)[: len(shown)] == shown
        assert [words_before(request) for request in upstream.requests] == [0, HALF]
