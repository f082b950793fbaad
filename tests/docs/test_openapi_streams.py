"""What the OpenAPI document says of streams is what the server does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from tests.agents.asking import asking_home, reading, send
from tests.chat import Json, chunk, frame
from tests.chat_stream import LiveAnswer, body_for
from tests.crash.killing import crash_config
from tests.docs.test_openapi import DOCUMENT, FOREIGN, KEY
from tests.fixtures import StartGateway
from tests.gateway import Gateway, eventually, gateway_config
from tests.raw_http import Response, fetch
from tests.resuming.asking import WAYS, stream_id
from tests.script import Head, Send, Stall
from tests.upstream import Upstream

PATHS = {path: methods for path, methods in DOCUMENT["paths"].items() if path.startswith("/v1/streams")}
OPERATIONS = [(path, method) for path, methods in PATHS.items() for method in methods if method != "post"]
JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = gateway_config("http://127.0.0.1:1", auth={"list": [KEY]})
    running = Gateway(tmp_path_factory.mktemp("strict"), config)
    yield running
    running.stop()


def fits(path: str, method: str, response: Response) -> None:
    """Status, headers and body are as documented."""
    documented: Json = PATHS[path][method]["responses"][str(response.status)]
    if "$ref" in documented:
        documented = DOCUMENT["components"]["responses"][documented["$ref"].rpartition("/")[2]]
    assert [name for name in documented.get("headers", {}) if response.head.get(name) is None] == []
    kind = (response.head.get("content-type") or "").partition(";")[0]
    content = documented.get("content", {})
    assert kind in content or not response.body
    if kind == "application/json":
        whole = {**content[kind]["schema"], "components": DOCUMENT["components"]}
        problems = [each.message for each in OAS31Validator(whole).iter_errors(response.json)]
        assert not problems, (problems, response.body)


def made(gateway: Gateway, upstream: Upstream, headers: dict[str, str] | None = None) -> str:
    upstream.play(WAYS["chat"].upstream)
    return stream_id(WAYS["chat"].ask(gateway.address, headers))


def ask(gateway: Gateway, method: str, path: str, query: str = "", **headers: Any) -> Response:
    return fetch(gateway.address, method.upper(), path + query, headers=headers.get("headers", JSON))


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_documented_answers_and_refusals_occur(
    gateway: Gateway, upstream: Upstream, strict: Gateway, path: str, method: str
) -> None:
    key = f"documented-{method}-{path}"
    name = made(gateway, upstream, {"Idempotency-Key": key})
    known, unknown = path.replace("{stream_id}", name), path.replace("{stream_id}", "0" * 32)
    by_key = (path, method) == ("/v1/streams", "delete")
    answers = [
        ask(gateway, method, known, f"?idempotency_key={key}" if by_key else ""),
        ask(strict, method, known),
        ask(gateway, method, known, headers=FOREIGN),
    ]
    assert [each.status for each in answers] == [200, 401, 403]
    if path.endswith("}"):
        answers.append(ask(gateway, method, unknown))
    elif by_key:
        answers.append(ask(gateway, method, known, "?idempotency_key=another"))
    else:
        answers.append(ask(gateway, method, known, f"?after={'0' * 32}"))
    assert answers[-1].status == 404
    if method == "get" or by_key:
        wrong = "?limit=0" if known == path else "?stream=maybe"
        answers.append(ask(gateway, method, known, wrong))
        assert answers[-1].status == 400
    for each in answers:
        fits(path, method, each)


def test_an_answer_to_a_question_is_as_documented(upstream: Upstream, tmp_path: Path) -> None:
    with asking_home(tmp_path / "home", crash_config(upstream)) as home:
        stream = reading(home, "asks-leave", "May I?").stream
        state = ask(home.gateway, "get", f"/v1/streams/{stream}")
        assert len(state.json["input_required"]) == 1
        fits("/v1/streams/{stream_id}", "get", state)
        sent = [
            ("0" * 32, {}),
            (stream, {"text": "x"}),
            (stream, {"approve": True}),
            (stream, {"approve": True}),
        ]
        answers = [send(home.gateway, name, answer) for name, answer in sent]
    assert [each.status for each in answers] == [400, 400, 200, 409]
    for each in answers:
        fits("/v1/streams/{stream_id}/input", "post", each)


def test_a_stream_and_its_rest_are_as_documented(gateway: Gateway, upstream: Upstream) -> None:
    name = made(gateway, upstream)
    path, where = "/v1/streams/{stream_id}", f"/v1/streams/{name}"
    streamed = ask(gateway, "get", where, headers={})
    assert streamed.head.get("content-type") == "text/event-stream; charset=utf-8"
    fits(path, "get", streamed)
    last = ask(gateway, "get", where).json["last_seq"]
    nothing = ask(gateway, "get", where, f"?after={last}", headers={})
    assert (nothing.status, nothing.body, nothing.head.get("content-length")) == (204, b"", None)
    fits(path, "get", nothing)


def test_a_running_stream_is_as_documented(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play([Head(), Send(frame(chunk("Half"))), Stall()])
    with LiveAnswer(gateway.address, body_for()) as live:
        live.read_past("Half")
        name = live.head.get("tidegate-stream") or ""
        fits("/v1/streams/{stream_id}", "get", ask(gateway, "get", f"/v1/streams/{name}"))
        stopped = ask(gateway, "delete", f"/v1/streams/{name}")
    assert stopped.json["status"] == "cancelled"
    fits("/v1/streams/{stream_id}", "delete", stopped)


def test_an_expired_stream_is_gone_as_documented(start_gateway: StartGateway, upstream: Upstream) -> None:
    gateway = start_gateway(gateway_config(upstream.url, streams={"retain": "1s"}))
    where = f"/v1/streams/{made(gateway, upstream)}"
    eventually(lambda: ask(gateway, "get", where).status == 410, "it does not expire", 10)
    for path, method, asked in (
        ("/v1/streams/{stream_id}", "get", ask(gateway, "get", where)),
        ("/v1/streams/{stream_id}", "delete", ask(gateway, "delete", where)),
        ("/v1/streams", "get", ask(gateway, "get", "/v1/streams", f"?after={where.rpartition('/')[2]}")),
    ):
        assert asked.status == 410
        fits(path, method, asked)
