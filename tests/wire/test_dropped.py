"""A caller is told what the upstream was not: the header that names the fields of a request."""

from __future__ import annotations

from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.matrix.upstreams import script
from tests.raw_http import fetch
from tests.upstream import Upstream
from tidegate.server.respond import dropped_header

CHAT = "/v1/chat/completions"


def test_fields_are_named() -> None:
    assert dropped_header(("seed", "top_k")) == b"tidegate-dropped: seed, top_k\r\n"


def test_names_of_any_kind_are_no_way_into_the_response() -> None:
    assert dropped_header(("a\r\nset-cookie: x", "世界")) == b"tidegate-dropped: a??set-cookie: x, ??\r\n"


def test_many_names_are_cut() -> None:
    assert len(dropped_header(tuple("x" * 99 for _ in range(99)))) < 1100


QUESTION = [{"role": "user", "content": "Hi"}]


def test_the_answer_names_what_the_upstream_was_not_told(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(script("anthropic-messages", "text"))
    body = {"model": "c", "messages": QUESTION, "seed": 1, "prediction": {}, "temperature": 0.5}
    response = fetch(gateway.address, "POST", CHAT, body)
    assert response.status == 200
    assert response.head.get("tidegate-dropped") == "seed, prediction"
    asked = upstream.request().json
    assert asked["temperature"] == 0.5
    assert not {"seed", "prediction"} & asked.keys()


def test_nothing_is_named_where_nothing_was_dropped(gateway: Gateway) -> None:
    response = fetch(gateway.address, "POST", CHAT, {"model": "m", "messages": QUESTION, "seed": 1})
    assert response.head.get("tidegate-dropped") is None


def test_what_would_change_the_answer_is_refused_by_name(gateway: Gateway, upstream: Upstream) -> None:
    response = fetch(gateway.address, "POST", CHAT, {"model": "c", "messages": QUESTION, "n": 2})
    assert response.status == 400
    assert response.json["error"]["param"] == "n"
    assert response.json["error"]["code"] == "unsupported_parameter"
    assert upstream.requests == []


def test_another_deployment_that_can_say_it_answers(start_gateway: StartGateway, upstream: Upstream) -> None:
    """A deployment of a dialect that cannot is passed over, and is not blamed for it."""
    config = gateway_config(upstream.url)
    config["models"]["both"] = {"use": ["claude/mock-a", "up/mock-b"], "retry": {"attempts": 1}}
    gateway = start_gateway(config)
    for _ in range(4):
        response = fetch(gateway.address, "POST", CHAT, {"model": "both", "messages": QUESTION, "n": 2})
        assert response.status == 200
    assert {request.json["model"] for request in upstream.requests} == {"mock-b"}
    upstream.reset()
    upstream.play(script("anthropic-messages", "text"))
    fetch(gateway.address, "POST", CHAT, {"model": "both", "messages": QUESTION})
    assert upstream.request().json["model"] == "mock-a"
