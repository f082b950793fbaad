"""What was shown is shown again after SIGKILL, and each stream ends once, as well as it can."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chat import error
from tests.chat_stream import parse
from tests.crash.killing import (
    FINISH,
    HALF,
    WHOLE,
    WORDS,
    Answers,
    Reading,
    at_home,
    crash_config,
    digest,
    frames_of,
    keyed,
    rest,
    said,
    upto,
    words_before,
)
from tests.gateway import eventually
from tests.raw_http import fetch
from tests.script import Gate, Head, Stall, WaitFor
from tests.upstream import Upstream

pytestmark = pytest.mark.timeout(240)  # each starts several gateways, one after the other

LAST_SHOWN = WORDS[HALF - 1]


def test_every_stream_goes_on_as_well_as_it_can(upstream: Upstream, tmp_path: Path) -> None:
    """One kill for streams at every point of their lives."""
    answers = Answers(upstream)
    answers.play("unshown", lambda _: [Stall()], rest)
    for label in ("middle", "reader"):
        answers.play(label, upto(HALF), rest)
    answers.play("stuck", upto(HALF))
    answers.play("endless", lambda _: [Head(), *said(0, len(WORDS)), FINISH, Stall()])
    with at_home(tmp_path / "home", crash_config(upstream)) as home:
        ended = home.post("ended")
        reading = {
            "unshown": Reading(home, "unshown", "long", keyed("unshown")),
            "middle": Reading(home, "middle", "long", keyed("middle")),
            "reader": Reading(home, "reader", "long", {}),
            "stuck": Reading(home, "stuck", "m", keyed("stuck")),
            "endless": Reading(home, "endless", "m", {}),
        }
        reading["endless"].has('"finish_reason":"stop"')
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

        endless = parse(home.events(reading["endless"].stream)).succeeded()
        assert digest(endless.text()) == digest(WHOLE)
        assert frames_of(endless.response.body) == [*shown["endless"], "[DONE]"]

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
            "endless": [0],
        }
        eventually(lambda: len(home.slots) == 1, "the killed process's folder is cleared away")


def test_what_is_not_to_be_stored_goes_on_too_and_is_gone_with_its_end(
    upstream: Upstream, tmp_path: Path
) -> None:
    """Whoever comes back before the end reads all of it; afterwards there is no such stream."""
    answers = Answers(upstream)
    back_again = Gate()
    answers.play("watched", upto(HALF), lambda request: [WaitFor(back_again), *rest(request)])
    answers.play("alone", upto(HALF), rest)
    with at_home(tmp_path / "home", crash_config(upstream)) as home:
        reading = {
            label: Reading(home, label, "long", keyed(label), store=False)
            for label in ("ended", "watched", "alone")
        }
        assert frames_of(reading["ended"].ended())[-1] == "[DONE]"
        for label in ("watched", "alone"):
            reading[label].has(LAST_SHOWN)
        home.kill_and_start()

        watched = Reading(home, "watched", "long", keyed("watched"), store=False)
        watched.has(LAST_SHOWN)
        assert watched.stream == reading["watched"].stream
        back_again.open()
        told = frames_of(watched.ended())
        shown = frames_of(reading["watched"].ended())
        assert told[: len(shown)] == shown
        assert told[-1] == "[DONE]"

        upstream.wait_until(lambda: len(answers.asked["alone"]) == 2, "nobody waits for it, and it goes on")
        for client in reading.values():
            eventually(lambda: home.events(client.stream).status == 404, "it is gone with its end")  # noqa: B023
        home.kill_and_start()
        assert {home.events(client.stream).status for client in reading.values()} == {404}
        again = home.repeat("alone", store=False).succeeded()
        assert again.response.head.get("tidegate-stream") != reading["alone"].stream
        assert digest(again.text()) == digest(WHOLE)
        asked = {label: list(map(words_before, requests)) for label, requests in answers.asked.items()}
        assert asked == {"ended": [0], "watched": [0, HALF], "alone": [0, HALF, 0]}


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


def test_killed_again_while_it_went_on(upstream: Upstream, tmp_path: Path) -> None:
    answers = Answers(upstream)
    answers.play("often", upto(10), upto(25), upto(45), rest)
    with at_home(tmp_path / "home", crash_config(upstream)) as home:
        clients = []
        for count in (10, 25, 45):
            client = Reading(home, "often", "long", keyed("often"))
            client.has(WORDS[count - 1])
            clients.append(client)
            home.kill_and_start()
        last = home.repeat("often").succeeded()
        assert digest(last.text()) == digest(WHOLE)
        told = frames_of(last.response.body)
        for client in clients:
            shown = frames_of(client.ended())
            assert told[: len(shown)] == shown
        assert list(map(words_before, answers.asked["often"])) == [0, 10, 25, 45]
        state = fetch(
            home.gateway.address,
            "GET",
            f"/v1/streams/{clients[0].stream}",
            headers={"Accept": "application/json"},
        ).json
        outcomes = [each["outcome"] for each in state["attempts"]]
        assert outcomes == ["interrupted"] * 3 + ["completed"]


def test_a_mixed_route_is_gone_on_with_by_the_model_that_answered(upstream: Upstream, tmp_path: Path) -> None:
    """The log says which of several deployments it was."""
    answers = Answers(upstream)
    answers.play("mixed", lambda _: error(500, "no"), upto(HALF), rest)
    config = crash_config(upstream)
    use = ["goes-on/other", "goes-on/mock"]
    config["models"]["mixed"] = {"use": use, "retry": {"attempts": 1}}
    with at_home(tmp_path / "home", config) as home:
        client = Reading(home, "mixed", "mixed", keyed("mixed"))
        client.has(LAST_SHOWN)
        home.kill_and_start()
        assert digest(home.repeat("mixed", "mixed").succeeded().text()) == digest(WHOLE)
    asked = [(request.json["model"], words_before(request)) for request in answers.asked["mixed"]]
    assert asked == [("other", 0), ("mock", 0), ("mock", HALF)]
