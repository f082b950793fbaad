"""What the OpenAPI document says of Google's paths is what the server does."""

from __future__ import annotations

from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from tests.docs.test_openapi import DOCUMENT, FOREIGN, KEY
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.raw_http import Response, fetch
from tests.upstream import Upstream
from tidegate.server.openapi import google

NAMES = [(path, method) for path, methods in google.paths().items() for method in methods]
BODY = {"contents": [{"parts": [{"text": "Hi"}]}]}


def send(
    gateway: Gateway, path: str, method: str, model: str = "m", body: Any = BODY, headers: Any = None
) -> Response:
    where = path.replace("{model}", model)
    return fetch(gateway.address, method.upper(), where, body if method == "post" else None, headers)


def fits(path: str, method: str, status: str, response: Response) -> None:
    assert response.status == int(status), response.body
    schema = DOCUMENT["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    problems = [each.message for each in OAS31Validator(whole).iter_errors(response.json)]
    assert not problems, (problems, response.body)


@pytest.mark.parametrize(("path", "method"), NAMES)
@pytest.mark.parametrize("version", ["/v1beta", "/v1alpha", "//v1beta/"])
def test_documented_path_answers(
    gateway: Gateway, upstream: Upstream, path: str, method: str, version: str
) -> None:
    fits(path, method, "200", send(gateway, path.replace("/v1beta", version), method))  # what is served


@pytest.mark.parametrize(("path", "method"), NAMES)
def test_documented_refusals_occur(gateway: Gateway, path: str, method: str) -> None:
    for status in DOCUMENT["paths"][path][method]["responses"]:
        if status == "400":
            fits(path, method, status, send(gateway, path, method, body=b"{"))
        elif status == "403":
            fits(path, method, status, send(gateway, path, method, headers=FOREIGN))
        elif status == "404":
            fits(path, method, status, send(gateway, path, method, "nothing-like-it"))


def test_without_a_key_nothing_is_told(start_gateway: StartGateway, upstream: Upstream) -> None:
    strict = start_gateway(gateway_config(upstream.url, auth={"list": [KEY]}))
    for path, method in NAMES:
        fits(path, method, "401", send(strict, path, method))
        assert send(strict, f"{path}?key={KEY}", method).status == 200
