"""Before the first visible token a failure is retried, then falls back, and the client sees one answer."""

from __future__ import annotations

import pytest
from openai import OpenAI

from tests.chat import broken_off, chunk, error, frame, plain, stream, text_stream
from tests.chat_stream import LiveAnswer, body_for, is_keep_alive, post_chat, stream_chat
from tests.fixtures import StartGateway
from tests.gateway import Gateway, eventually, gateway_config
from tests.raw_http import fetch
from tests.script import Close, CutChunk, End, Gate, Head, Raw, Reset, Script, Send, Stall, WaitFor
from tests.upstream import Upstream

ROLE = chunk("", role="assistant")
OVERLOADED = {"error": {"message": "Overloaded, try later", "type": "overloaded_error", "code": "busy"}}

EARLY_FAILURES: dict[str, Script] = {
    "status 500": error(500, "internal error", kind="server_error"),
    "status 503 without a body": plain(b"", 503),
    "status 502 in HTML": plain(b"<html><h1>Bad Gateway</h1></html>", 502, {"Content-Type": "text/html"}),
    "status 429": error(429, "slow down", kind="rate_limit_error", code="rate_limit_exceeded"),
    "a RST instead of an answer": [Reset()],
    "a FIN instead of an answer": [Close()],
    "a head and a FIN": [Head(), Close()],
    "an empty body": [Head(), End()],
    "a role chunk and a FIN": broken_off([ROLE]),
    "a role chunk and a RST": broken_off([ROLE], Reset()),
    "a role chunk and a cut chunk": broken_off([ROLE], CutChunk()),
    "a role chunk and an error event": stream([ROLE, OVERLOADED]),
    "an error event alone": stream([OVERLOADED]),
    "empty deltas and an error event": stream([ROLE, chunk(""), chunk(delta={}), OVERLOADED]),
    "garbage for an event": [Head(), Send(frame("{not json")), End()],
    "garbage for a head": [Raw(b"SSH-2.0-OpenSSH_9.2\r\n"), Close()],
}


def play_pair(gateway: Gateway, upstream: Upstream, script: Script) -> None:
    """Has the first deployment of `pair` play the script, and the second answer.

    A good answer goes before, because a deployment that fails three times in a row would be left to rest."""
    stream_chat(gateway.address, model="pair").succeeded()
    assert models_asked(upstream) == ["mock-a"]
    upstream.reset()
    scripts = {"mock-a": script, "mock-b": text_stream(["from ", "b"])}
    upstream.answer = lambda request: scripts[request.json["model"]]


def models_asked(upstream: Upstream) -> list[str]:
    """The upstream's models in the order in which they were first asked.

    A request that dies on a pooled connection may be sent again on a new one, to the same model."""
    return list(dict.fromkeys(request.json["model"] for request in upstream.requests))


@pytest.mark.parametrize("failure", EARLY_FAILURES)
def test_an_early_failure_falls_back_unseen(gateway: Gateway, upstream: Upstream, failure: str) -> None:
    """hazards 8, 19: one seamless answer from the second deployment, with one role chunk."""
    play_pair(gateway, upstream, EARLY_FAILURES[failure])
    answer = stream_chat(gateway.address, model="pair").succeeded()
    assert answer.text() == "from b"
    roles = [choice for choice in answer.choices() if "role" in choice["delta"]]
    assert len(roles) == 1
    assert models_asked(upstream) == ["mock-a", "mock-b"]


@pytest.mark.parametrize("failure", EARLY_FAILURES)
def test_an_early_failure_falls_back_without_streaming(
    gateway: Gateway, upstream: Upstream, failure: str
) -> None:
    """hazard 8: the same for a whole answer."""
    play_pair(gateway, upstream, EARLY_FAILURES[failure])
    response = post_chat(gateway.address, body_for(model="pair", stream=False))
    assert response.status == 200
    assert response.json["choices"][0]["message"]["content"] == "from b"


def test_a_fallback_behind_committed_headers(eager_gateway: Gateway, upstream: Upstream) -> None:
    """hazard 8: role chunk and keep-alives are out when the first deployment fails; nothing is repeated."""
    held = Gate()
    play_pair(
        eager_gateway, upstream, [Head(), Send(frame(ROLE)), WaitFor(held), Send(frame(OVERLOADED)), End()]
    )
    with LiveAnswer(eager_gateway.address, body_for(model="pair")) as live:
        live.read_past("assistant")
        live.read()
        held.open()
        answer = live.rest().succeeded()
    assert answer.text() == "from b"
    visible = [value for value in answer.chunks if not is_keep_alive(value)]
    assert [value["choices"][0]["delta"] for value in visible[:2]] == [
        {"role": "assistant", "content": ""},
        {"content": "from "},
    ]


def test_no_fallback_after_the_first_token(gateway: Gateway, upstream: Upstream) -> None:
    """hazards 8, 31: what was shown stays, and one error ends it; nobody else is asked."""
    play_pair(gateway, upstream, stream([ROLE, chunk("shown"), OVERLOADED]))
    answer = stream_chat(gateway.address, model="pair")
    assert answer.text() == "shown"
    assert answer.failed()["message"] == "Overloaded, try later"
    assert len(upstream.requests) == 1


def test_reasoning_counts_as_shown(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 8: a client that has seen a model think must not see another one begin."""
    play_pair(gateway, upstream, stream([ROLE, chunk(reasoning="hmm"), OVERLOADED]))
    answer = stream_chat(gateway.address, model="pair")
    assert answer.text(name="reasoning_content") == "hmm"
    assert answer.failed()


@pytest.mark.parametrize("stream_it", [True, False])
def test_the_last_failure_is_told(gateway: Gateway, upstream: Upstream, stream_it: bool) -> None:
    """hazard 8: when all deployments refuse, the client gets a true status and the reason."""
    play_pair(gateway, upstream, [])
    upstream.answer = lambda request: error(503, "no capacity", kind="overloaded_error")
    response = post_chat(gateway.address, body_for(model="pair", stream=stream_it))
    assert response.status == 503
    assert "no capacity" in response.json["error"]["message"]
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("failure", EARLY_FAILURES)
def test_the_same_model_is_tried_again(gateway: Gateway, upstream: Upstream, failure: str) -> None:
    """hazard 31: with retries and nothing sent yet, the third try is the answer."""
    upstream.play(EARLY_FAILURES[failure], EARLY_FAILURES[failure], text_stream(["third"]))
    assert stream_chat(gateway.address, model="again").succeeded().text() == "third"
    assert len(upstream.requests) == 3


def test_retries_are_bounded(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 31: three tries and no more, and then the error with its status."""
    upstream.answer = lambda request: error(429, "slow down", kind="rate_limit_error")
    response = post_chat(gateway.address, body_for(model="again"))
    assert response.status == 429
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_the_callers_mistake_is_not_tried_again(gateway: Gateway, upstream: Upstream, status: int) -> None:
    """hazard 31: a request that is wrong stays wrong."""
    upstream.answer = lambda request: error(status, "temperature must be a number", param="temperature")
    response = post_chat(gateway.address, body_for(model="again"))
    assert response.status == status
    assert response.json["error"]["message"] == "temperature must be a number"
    assert response.json["error"]["param"] == "temperature"
    assert len(upstream.requests) == 1


def test_a_late_refusal_without_fallback_ends_in_one_error(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 31: a 429 in mid-stream is told once, and the gateway is idle afterwards."""
    busy = {"error": {"message": "rate limit reached", "type": "rate_limit_error", "code": 429}}
    upstream.play(stream([ROLE, chunk("some"), busy], done=False))
    answer = stream_chat(gateway.address, model="again")
    assert "rate limit reached" in answer.failed()["message"]
    assert len(upstream.requests) == 1
    assert_idle(gateway)


def assert_idle(gateway: Gateway) -> None:
    """Looks for a stretch in which the process used hardly any CPU time: an error loop has none."""
    spent = [gateway.cpu_seconds]

    def rests() -> bool:
        spent.append(gateway.cpu_seconds)
        return len(spent) > 30 and spent[-1] - spent[-30] <= 0.02

    eventually(rests, "the gateway is idle", 3)


def test_a_stalled_first_deployment_is_given_up(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 8: a client that leaves while the first deployment hangs cancels the call, not the fallback."""
    play_pair(gateway, upstream, [Head(), Send(frame(ROLE)), Stall()])
    with LiveAnswer(gateway.address, body_for(model="pair")):
        upstream.request()
    upstream.request().connection.wait_closed()
    assert models_asked(upstream) == ["mock-a"]


def test_the_sdk_sees_one_answer(gateway: Gateway, upstream: Upstream, client: OpenAI) -> None:
    """hazard 8: ids, model and role are those of one answer."""
    play_pair(gateway, upstream, EARLY_FAILURES["a role chunk and an error event"])
    with client.chat.completions.create(
        model="pair", messages=[{"role": "user", "content": "x"}], stream=True
    ) as answer:
        parts = list(answer)
    assert len({part.id for part in parts}) == 1
    assert len({part.model for part in parts}) == 1
    assert [part.choices[0].delta.role for part in parts].count("assistant") == 1


def test_a_retry_waits_as_long_as_it_is_told(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 31: Retry-After of an upstream is heeded, within reason."""
    upstream.play(error(429, "slow down", headers={"Retry-After": "1"}), text_stream(["later"]))
    assert stream_chat(gateway.address, model="again").succeeded().text() == "later"
    first, second = upstream.requests
    assert second.at - first.at >= 0.9


def test_a_failing_model_does_not_change_the_request(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 8: the second deployment gets what the caller sent, its own model name aside."""
    play_pair(gateway, upstream, EARLY_FAILURES["status 500"])
    stream_chat(gateway.address, "unchanged", model="pair", temperature=0.25, custom={"deep": [1, None]})
    first, second = (dict(request.json) for request in upstream.requests)
    assert (first.pop("model"), second.pop("model")) == ("mock-a", "mock-b")
    assert first == second
    assert second["temperature"] == 0.25
    assert second["custom"] == {"deep": [1, None]}


@pytest.mark.parametrize("shown", [0, 20])
def test_failures_behind_a_200_open_the_breaker(
    upstream: Upstream, start_gateway: StartGateway, shown: int
) -> None:
    """hazard 19: an error event counts like a failed status, as the first event and after twenty tokens."""
    gateway = start_gateway(gateway_config(upstream.url))
    words = [chunk(f"t{number} ") for number in range(shown)]
    scripts = {"mock-a": stream([ROLE, *words, OVERLOADED]), "mock-b": text_stream(["from ", "b"])}
    upstream.answer = lambda request: scripts[request.json["model"]]
    for _ in range(3):
        stream_chat(gateway.address, model="pair")
    metrics = fetch(gateway.address, "GET", "/metrics").body.decode().splitlines()
    failed = [line for line in metrics if line.startswith("tidegate_attempts_total{") and "up/mock-a" in line]
    assert [line.rsplit(" ", 1)[1] for line in failed if 'error_type=""' not in line] == ["3.0"]
    upstream.requests.clear()
    assert stream_chat(gateway.address, model="pair").succeeded().text() == "from b"
    assert models_asked(upstream) == ["mock-b"]
