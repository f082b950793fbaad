"""`fallback_models` in a body: other models answer when the one that was asked for cannot."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chat import chunk, completion, envelope, error, frame, plain, stream, text_stream
from tests.chat_stream import body_for, post_chat, stream_chat
from tests.gateway import Gateway, eventually
from tests.raw_http import fetch
from tests.script import Head, Reset, Script, Send, Stall
from tests.upstream import Request, Upstream

DOWN = error(503, "no capacity", kind="overloaded_error")


def play(upstream: Upstream, **scripts: Script) -> None:
    """What the upstream's models say; `mock_a` is the model `mock-a`, and `mock-b` if nothing else is said.

    A deployment that has failed in other tests may rest, so that its neighbour is asked first."""
    by_model = {name.replace("_", "-"): script for name, script in scripts.items()}
    upstream.answer = lambda request: by_model.get(request.json["model"]) or by_model["mock-a"]


def models_asked(upstream: Upstream) -> list[str]:
    return list(dict.fromkeys(request.json["model"] for request in upstream.requests))


def nameless(*pieces: str) -> Script:
    """An answer that does not say which model it is of."""
    return stream([chunk(piece, model=None) for piece in pieces] + [chunk(finish="stop", model=None)])


@pytest.mark.parametrize("stream_it", [True, False])
def test_the_fallback_model_answers_and_is_named(
    gateway: Gateway, upstream: Upstream, stream_it: bool
) -> None:
    play(upstream, mock=DOWN, mock_a=DOWN, mock_b=nameless("from ", "b"))
    body = body_for(model="m", stream=stream_it, fallback_models=["pair", "demo"])
    response = post_chat(gateway.address, body)
    assert response.status == 200
    assert models_asked(upstream)[0] == "mock"
    assert models_asked(upstream)[-1] == "mock-b"
    if stream_it:
        assert stream_chat(gateway.address, **body).chunks[0]["model"] == "pair"
    else:
        assert response.json["model"] == "pair"
        assert response.json["choices"][0]["message"]["content"] == "from b"


def test_an_upstream_is_not_told_of_fallback_models(gateway: Gateway, upstream: Upstream) -> None:
    stream_chat(gateway.address, fallback_models=["demo"]).succeeded()
    assert "fallback_models" not in upstream.request().json


def test_an_answer_that_names_its_model_keeps_the_name(gateway: Gateway, upstream: Upstream) -> None:
    play(upstream, mock=DOWN, mock_a=text_stream(["a"]))
    assert stream_chat(gateway.address, fallback_models=["pair"]).chunks[0]["model"] == "mock"


def test_a_model_without_upstream_can_take_over(gateway: Gateway, upstream: Upstream) -> None:
    play(upstream, mock=DOWN)
    answer = stream_chat(gateway.address, "hello", fallback_models=["demo"]).succeeded()
    assert answer.chunks[0]["model"] == "demo"
    assert "hello" in answer.text()


def test_a_silent_model_is_given_up_for_the_next(gateway: Gateway, upstream: Upstream) -> None:
    play(upstream, mock=[Head(), Send(frame(chunk("", role="assistant"))), Stall()], mock_a=nameless("a"))
    answer = stream_chat(gateway.address, model="hasty", fallback_models=["pair"]).succeeded()
    assert answer.text() == "a"
    upstream.request().connection.wait_closed()


def test_what_was_shown_is_not_answered_again(gateway: Gateway, upstream: Upstream) -> None:
    broken = envelope([], error={"message": "overloaded", "code": 503})
    play(upstream, mock=stream([chunk("shown"), broken]), mock_a=nameless("a"))
    answer = stream_chat(gateway.address, fallback_models=["pair"])
    assert answer.text() == "shown"
    assert answer.failed()["message"] == "overloaded"


def test_the_callers_mistake_is_told_at_once(gateway: Gateway, upstream: Upstream) -> None:
    play(upstream, mock=error(400, "temperature must be a number"))
    response = post_chat(gateway.address, body_for(fallback_models=["pair"]))
    assert (response.status, len(upstream.requests)) == (400, 1)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["demmo", "pair"], "did you mean 'demo'?"),
        ([f"x{number}" for number in range(9)], "8 models"),
        ("pair", "list of model names"),
        ([1], "list of model names"),
    ],
)
def test_wrong_fallback_models_are_a_mistake_of_the_caller(gateway: Gateway, value: Any, words: str) -> None:
    response = post_chat(gateway.address, body_for(fallback_models=value))
    assert response.status == 400
    assert response.json["error"]["param"] == "fallback_models"
    assert words in response.json["error"]["message"]


@pytest.mark.parametrize("value", [None, []])
def test_no_fallback_models_may_be_said_in_words(gateway: Gateway, upstream: Upstream, value: Any) -> None:
    stream_chat(gateway.address, fallback_models=value).succeeded()


def test_metrics_and_log_tell_who_was_asked_and_who_answered(gateway: Gateway, upstream: Upstream) -> None:
    def answer(request: Request) -> Script:
        return DOWN if request.json["model"] == "mock" else plain(completion())

    upstream.answer = answer
    post_chat(gateway.address, body_for(stream=False, fallback_models=["pair"]))
    metrics = fetch(gateway.address, "GET", "/metrics").body.decode()
    assert 'gen_ai_server_request_duration_seconds_count{error_type="",gen_ai_request_model="m"}' in metrics
    assert 'tidegate_attempts_total{error_type="",tidegate_deployment="up/mock-' in metrics
    eventually(lambda: "completed model=m>pair " in gateway.output(), "the line of the access log")


def test_a_request_may_want_no_fallback_before_the_first_token(gateway: Gateway, upstream: Upstream) -> None:
    play(upstream, mock_a=DOWN, mock_b=DOWN)
    body = body_for(model="pair", fallback_models=["demo"], disable_fallbacks=True)
    response = post_chat(gateway.address, body)
    assert response.status == 503
    assert len(models_asked(upstream)) == 1
    assert "disable_fallbacks" not in upstream.request().json


def test_nor_after_it(gateway: Gateway, upstream: Upstream) -> None:
    play(upstream, mock=[Head(), Send(frame(chunk("one "))), Reset()])
    stream_chat(gateway.address, model="m", disable_fallbacks=True).failed()
    assert len(upstream.requests) == 1
