"""The list of models is one path with two shapes, and says of a model what is known."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
from anthropic import Anthropic, AuthenticationError
from anthropic import NotFoundError as AnthropicNotFound
from openai import NotFoundError, OpenAI

from tests.chat import Json, plain
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.loops import on_both_loops
from tests.raw_http import fetch
from tests.upstream import Upstream
from tidegate.agents import builtin
from tidegate.app.clock import SystemClock
from tidegate.app.wiring import Wiring
from tidegate.config import load_config
from tidegate.engines import Engine
from tidegate.net import Pool
from tidegate.sources.discovery import Found
from tidegate.sources.told import told_facts

VERSION = {"anthropic-version": "2023-06-01"}
AGENTS = sorted(each.name for each in iter_modules(builtin.__path__))
"""Each of those that come along has a module of its name."""
LISTED = ["m", "c", "again", "pair", "hasty", "restless", "demo", *AGENTS]


@pytest.fixture
def anthropic(gateway: Gateway) -> Iterator[Anthropic]:
    with Anthropic(base_url=gateway.url, api_key="sk-any", max_retries=0) as sdk:
        yield sdk


def test_official_sdks_read_their_own_shape(client: OpenAI, anthropic: Anthropic) -> None:
    assert [each.id for each in client.models.list()] == LISTED
    assert client.models.retrieve("pair").id == "pair"
    listed = list(anthropic.models.list())
    assert [each.id for each in listed] == LISTED
    assert {each.type for each in listed} == {"model"}
    one = anthropic.models.retrieve("demo")
    assert (one.id, one.display_name, one.lifecycle) == ("demo", "demo", "active")
    assert one.created_at == datetime(1970, 1, 1, tzinfo=UTC)
    assert one == listed[LISTED.index("demo")]


def test_pages_of_anthropic_hold_every_model_once(anthropic: Anthropic) -> None:
    assert [each.id for each in anthropic.models.list(limit=2)] == LISTED
    page = anthropic.models.list(limit=2, before_id="hasty")
    assert [each.id for each in page.data] == ["again", "pair"]
    assert page.has_more
    assert (page.first_id, page.last_id) == ("again", "pair")


def test_superset_holds_every_member(gateway: Gateway) -> None:
    told = gateway.get("/v1/models")
    assert (told["object"], told["success"]) == ("list", True)
    assert {each["id"] for each in told["data"] if each["type"] == "agent"} == set(AGENTS)
    assert told["data"][LISTED.index("demo")] == {
        "id": "demo",
        "object": "model",
        "created": 0,
        "owned_by": "tidegate",
        "root": "demo",
        "parent": None,
        "permission": [],
        "display_name": "demo",
        "type": "chat",
        "context_length": None,
        "max_output_tokens": None,
        "capabilities": {"supports_streaming": True},
    }


def test_errors_are_those_of_each_sdk(
    client: OpenAI, anthropic: Anthropic, start_gateway: StartGateway
) -> None:
    with pytest.raises(NotFoundError):
        client.models.retrieve("nothing-like-it")
    with pytest.raises(AnthropicNotFound) as raised:
        anthropic.models.retrieve("nothing-like-it")
    assert raised.value.body["type"] == "error"  # type: ignore[index]
    assert raised.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
    strict = start_gateway(gateway_config("http://127.0.0.1:1", auth={"list": ["sk-right"]}))
    with (
        Anthropic(base_url=strict.url, api_key="sk-wrong", max_retries=0) as wrong,
        pytest.raises(AuthenticationError) as refused,
    ):
        wrong.models.list()
    assert refused.value.body["error"]["type"] == "authentication_error"  # type: ignore[index]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "after_id=no", "before_id=no"])
def test_wrong_page_is_told(gateway: Gateway, query: str) -> None:
    response = fetch(gateway.address, "GET", f"/v1/models?{query}", headers=VERSION)
    assert (response.status, response.json["error"]["type"]) == (400, "invalid_request_error")


def test_other_paths_keep_openais_errors(gateway: Gateway) -> None:
    response = fetch(gateway.address, "GET", "/v1/files/no", headers=VERSION)
    assert response.json["error"]["code"] is None


OPENROUTER: Json = {
    "id": "a/b",
    "name": "B by A",
    "created": 1700000000,
    "context_length": 32768,
    "pricing": {"prompt": "0.00000015", "completion": "0.0000006", "image": "0"},
    "top_provider": {"max_completion_tokens": 4096},
}
MEGALLM: Json = {
    "id": "gpt-4o-mini",
    "type": "chat",
    "owned_by": "openai",
    "display_name": "GPT-4o mini",
    "capabilities": {"supports_vision": True, "supports_streaming": True, "other": 1},
    "pricing": {
        "input_tokens_cost_per_million": 0.15,
        "output_tokens_cost_per_million": 0.6,
        "currency": "USD",
    },
    "context_length": 128000,
    "max_output_tokens": 16384,
}
COST = MEGALLM["pricing"]


@pytest.mark.parametrize(
    ("told", "known"),
    [
        (OPENROUTER, {"display_name": "B by A", "pricing": COST, "max_output_tokens": 4096, "type": None}),
        (MEGALLM, {"display_name": "GPT-4o mini", "pricing": COST, "type": "chat", "context_length": 128000}),
        ({"id": "x", "max_model_len": 8192}, {"context_length": 8192, "pricing": None, "created": 0}),
        ({"id": "x", "max_input_tokens": 200000, "type": "model"}, {"context_length": 200000, "type": None}),
        ({"id": "x", "pricing": {"prompt": "-1", "completion": "-1"}}, {"pricing": None}),
        ({"id": "x", "created": "2024", "context_length": "many", "pricing": 3}, {"context_length": None}),
    ],
)
def test_what_providers_tell_is_kept(told: Json, known: Json) -> None:
    facts = told_facts(told, "up")
    assert {name: facts[name] for name in known} == known


@on_both_loops
async def test_a_configured_model_is_what_all_of_its_deployments_are(tmp_path: Path) -> None:
    file = tmp_path / "tidegate.yaml"
    file.write_text(
        "providers: {up: {base_url: 'http://127.0.0.1:1/v1', api_key: none}}\n"
        "models: {m: {use: [up/a, up/b, up/new]}, one: {use: up/a}, own: {use: up/a, context: 4096}}\n"
    )
    config = load_config(file, {})
    flags = {"supports_tools": True, "supports_vision": True}
    told = {
        "a": {"context_length": 32768, "type": "embedding", "capabilities": flags},
        "b": {"max_model_len": 8192, "type": "embedding", "capabilities": {"supports_tools": True}},
    }
    found = [Found(config.providers["up"], told)]
    clock = SystemClock(asyncio.get_running_loop())
    pool = Pool(clock.monotonic)
    wiring = Wiring(config, config.providers, {}, Engine, {}, pool, clock, {}, None)
    routes = {route.model: route.facts for route in wiring.routes(found)}
    pool.close()
    assert (routes["m"]["context_length"], routes["m"]["type"], routes["m"]["capabilities"]) == (
        8192,
        None,
        {},
    )
    assert (routes["one"]["context_length"], routes["one"]["type"]) == (32768, "embedding")
    assert routes["one"]["capabilities"] == flags
    assert routes["own"]["context_length"] == 4096
    assert {routes[name]["owned_by"] for name in ("m", "one", "own")} == {"tidegate"}


def test_listed_model_shows_what_its_provider_told(start_gateway: StartGateway) -> None:
    with Upstream() as provider:
        provider.models = ()
        listed: dict[str, Any] = {"object": "list", "data": [OPENROUTER]}
        answers = plain(listed)
        provider._script_for = lambda request: answers  # type: ignore[method-assign]
        up = {"base_url": f"{provider.url}/v1", "dialect": "openai-chat", "api_key": "k"}
        gateway = start_gateway({"providers": {"up": up}})
        told = gateway.get("/v1/models/a/b")
        assert told["pricing"] == COST
        assert told["created"] == 1700000000
        one = fetch(gateway.address, "GET", "/v1/models/a/b", headers=VERSION).json
        assert one["created_at"] == "2023-11-14T22:13:20Z"
        assert one["max_input_tokens"] == 32768
