"""The OpenAPI document is valid, and the running server does what it says and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from tests.chat import Json, chunk, error, frame, stream, tool
from tests.chat_stream import LiveAnswer, body_for, post_chat, start_chat, stream_chat
from tests.gateway import Gateway, eventually, gateway_config
from tests.raw_http import RawConnection, Response, ResponseHead, fetch, request_bytes
from tests.script import End, Gate, Head, Script, Send, Stall, WaitFor
from tests.upstream import Upstream
from tidegate.access import KeyRing
from tidegate.app import Application
from tidegate.config import Config
from tidegate.server import urls
from tidegate.server.openapi import beside, document

CHAT = "/v1/chat/completions"
MODEL = "/v1/models/{model}"
KEY = "sk-right"
FOREIGN = {"Host": "gateway.example"}
DOCUMENT = document()
BESIDE = {tag["name"] for tag in beside.TAGS}
"""What test_openapi_beside.py looks at."""
OPERATIONS = [
    (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if not BESIDE.intersection(operation["tags"])
]
PATHS = list(dict.fromkeys(path for path, _, _ in OPERATIONS))


def paths_of_urls() -> set[str]:
    """Every path of the table in urls.py, as the document writes a path without its /v1."""
    constants = {value for name, value in vars(urls).items() if name.isupper() and isinstance(value, str)}
    return {path.replace("{model:path}", "{model}") for path in constants | {*urls.GENERATIONS, *urls.CALLS}}


def check(schema: str, value: Any) -> None:
    """Fails where ``value`` does not fit a schema of the document."""
    whole = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    problems = [problem.message for problem in OAS31Validator(whole).iter_errors(value)]
    assert not problems, (problems, value)


@dataclass(frozen=True, slots=True)
class World:
    """An open gateway before a scripted upstream, and a strict one that asks for a key."""

    open: Gateway
    upstream: Upstream
    strict: Gateway

    def told(self, script: Script, **more: Any) -> Response:
        """What a caller is told when the upstream plays ``script``."""
        self.upstream.play(script)
        return post_chat(self.open.address, body_for(**more))

    def ask(self, path: str, headers: dict[str, str] | None = None) -> Response:
        """A GET, or a chat request, to the open gateway."""
        if path == CHAT:
            return post_chat(self.open.address, body_for(), headers)
        return fetch(self.open.address, "GET", path.replace("{model}", "m"), headers=headers)

    def ask_without_key(self, path: str) -> Response:
        if path == CHAT:
            return post_chat(self.strict.address, body_for(model="demo"))
        return fetch(self.strict.address, "GET", path.replace("{model}", "demo"))


@pytest.fixture(scope="module")
def _strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    server = {"body_timeout": "200ms", "max_body": "1KiB", "max_streams": 1}
    config = gateway_config(
        "http://127.0.0.1:1", server=server, auth={"list": [KEY]}, demo={"delay": "60s"}, default_model="demo"
    )
    running = Gateway(tmp_path_factory.mktemp("strict"), config)
    yield running
    running.stop()


@pytest.fixture
def world(gateway: Gateway, upstream: Upstream, _strict: Gateway) -> World:
    return World(gateway, upstream, _strict)


# The document by itself.


def test_document_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_server_hands_out_the_document(gateway: Gateway) -> None:
    assert gateway.get("/openapi.json") == DOCUMENT


def test_paths_are_those_of_the_url_table() -> None:
    assert {urls.canonical(path) for path in DOCUMENT["paths"]} == paths_of_urls()


def test_public_paths_are_marked() -> None:
    public = {urls.canonical(path) for path, _, operation in OPERATIONS if operation.get("security") == []}
    assert public == urls.PUBLIC


# Paths and methods.


@pytest.mark.parametrize(("path", "method"), [(path, method) for path, method, _ in OPERATIONS])
@pytest.mark.parametrize("prefix", ["", "/v1", "/"])
def test_documented_path_answers(
    gateway: Gateway, upstream: Upstream, path: str, method: str, prefix: str
) -> None:
    """With and without /v1, and with a doubled slash."""
    body = body_for() if method == "post" else None
    target = prefix + urls.canonical(path).replace("{model}", "m")
    assert fetch(gateway.address, method.upper(), target, body).status == 200


@pytest.mark.parametrize("path", DOCUMENT["paths"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_undocumented_method_is_refused(gateway: Gateway, path: str, method: str) -> None:
    """405, with the methods that there are."""
    if method.lower() in DOCUMENT["paths"][path]:
        return
    response = fetch(gateway.address, method, path.replace("{model}", "m"), headers={"Content-Length": "0"})
    assert response.status == 405
    allowed = {each.strip() for each in (response.head.get("allow") or "").split(",")}
    assert {each.upper() for each in DOCUMENT["paths"][path]} <= allowed
    check("Error", response.json)


# Statuses.

Scenario = Callable[[World], Response]


def refused_by_upstream(status: int, **more: Any) -> Scenario:
    return lambda world: world.told(error(status, "no"), **more)


def unread_body(world: World) -> Response:
    with RawConnection(world.strict.address) as connection:
        connection.send(request_bytes("POST", CHAT, b"", {"Content-Length": "5"}))
        return connection.read_response()


def large_body(world: World) -> Response:
    return fetch(world.strict.address, "POST", CHAT, b" " * 1025)


def large_head(world: World) -> Response:
    return post_chat(world.open.address, body_for(), {"X-Padding": "x" * 65536})


def full_house(world: World) -> Response:
    key = {"Authorization": f"Bearer {KEY}"}
    with start_chat(world.strict.address, body_for(model="demo"), key):
        eventually(lambda: world.strict.get("/readyz")["streams"] == 1, "one stream is open")
        return post_chat(world.strict.address, body_for(model="demo"), key)


def silent_upstream(world: World) -> Response:
    return world.told([Head(), Stall()], model="hasty")


def not_ready(_: World) -> Response:
    """Asked of an application that has its settings and has not been declared ready."""
    return asyncio.run(ask_unready_application())


def foreign(path: str) -> Scenario:
    return lambda world: world.ask(path, FOREIGN)


def without_key(path: str) -> Scenario:
    return lambda world: world.ask_without_key(path)


async def ask_unready_application() -> Response:
    application = Application(Config(), {}, asyncio.get_running_loop())
    application.service.apply(Config(), KeyRing(Config().auth))
    sent: list[Json] = []

    async def receive() -> Json:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": urls.READY,
        "headers": [(b"host", b"localhost")],
        "query_string": b"",
        "root_path": "",
    }
    await application.asgi(scope, receive, send)
    await application.close()
    start, *rest = sent
    fields = tuple((name.decode(), value.decode()) for name, value in start["headers"])
    return Response(
        ResponseHead("HTTP/1.1", start["status"], fields), b"".join(part.get("body", b"") for part in rest)
    )


SCENARIOS: dict[tuple[str, str], Scenario] = {
    (CHAT, "400"): lambda world: post_chat(world.open.address, {"messages": []}),
    (CHAT, "404"): lambda world: post_chat(world.open.address, body_for(model="nothing-like-it")),
    (CHAT, "408"): unread_body,
    (CHAT, "413"): large_body,
    (CHAT, "429"): refused_by_upstream(429),
    (CHAT, "431"): large_head,
    (CHAT, "500"): refused_by_upstream(500),
    (CHAT, "502"): refused_by_upstream(401),
    (CHAT, "503"): full_house,
    (CHAT, "504"): silent_upstream,
    (CHAT, "4XX"): refused_by_upstream(402),
    (CHAT, "5XX"): refused_by_upstream(507),
    (MODEL, "404"): lambda world: fetch(world.open.address, "GET", "/v1/models/nothing-like-it"),
    ("/readyz", "503"): not_ready,
    **{(path, "403"): foreign(path) for path in PATHS},
    **{(path, "401"): without_key(path) for path in (CHAT, "/v1/models", MODEL, "/metrics")},
}


def test_every_documented_status_is_shown_to_occur() -> None:
    documented = {(path, status) for path, _, operation in OPERATIONS for status in operation["responses"]}
    assert documented == SCENARIOS.keys() | {(path, "200") for path in PATHS}


@pytest.mark.parametrize(("path", "status"), SCENARIOS)
def test_documented_status_occurs(world: World, path: str, status: str) -> None:
    """With a body and headers as documented."""
    response = SCENARIOS[path, status](world)
    found = str(response.status)
    assert found[0] + "XX" == status if status.endswith("XX") else found == status, response.body[:300]
    operation = next(operation for each, _, operation in OPERATIONS if each == path)
    documented = operation["responses"][status]
    if "$ref" in documented:
        documented = DOCUMENT["components"]["responses"][documented["$ref"].rpartition("/")[2]]
    schema = documented["content"]["application/json"]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    assert not list(OAS31Validator(whole).iter_errors(response.json))
    missing = [name for name in documented.get("headers", {}) if response.head.get(name) is None]
    assert missing in ([], ["Retry-After"])  # which comes only when it is known


# Bodies.


def test_rate_limit_tells_when_to_try_again(world: World) -> None:
    response = world.told(error(429, "no", headers={"Retry-After": "7"}))
    assert response.head.get("retry-after") == "7"


@pytest.mark.parametrize("path", ["/v1/models", "/healthz", "/readyz", MODEL])
def test_json_answers_fit_their_schemas(gateway: Gateway, path: str) -> None:
    content = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    whole = {**content["schema"], "components": DOCUMENT["components"]}
    assert not list(OAS31Validator(whole).iter_errors(gateway.get(path.replace("{model}", "m"))))


RICH = [
    chunk("", role="assistant", system_fingerprint="fp"),
    chunk(reasoning="hm"),
    chunk("Hi", choice={"logprobs": {"content": []}}),
    chunk(tool_calls=[tool(0, "", call_id="c", name="f")]),
    chunk(tool_calls=[tool(0, "{}")]),
    chunk(finish="tool_calls", usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
]


@pytest.mark.parametrize("more", [{}, {"stream_options": {"include_usage": True}}])
def test_chunks_fit_their_schema(gateway: Gateway, upstream: Upstream, more: Json) -> None:
    upstream.play(stream(RICH))
    answer = stream_chat(gateway.address, **more).succeeded()
    for each in answer.chunks:
        check("ChatChunk", each)
    assert answer.response.head.get("tidegate-stream") == answer.chunks[0]["id"].removeprefix("chatcmpl-")


def test_failed_stream_fits_its_schema(gateway: Gateway, upstream: Upstream) -> None:
    gate = Gate()
    failure = Send(frame({"error": {"message": "no"}}))
    upstream.play([Head(), Send(frame(chunk("Hi"))), WaitFor(gate), failure, End()])
    with LiveAnswer(gateway.address, body_for()) as live:
        live.read_past("Hi")
        gate.open()
        answer = live.rest()
    answer.failed()
    check("ChatChunk", answer.chunks[-1])


def test_keep_alive_fits_its_schema(eager_gateway: Gateway, upstream: Upstream) -> None:
    upstream.play([Head(), Stall()])
    answer = stream_chat(eager_gateway.address, model="hasty")
    assert [each for each in answer.chunks if each["choices"][0]["delta"] == {}]
    for each in answer.chunks:
        check("ChatChunk", each)


def test_whole_answer_fits_its_schema(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(stream(RICH))
    response = post_chat(gateway.address, body_for(stream=False), {"X-Request-Id": "mine"})
    check("ChatCompletion", response.json)
    assert response.head.get("x-request-id") == "mine"


def test_documented_requests_are_taken(gateway: Gateway) -> None:
    """The examples of the document, which the demo answers."""
    content = DOCUMENT["paths"][CHAT]["post"]["requestBody"]["content"]["application/json"]
    for example in content["examples"].values():
        check("ChatRequest", example["value"])
        response = fetch(gateway.address, "POST", CHAT, {"model": "demo", **example["value"]})
        assert response.status == 200


def test_documented_stream_is_what_a_stream_looks_like(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(stream([chunk("This"), chunk(" is"), chunk(finish="stop")]))
    real = stream_chat(gateway.address).succeeded()
    example: str = DOCUMENT["paths"][CHAT]["post"]["responses"]["200"]["content"]["text/event-stream"][
        "example"
    ]
    ours = real.chunks[0]
    written = example.replace("33e882854d09472aa90707b2e488beb2", ours["id"].removeprefix("chatcmpl-"))
    written = written.replace("1795178148", str(ours["created"])).replace('"demo"', f'"{ours["model"]}"')
    assert written.encode() == real.response.body
