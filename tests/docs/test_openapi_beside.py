"""What the OpenAPI document says of calls, kept responses and files is what the server does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from tests.chat import Json, error, plain, text_stream
from tests.docs.test_openapi import BESIDE, DOCUMENT, FOREIGN, KEY
from tests.gateway import Gateway, gateway_config
from tests.raw_http import Response, fetch
from tests.upstream import Request, Upstream
from tidegate.server import urls

OPERATIONS = [
    (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if BESIDE.intersection(operation["tags"]) - {"google"}
]
NAMES = [(path, method) for path, method, _ in OPERATIONS]
CALLS = {f"/v1{path}".replace(":path", "") for path in urls.CALLS}
FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhi\r\n--x--\r\n'
FORM_HEADERS = {"Content-Type": "multipart/form-data; boundary=x"}
BODY = {"model": "m", "input": "hi", "query": "q", "documents": ["d"], "prompt": "p"}

Ask = Callable[..., Response]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Any:
    config = gateway_config("http://127.0.0.1:1", server={"max_body": "1KiB"}, auth={"list": [KEY]})
    running = Gateway(tmp_path_factory.mktemp("strict"), config)
    yield running
    running.stop()


def upstream_answer(request: Request) -> Any:
    if request.path.endswith("/responses") or request.path.endswith("/completions"):
        return text_stream()
    if request.path.endswith("/rerank"):
        return plain({"results": [{"index": 0, "relevance_score": 0.5}]})
    return plain({"data": [{"embedding": [1.0]}]})


def target(gateway: Gateway, upstream: Upstream, path: str) -> str:
    """The path with what it names really there."""
    upstream.answer = upstream_answer
    if "{file_id}" in path:
        made = fetch(gateway.address, "POST", "/v1/files", FORM, FORM_HEADERS).json["id"]
        return path.replace("{file_id}", made)
    if "{response_id}" in path and not path.endswith("cancel"):
        made = fetch(gateway.address, "POST", "/v1/responses", {"input": "hi"}).json["id"]
        return path.replace("{response_id}", made)
    return path.replace("{model}", "m")


def send(gateway: Gateway, method: str, path: str, headers: Json | None = None, body: Any = None) -> Response:
    if method == "post" and path.endswith("/files"):
        return fetch(gateway.address, "POST", path, body or FORM, {**FORM_HEADERS, **(headers or {})})
    if method == "post" and body is None:
        body = BODY
    return fetch(gateway.address, method.upper(), path, body, headers)


def fits(path: str, method: str, status: str, response: Response) -> None:
    documented = DOCUMENT["paths"][path][method]["responses"][status]
    if "$ref" in documented:
        documented = DOCUMENT["components"]["responses"][documented["$ref"].rpartition("/")[2]]
    content = documented["content"].get("application/json")
    if content is None:
        return
    whole = {**content["schema"], "components": DOCUMENT["components"]}
    problems = [each.message for each in OAS31Validator(whole).iter_errors(response.json)]
    assert not problems, (problems, response.body)


@pytest.mark.parametrize(("path", "method"), NAMES)
@pytest.mark.parametrize("prefix", ["", "/v1", "/"])
def test_documented_path_answers(
    gateway: Gateway, upstream: Upstream, path: str, method: str, prefix: str
) -> None:
    if path.endswith(("/cancel", "/split")):
        pytest.skip("answered in the tests of what these do")
    where = prefix + urls.canonical(target(gateway, upstream, path))
    response = send(gateway, method, where)
    assert response.status == 200, response.body
    fits(path, method, "200", response)


@pytest.mark.parametrize(("path", "method"), NAMES)
def test_without_a_key_nothing_is_told(strict: Gateway, path: str, method: str) -> None:
    response = send(strict, method, path)
    assert response.status == 401
    fits(path, method, "401", response)


@pytest.mark.parametrize(("path", "method"), NAMES)
def test_from_elsewhere_nothing_is_told(gateway: Gateway, path: str, method: str) -> None:
    response = send(gateway, method, path, FOREIGN)
    assert response.status == 403
    fits(path, method, "403", response)


SCENARIOS: dict[str, Callable[[Gateway, Upstream, Gateway, str], Response]] = {
    "400": lambda gateway, _, __, path: send(gateway, "post", path, body=b"{"),
    "404": lambda gateway, _, __, path: send(
        gateway,
        "post",
        path.replace("{model}", "nothing-like-it"),
        body={**BODY, "model": "nothing-like-it"},
    ),
    "413": lambda _, __, strict, path: send(
        strict, "post", path, {"Authorization": f"Bearer {KEY}"}, json.dumps("x" * 2000).encode()
    ),
    "4XX": lambda gateway, upstream, _, path: told(gateway, upstream, path, 402),
    "5XX": lambda gateway, upstream, _, path: told(gateway, upstream, path, 507),
}


def told(gateway: Gateway, upstream: Upstream, path: str, status: int) -> Response:
    upstream.play(error(status, "no"))
    return send(gateway, "post", path.replace("{model}", "m"))


@pytest.mark.parametrize("path", sorted(CALLS))
@pytest.mark.parametrize("status", SCENARIOS)
def test_documented_status_of_a_call_occurs(
    gateway: Gateway, upstream: Upstream, strict: Gateway, path: str, status: str
) -> None:
    response = SCENARIOS[status](gateway, upstream, strict, path)
    found = str(response.status)
    assert found[0] == status[0] if status.endswith("XX") else found == status, response.body
    fits(path, "post", status, response)


@pytest.mark.parametrize(("path", "method"), [each for each in NAMES if each[0] not in CALLS])
def test_documented_refusals_occur(gateway: Gateway, upstream: Upstream, path: str, method: str) -> None:
    documented = set(DOCUMENT["paths"][path][method]["responses"]) - {"200", "206", "401", "403", "413"}
    found = set()
    if "404" in documented:
        missing = path.replace("{file_id}", "file-no").replace("{response_id}", "resp_no")
        body = {"file_id": "file-no"} if path.endswith("split") else None
        response = send(gateway, method, missing, body=body)
        found.add(str(response.status))
        fits(path, method, "404", response)
    if "400" in documented:
        made = target(gateway, upstream, path.replace("/cancel", "")) + "/cancel" * path.endswith("/cancel")
        wrong = "?limit=0&stream=true" if method == "get" else ""
        response = send(gateway, method, made + wrong, body=None if method == "get" else b"{")
        found.add(str(response.status))
        fits(path, method, "400", response)
    assert found == documented
