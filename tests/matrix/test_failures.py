"""Failures, over every pair of dialects: unseen before any content, told once and honestly behind it."""

from __future__ import annotations

import re

import pytest

from tests.gateway import Gateway, eventually
from tests.matrix.answer import FAILURE
from tests.matrix.clients import CLIENTS
from tests.matrix.pairs import Silence, ask, in_both_forms, pairs, patient_answer, read, sent
from tests.matrix.said import Part, failed, said
from tests.raw_http import fetch
from tests.script import Close, End, Head, Script, Send
from tests.upstream import Upstream

ANSWER = Part("text", ("from ", "the second"))
SHOWN = Part("text", tuple(f"t{number} " for number in range(20)))
EARLY = ["an error event", "a FIN", "an end of the body"]


def opening(dialect: str) -> list[bytes]:
    """What an upstream says before any content: that it begins, and that a text without words does."""
    return said(dialect, Part("text", ("",)), cut=True)


def early(dialect: str, way: str) -> Script:
    frames = opening(dialect)
    if way == "an error event":
        return sent([*frames, failed(dialect, len(frames), FAILURE)])
    return sent(frames, Close() if way == "a FIN" else End())


def model_of(served: str, spoken: str, gateway: Gateway, upstream: Upstream) -> str:
    """The model that falls back from the one dialect to the other, both of whose deployments are well.

    One that has failed three times in a row would be left to rest."""
    model = f"{served}-then-{spoken}"
    upstream.play(sent(said(served, ANSWER)))
    assert read(spoken, ask(gateway, spoken, model, stream=True), stream=True).text == ANSWER.whole
    upstream.reset()
    return model


@pairs("fallback")
@in_both_forms
@pytest.mark.parametrize("way", EARLY)
def test_a_failure_before_any_content_falls_back_unseen(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool, way: str
) -> None:
    """hazard 8: one seamless answer, which begins once, from an upstream of another dialect at that."""
    model = model_of(served, spoken, matrix, upstream)
    upstream.play(early(served, way), sent(said(spoken, ANSWER)))
    found = read(spoken, ask(matrix, spoken, model, stream=streamed), stream=streamed)
    assert (found.text, found.reason, found.ended) == (ANSWER.whole, "stop", True)
    assert len(upstream.requests) == 2


@pairs("fallback")
def test_a_fallback_behind_committed_headers(
    eager_matrix: Gateway, upstream: Upstream, spoken: str, served: str
) -> None:
    """hazards 8 and 9: keep-alives are out when the first one fails, and nothing is repeated."""
    model = model_of(served, spoken, eager_matrix, upstream)
    silence, frames = Silence(), opening(served)
    failure = Send(failed(served, len(frames), FAILURE))
    upstream.play([Head(), *map(Send, frames), *silence.steps, failure, End()], sent(said(spoken, ANSWER)))
    found = patient_answer(eager_matrix, spoken, model, [silence])
    assert (found.text, found.reason, found.ended) == (ANSWER.whole, "stop", True)


@pairs("fallback")
@pytest.mark.parametrize("kind", ["text", "thinking"])
def test_what_was_shown_is_not_answered_again(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, kind: str
) -> None:
    """hazards 8 and 40: no other upstream is asked once a client has seen something."""
    model = model_of(served, spoken, matrix, upstream)
    frames = said(served, Part("thinking" if kind == "thinking" else "text", ("shown",)), cut=True)
    upstream.play(sent([*frames, failed(served, len(frames), FAILURE)]))
    found = read(spoken, ask(matrix, spoken, model, stream=True), stream=True)
    assert found.text + found.thinking == "shown"
    assert found.error == FAILURE
    assert len(upstream.requests) == 1


@pairs("fallback")
@in_both_forms
def test_a_model_with_one_deployment_falls_back_to_nobody(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool
) -> None:
    """hazard 40: nobody is asked whom neither the request nor the configuration names."""
    upstream.play(early(served, "an error event"))
    assert ask(matrix, spoken, served, stream=streamed).status >= 500
    assert len(upstream.requests) == 1


def failures(gateway: Gateway, deployment: str) -> float:
    """How many attempts at a deployment have failed."""
    metrics = fetch(gateway.address, "GET", "/metrics").body.decode()
    counted = r'^tidegate_attempts_total\{error_type="([^"]+)",tidegate_deployment="%s"\} (\S+)$'
    return sum(float(count) for _, count in re.findall(counted % deployment, metrics, re.MULTILINE))


TYPES = {
    "openai-chat": ("overloaded_error", "server_is_overloaded", "upstream_error"),
    "openai-responses": ("overloaded_error", "server_is_overloaded", "upstream_error"),
    "anthropic-messages": ("overloaded_error",),
    "gemini": ("UNAVAILABLE",),
}


@pairs("errors")
@in_both_forms
@pytest.mark.parametrize("shown", [0, 20])
def test_an_error_behind_a_status_of_200(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool, shown: int
) -> None:
    """hazards 19 and 20: the upstream's words in the client's envelope, and a failure for the metrics.

    The health of a deployment, its breaker, is fed by the same end of the attempt."""
    before = failures(matrix, f"{served}/mock")
    frames = said(served, SHOWN, cut=True) if shown else []
    upstream.play(sent([*frames, failed(served, len(frames), FAILURE)]))
    response = ask(matrix, spoken, served, stream=streamed)
    if streamed and shown:
        found = CLIENTS[spoken].stream(response)
        assert (found.text, found.error, found.ended) == (SHOWN.whole, FAILURE, False)
    else:
        assert response.status in (503, 529)
        assert CLIENTS[spoken].refusal(response.json) == FAILURE
    last = response.body.decode()
    assert any(f'"{word}"' in last for word in TYPES[spoken]), last[-400:]
    eventually(lambda: failures(matrix, f"{served}/mock") == before + 1, "the failure is counted")


@pairs("errors")
def test_failures_behind_a_status_of_200_open_the_breaker(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str
) -> None:
    """hazard 19: after three of them in a row the second deployment is asked first."""
    model = f"{served}-after-which-{spoken}"
    frames = said(served, SHOWN, cut=True)
    for _ in range(3):
        upstream.play(sent([*frames, failed(served, len(frames), FAILURE)]))
        assert read(spoken, ask(matrix, spoken, model, stream=True), stream=True).error == FAILURE
    upstream.reset()
    upstream.play(sent(said(spoken, ANSWER)))
    assert read(spoken, ask(matrix, spoken, model, stream=True), stream=True).text == ANSWER.whole
    asked = upstream.request()
    assert "second" in asked.path + asked.body.decode()
    assert len(upstream.requests) == 1
