"""AnythingLLM's routes do what the OpenAPI document says of them, whatever they are sent.

Requests are drawn from the document by schemathesis, such as it allows and such as it forbids.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator
from requests import Session
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi import checks

from tests.gateway import Gateway
from tests.properties import examples, times
from tests.raw_http import Response, fetch
from tests.upstream import Upstream
from tests.workspaces.asking import Desk, answers, frames, with_embedder
from tidegate.access import KeyRing
from tidegate.app import Application
from tidegate.config import Config
from tidegate.server import urls
from tidegate.server.openapi import anythingllm, document

KEY: Final = "sk-routes"
DOCUMENT: Final = document()
PATHS: Final = anythingllm.paths()
OPERATIONS: Final = [(path, method) for path, methods in PATHS.items() for method in methods]
AS_OPENAI: Final = urls.CHAT_POSTS[-1]
"""The only path whose errors are OpenAI's."""
ABORT: Final = DOCUMENT["components"]["schemas"]["AnythingLLMAbort"]
FORM: Final = "multipart/form-data; boundary=x"
FILE: Final = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhi\r\n--x--\r\n'
SESSION: Final = "b1946ac9-2492-4d23-86b5-6ab1d0a4d6d1"

NO_OBJECTS: Final = [
    b"[]",
    b"1",
    b'"text"',
    b"null",
    b"NaN",
    b"{",
    b"\xff\xfe",
    b'{"a":' * 5000,
    b"[" * 100_000,
]
VALUES: Final = [
    *(b"[]", b"{}", b"[{}]", b"true", b"null", b'""', b"0", b"-1", b"0.5", b"NaN", b"-Infinity", b"1e400"),
    *(b"%d" % number for number in (2**31, 2**53 + 1, 2**63, 2**64, -(2**64), 10**400)),
    *(
        b'"\\u0000"',
        b'"\\ud800"',
        b'"\\udfff\\ud800x"',
        b'"../../etc/passwd"',
        b'"%2e%2e/x"',
        b'"' + b"x" * 70_000 + b'"',
    ),
    *(b'["\\ud800", null, 1]', b"[" * 60 + b"]" * 60),
]


class World:
    """A gateway with something of everything, which is made anew when it was deleted."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.session = Session()
        self.desk = Desk(gateway, "Routes", key=KEY)
        self.known = {
            "folder": "custom-documents",
            "session": SESSION,
            "file": "file-unknown",
            "name": self.desk.add(title="Routes"),
        }
        self._fill_workspace()
        for name in ("user", "invite"):
            self.fill(name)

    def fill(self, name: str) -> None:
        """Make anew what a parameter of a path names."""
        slug = self.desk.slug
        if name == "slug":
            self.desk = Desk(self.gateway, "Routes", key=KEY)
            self._fill_workspace()
        elif name == "thread":
            self.known[name] = self.desk.post(f"/workspace/{slug}/thread/new")["thread"]["slug"]
        elif name == "embed":
            made = self.desk.post("/embed/new", workspace_slug=slug)["embed"]["uuid"]
            self.known |= {"embed": made, "uuid": made}
        elif name == "user":
            made = self.desk.post("/admin/users/new", username=f"u{uuid4()}", password="correct horse")
            self.known[name] = str(made["user"]["id"])
        elif name == "invite":
            self.known[name] = str(self.desk.post("/admin/invite/new")["invite"]["id"])

    def _fill_workspace(self) -> None:
        (told,) = self.desk.get(f"/workspace/{self.desk.slug}")["workspace"]
        self.known |= {"slug": self.desk.slug, "workspace": str(told["id"])}
        for name in ("thread", "embed"):
            self.fill(name)

    def after(self, method: str, path: str) -> None:
        """Make anew what was deleted."""
        named = re.findall("{([a-z]+)}", path)
        if method == "delete" and named:
            self.fill(named[-1])

    def send(self, method: str, path: str, body: Any, headers: dict[str, str] | None = None) -> Response:
        target = path.format_map(self.known)
        told = {"Authorization": f"Bearer {KEY}"} if headers is None else headers
        response = fetch(self.gateway.address, method.upper(), target, body, told, timeout=30)
        self.after(method, path)
        return response


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, _shared_upstream: Upstream) -> Iterator[World]:
    _shared_upstream.reset()
    _shared_upstream.answer = answers
    settings = {"embedder": "embed", "multi_user": True}
    config = with_embedder(_shared_upstream.url, auth={"list": [KEY]}, workspaces=settings)
    gateway = Gateway(tmp_path_factory.mktemp("routes"), config)
    yield World(gateway)
    gateway.stop()
    _shared_upstream.reset()
    assert "Traceback" not in gateway.output()


def served() -> set[tuple[str, str]]:
    """What the router of a gateway knows below ``/api``, heads of answers apart."""

    async def main() -> set[tuple[str, str]]:
        application = Application(Config(), {}, asyncio.get_running_loop())
        application.service.apply(Config(), KeyRing(Config().auth))
        front: Any = application.asgi
        routes = [each for each in front._inner.routes if each.path.startswith("/api/")]
        await application.close()
        of = {each.path.replace(":path", ""): set[str]() for each in routes}
        for each in routes:
            of[each.path.replace(":path", "")] |= {"POST"} if "TRACE" in each.methods else each.methods
        return {(path, method.lower()) for path, methods in of.items() for method in methods - {"HEAD"}}

    return asyncio.run(main())


def test_the_document_has_every_route_and_no_other() -> None:
    assert set(OPERATIONS) == served()


def fits(path: str, method: str, response: Response) -> None:
    """The answer is one of those that the document has."""
    documented = PATHS[path][method]["responses"].get(str(response.status))
    assert documented is not None, (method, path, response.status, response.body[:500])
    if "$ref" in documented:
        documented = DOCUMENT["components"]["responses"][documented["$ref"].rpartition("/")[2]]
    kind = (response.head.get("content-type") or "").partition(";")[0]
    content = documented.get("content", {})
    assert kind in content or "*/*" in content or not response.body, (method, path, kind)
    if kind == "application/json" and kind in content:
        conforms(content[kind]["schema"], response.json)
    elif kind == "text/event-stream":
        stream_fits(response.body)


def conforms(schema: Any, value: Any) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    problems = [problem.message for problem in OAS31Validator(whole).iter_errors(value)]
    assert not problems, (problems, value)


def stream_fits(body: bytes) -> None:
    for frame in frames(body):
        conforms({"$ref": "#/components/schemas/WorkspaceFrame"}, frame)


WITH_BODIES: Final = [
    (path, method)
    for path, method in OPERATIONS
    if "application/json" in PATHS[path][method].get("requestBody", {}).get("content", {})
]


@pytest.mark.parametrize(("path", "method"), WITH_BODIES)
def test_a_body_that_is_no_object_is_refused(world: World, path: str, method: str) -> None:
    if "{uuid}" in path:  # a request of another test may have switched the embed off
        world.fill("embed")
    for body in NO_OBJECTS:
        response = world.send(method, path, body)
        assert response.status == 400, (body[:20], response)
        if path != AS_OPENAI:
            conforms(ABORT, response.json)


def members_of(schema: Any) -> list[str]:
    """The members that the schema of a body has."""
    if "$ref" in schema:
        return members_of(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    inside = [name for part in schema.get("allOf", []) for name in members_of(part)]
    return [*schema.get("properties", {}), *inside]


@pytest.mark.hypothesis  # the soak run takes it too
@pytest.mark.parametrize(("path", "method"), [each for each in WITH_BODIES if each[0] != AS_OPENAI])
def test_hostile_members_are_answered_as_documented(world: World, path: str, method: str) -> None:
    """All at once, and in the soak run one by one too."""
    names = members_of(PATHS[path][method]["requestBody"]["content"]["application/json"]["schema"])
    chosen = [names, *([name] for name in names if times())]
    for value in VALUES:
        for some in chosen:
            body = b"{" + b",".join(b'"%b":%b' % (name.encode(), value) for name in some) + b"}"
            response = world.send(method, path, body)
            told = PATHS[path][method]["responses"]
            if response.status >= 500 and str(response.status) not in told:
                raise AssertionError((body[:200], response))
            fits(path, method, response)


@pytest.mark.parametrize("path", PATHS)
def test_a_method_that_there_is_not_is_refused(world: World, path: str) -> None:
    response = world.send("patch", path, b"{}")
    assert response.status == 405
    allowed = {each.lower() for each in (response.head.get("allow") or "").split(", ")}
    assert allowed - {"head", "options"} == set(PATHS[path])
    conforms(ABORT, response.json)


def test_the_page_of_the_api_is_where_anythingllm_has_it(world: World) -> None:
    page = fetch(world.gateway.address, "GET", "/api/docs")
    assert page.status == 200
    assert page.body == fetch(world.gateway.address, "GET", "/docs").body
    assert b"/api/v1/workspace/{slug}/stream-chat" in page.body


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_without_a_key_nothing_is_told(world: World, path: str, method: str) -> None:
    if PATHS[path][method].get("security") == []:
        pytest.skip("needs none")
    response = world.send(method, path, b"{}" if method == "post" else None, {})
    if path == AS_OPENAI:
        assert response.status == 401
    else:
        assert (response.status, response.json) == (403, {"error": "No valid api key found."})
    fits(path, method, response)


CHECKS: Final = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@cache
def drawn(path: str, method: str, *, wrong: bool) -> st.SearchStrategy[Case[Any]]:
    """Requests for an operation, such as it forbids where it can have some."""
    operation = _schema()[path][method.upper()]
    wrong = wrong and bool(operation.query or operation.body)
    mode = GenerationMode.NEGATIVE if wrong else GenerationMode.POSITIVE
    cases: st.SearchStrategy[Case[Any]] = operation.as_strategy(mode)
    return cases


@cache
def _schema() -> Any:
    """The document without the schemas of streams, whose frames are looked at here."""
    told = json.loads(json.dumps({**DOCUMENT, "paths": PATHS}))
    for methods in told["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                if "text/event-stream" in answer.get("content", {}):
                    answer["content"]["text/event-stream"] = {}
    return schemathesis.openapi.from_dict(told)


@given(data=st.data())
@examples(60)
def test_what_is_drawn_is_answered_as_documented(world: World, data: st.DataObject) -> None:
    path, method = data.draw(st.sampled_from(OPERATIONS), label="operation")
    case = data.draw(drawn(path, method, wrong=data.draw(st.booleans(), label="wrong")), label="case")
    if data.draw(st.sampled_from([True, True, False]), label="known"):
        for name in case.path_parameters:
            case.path_parameters[name] = world.known[name]
    url, headers = world.gateway.url, {"Authorization": f"Bearer {KEY}"}
    response = case.call(base_url=url, session=world.session, headers=headers, timeout=30)
    world.after(method, path)
    documented = case.operation.responses.status_codes
    assert response.status_code < 500 or str(response.status_code) in documented
    case.validate_response(response, CHECKS)
    if response.headers.get("content-type", [""])[0].startswith("text/event-stream") and path != AS_OPENAI:
        stream_fits(response.content)
