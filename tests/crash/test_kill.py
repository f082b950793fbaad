"""What was shown is shown again after SIGKILL, and each stream ends once, as well as it can."""

from __future__ import annotations

from pathlib import Path

from tests.chat_stream import parse
from tests.crash.killing import (
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
    upto,
    words_before,
)
from tests.gateway import eventually
from tests.raw_http import fetch
from tests.script import Gate, Stall
from tests.upstream import Upstream

LAST_SHOWN = WORDS[HALF - 1]


def test_every_stream_goes_on_as_well_as_it_can(upstream: Upstream, tmp_path: Path) -> None:
    """One kill for streams at every point of their lives."""
    answers = Answers(upstream)
    answers.play("unshown", lambda _: [Stall()], rest)
    for label in ("middle", "reader"):
        answers.play(label, upto(HALF), rest)
    answers.play("stuck", upto(HALF))
    with at_home(tmp_path / "home", crash_config(upstream)) as home:
        ended = home.post("ended")
        reading = {
            "unshown": Reading(home, "unshown", "long", keyed("unshown")),
            "middle": Reading(home, "middle", "long", keyed("middle")),
            "reader": Reading(home, "reader", "long", {}),
            "stuck": Reading(home, "stuck", "m", keyed("stuck")),
        }
        for label, client in reading.items():
            if label == "unshown":
                upstream.wait_until(lambda: "unshown" in answers.asked, "the request")
            else:
                client.has(LAST_SHOWN)
        home.kill_and_start()
        shown = {label: frames_of(client.ended()) for label, client in reading.items()}
        assert shown["unshown"] == []

        again = home.post("ended")
        assert again.body == ended.body
        assert again.head.get("idempotent-replayed") == "true"

        back = parse(home.events(reading["reader"].stream)).succeeded()  # within the grace
        assert digest(back.text()) == digest(WHOLE)
        assert frames_of(back.response.body)[: len(shown["reader"])] == shown["reader"]
        for label in ("unshown", "middle"):
            whole = home.repeat(label).succeeded()
            assert digest(whole.text()) == digest(WHOLE)
            assert frames_of(whole.response.body)[: len(shown[label])] == shown[label]

        stuck = home.repeat("stuck", "m")
        assert stuck.failed()["type"] == "interrupted"
        assert stuck.text() == "".join(WORDS[:HALF])
        assert frames_of(stuck.response.body)[: len(shown["stuck"])] == shown["stuck"]
        assert home.post("stuck", "m").body == stuck.response.body

        asked = {label: list(map(words_before, requests)) for label, requests in answers.asked.items()}
        assert asked == {
            "ended": [0],
            "unshown": [0, 0],
            "middle": [0, HALF],
            "reader": [0, HALF],
            "stuck": [0],
        }
        eventually(lambda: len(home.slots) == 1, "the killed process's folder is cleared away")


def test_streams_that_had_just_ended_are_told_to_the_byte(upstream: Upstream, tmp_path: Path) -> None:
    """Some of them are in the archive by then, some on the way, and some not."""
    answers = Answers(upstream)
    with at_home(tmp_path / "home", crash_config(upstream)) as home:
        bodies = {str(number): home.post(str(number)).body for number in range(12)}
        for _ in range(2):
            home.kill_and_start()
            for label, body in bodies.items():
                assert home.post(label).body == body
        assert all(len(requests) == 1 for requests in answers.asked.values())


def said(home: Home, stream: str) -> str:
    """The text of a stream so far."""
    shown = {"Accept": "application/json"}
    return str(fetch(home.gateway.address, "GET", f"/v1/streams/{stream}", headers=shown).json["text"])


def test_killed_again_while_it_went_on(upstream: Upstream, tmp_path: Path) -> None:
    answers = Answers(upstream)
    third, fourth = Gate(), Gate()
    answers.play("often", upto(10), upto(25, third), upto(45, fourth), rest)
    with at_home(tmp_path / "home", crash_config(upstream)) as home:
        first = Reading(home, "often", "long", keyed("often"))
        first.has(WORDS[9])
        home.kill_and_start()
        third.wait()
        second = Reading(home, "often", "long", keyed("often"))
        second.has(WORDS[24])
        home.kill_and_start()
        fourth.wait()
        eventually(lambda: WORDS[44] in said(home, first.stream), "the gateway has read what was sent")
        home.kill()
        home.start()
        last = home.repeat("often").succeeded()
        assert digest(last.text()) == digest(WHOLE)
        told = frames_of(last.response.body)
        for client in (first, second):
            shown = frames_of(client.ended())
            assert told[: len(shown)] == shown
        assert list(map(words_before, answers.asked["often"])) == [0, 10, 25, 45]
        state = fetch(
            home.gateway.address,
            "GET",
            f"/v1/streams/{first.stream}",
            headers={"Accept": "application/json"},
        ).json
        outcomes = [each["outcome"] for each in state["attempts"]]
        assert outcomes == ["interrupted"] * 3 + ["completed"]
