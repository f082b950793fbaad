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
from tidegate.server.openapi import anythingllm, beside, document, google

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
COUNT = "/v1/messages/count_tokens"
LEGACY = "/v1/completions"
RESPONSES = "/v1/responses"
MODEL = "/v1/models/{model}"
KEY = "sk-right"
BODIES: dict[str, Json] = {
    CHAT: body_for(),
    MESSAGES: body_for(max_tokens=5),
    COUNT: body_for(),
    LEGACY: {"model": "m", "prompt": "Say hello.", "stream": True},
    RESPONSES: {"model": "m", "input": "Hello", "stream": True},
}
FOREIGN = {"Host": "gateway.example"}
DOCUMENT = document()
BESIDE = {tag["name"] for tag in (*beside.TAGS, google.TAG)}
"""What test_openapi_beside.py and test_openapi_google.py look at; test_openapi_streams.py does at streams."""
WORKSPACES = {tag["name"] for tag in anythingllm.TAGS}
"""What tests/workspaces/test_routes_by_schema.py looks at."""
OPERATIONS = [
    (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if not {*BESIDE, *WORKSPACES, "streams"}.intersection(operation["tags"])
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


def post(gateway: Gateway, path: str, headers: dict[str, str] | None = None, **more: Any) -> Response:
    return fetch(gateway.address, "POST", path, {**BODIES[path], **more}, headers)


@dataclass(frozen=True, slots=True)
class World:
    """An open gateway before a scripted upstream, and a strict one that asks for a key."""

    open: Gateway
    upstream: Upstream
    strict: Gateway

    def told(self, script: Script, path: str = CHAT, **more: Any) -> Response:
        """What a caller is told when the upstream plays ``script``."""
        self.upstream.play(script)
        return post(self.open, path, **more)

    def ask(self, path: str, headers: dict[str, str] | None = None) -> Response:
        """A GET, or a chat request, to the open gateway."""
        if path in BODIES:
            return post(self.open, path, headers)
        return fetch(self.open.address, "GET", path.replace("{model}", "m"), headers=headers)

    def ask_without_key(self, path: str) -> Response:
        if path in BODIES:
            return post(self.strict, path, model="demo")
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
    documented = DOCUMENT["paths"].keys() - google.paths().keys() - anythingllm.paths().keys()
    assert {urls.canonical(path) for path in documented} == paths_of_urls()


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
    body = BODIES[path] if method == "post" else None
    target = prefix + urls.canonical(path).replace("{model}", "m")
    assert fetch(gateway.address, method.upper(), target, body).status == 200


@pytest.mark.parametrize("path", sorted(DOCUMENT["paths"].keys() - anythingllm.paths().keys()))
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_undocumented_method_is_refused(gateway: Gateway, path: str, method: str) -> None:
    """405, with the methods that there are."""
    if method.lower() in DOCUMENT["paths"][path]:
        return
    response = fetch(gateway.address, method, path.replace("{model}", "m"), headers={"Content-Length": "0"})
    assert response.status == 405
    allowed = {each.strip() for each in (response.head.get("allow") or "").split(",")}
    assert {each.upper() for each in DOCUMENT["paths"][path]} <= allowed
    of_google = "GoogleError" if path in google.paths() else "Error"
    check("AnthropicError" if path in (MESSAGES, COUNT) else of_google, response.json)


# Statuses.

Scenario = Callable[[World], Response]


def refused_by_upstream(status: int, path: str, **more: Any) -> Scenario:
    return lambda world: world.told(error(status, "no"), path, **more)


def unread_body(path: str) -> Scenario:
    def scenario(world: World) -> Response:
        with RawConnection(world.strict.address) as connection:
            connection.send(request_bytes("POST", path, b"", {"Content-Length": "5"}))
            return connection.read_response()

    return scenario


def large_body(path: str) -> Scenario:
    return lambda world: fetch(world.strict.address, "POST", path, b" " * 1025)


def full_house(path: str) -> Scenario:
    def scenario(world: World) -> Response:
        key = {"Authorization": f"Bearer {KEY}"}
        with start_chat(world.strict.address, body_for(model="demo"), key):
            eventually(lambda: world.strict.get("/readyz")["streams"] == 1, "one stream is open")
            return post(world.strict, path, key, model="demo")

    return scenario


def generation(path: str) -> dict[tuple[str, str], Scenario]:
    """What every path of a generation answers."""
    return {
        (path, "400"): lambda world: fetch(world.open.address, "POST", path, {"messages": []}),
        (path, "404"): lambda world: post(world.open, path, model="nothing-like-it"),
        (path, "408"): unread_body(path),
        (path, "413"): large_body(path),
        (path, "429"): refused_by_upstream(429, path),
        (path, "431"): lambda world: post(world.open, path, {"X-Padding": "x" * 65536}),
        (path, "500"): refused_by_upstream(500, path),
        (path, "502"): refused_by_upstream(401, path),
        (path, "503"): full_house(path),
        (path, "504"): lambda world: world.told([Head(), Stall()], path, model="hasty"),
        (path, "4XX"): refused_by_upstream(402, path),
        (path, "5XX"): refused_by_upstream(507, path),
    }


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
    **generation(CHAT),
    **generation(MESSAGES),
    (RESPONSES, "400"): lambda world: post(world.open, RESPONSES, input=[]),
    (RESPONSES, "404"): lambda world: post(world.open, RESPONSES, model="nothing-like-it"),
    (RESPONSES, "4XX"): refused_by_upstream(402, RESPONSES),
    (RESPONSES, "5XX"): refused_by_upstream(507, RESPONSES),
    (LEGACY, "400"): lambda world: fetch(
        world.open.address, "POST", LEGACY, {**BODIES[LEGACY], "prompt": []}
    ),
    (LEGACY, "404"): lambda world: post(world.open, LEGACY, model="nothing-like-it"),
    (LEGACY, "4XX"): refused_by_upstream(429, LEGACY),
    (LEGACY, "5XX"): refused_by_upstream(500, LEGACY),
    (COUNT, "400"): lambda world: fetch(world.open.address, "POST", COUNT, {"messages": []}),
    (COUNT, "404"): lambda world: post(world.open, COUNT, model="nothing-like-it"),
    (COUNT, "502"): refused_by_upstream(401, COUNT, model="c"),
    (MODEL, "404"): lambda world: fetch(world.open.address, "GET", "/v1/models/nothing-like-it"),
    ("/readyz", "503"): not_ready,
    **{(path, "403"): foreign(path) for path in PATHS},
    **{(path, "401"): without_key(path) for path in (*BODIES, "/v1/models", MODEL, "/metrics")},
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
    assert set(missing) <= {"Retry-After", "Tidegate-Dropped"}  # which come only when there is something


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


@pytest.mark.parametrize("path", [CHAT, MESSAGES, COUNT])
def test_documented_requests_are_taken(gateway: Gateway, path: str) -> None:
    """The examples of the document, which the demo answers."""
    content = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    for example in content["examples"].values():
        check(content["schema"]["$ref"].rpartition("/")[2], example["value"])
        response = fetch(gateway.address, "POST", path, {"model": "demo", **example["value"]})
        assert response.status == 200


def test_a_message_and_a_count_fit_their_schemas(gateway: Gateway, upstream: Upstream) -> None:
    check("MessagesAnswer", post(gateway, MESSAGES, stream=False).json)
    counted = post(gateway, COUNT, stream=False)
    assert counted.head.get("tidegate-estimated") == "input_tokens"
    schema = DOCUMENT["paths"][COUNT]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert not list(OAS31Validator(schema).iter_errors(counted.json))


def test_documented_requests_for_responses_are_taken(gateway: Gateway) -> None:
    content = DOCUMENT["paths"][RESPONSES]["post"]["requestBody"]["content"]["application/json"]
    for example in content["examples"].values():
        check("ResponsesRequest", example["value"])
        response = fetch(gateway.address, "POST", RESPONSES, {"model": "demo", **example["value"]})
        assert response.status == 200
        if not example["value"].get("stream"):
            check("Response", response.json)


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
