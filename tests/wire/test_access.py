"""Who is let in: keys in every form, and while none is asked for, hosts and origins of this machine only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chat import DONE, Json
from tests.chat_stream import body_for, post_chat
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.raw_http import Response, fetch
from tests.upstream import Upstream

CHAT = "/v1/chat/completions"


def error_of(response: Response, status: int) -> Json:
    assert response.status == status, response.body
    error: Json = response.json["error"]
    assert error.keys() >= {"message", "type", "param", "code"}
    return error


KEYS = ["sk-first-1234", "ABC1234-DEF5678-GHI9012-JKL3456"]


@pytest.fixture(scope="module")
def _locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = gateway_config("http://127.0.0.1:1", auth={"keys": "required", "list": KEYS})
    running = Gateway(tmp_path_factory.mktemp("locked"), config)
    yield running
    running.stop()


@pytest.fixture
def locked(_locked: Gateway) -> Gateway:
    """A gateway that asks for a key; its `demo` model answers without an upstream."""
    return _locked


def ask(gateway: Gateway, headers: dict[str, str]) -> Response:
    return post_chat(gateway.address, body_for(model="demo"), headers)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "form",
    [
        {"Authorization": "Bearer {}"},
        {"Authorization": "bearer {}"},
        {"Authorization": "{}"},
        {"x-api-key": "{}"},
        {"X-API-Key": "{}"},
        {"api-key": "{}"},
    ],
    ids=str,
)
def test_a_key_in_every_form(locked: Gateway, key: str, form: dict[str, str]) -> None:
    """As OpenAI's, Anthropic's, Azure's and hand-written clients send it."""
    headers = {name: value.format(key) for name, value in form.items()}
    assert ask(locked, headers).body.endswith(DONE)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer sk-wrong"},
        {"Authorization": f"Bearer {KEYS[0]}x"},
        {"Authorization": f"Bearer {KEYS[0][:-1]}"},
        {"Authorization": f"Basic {KEYS[0]}"},
        {"x-api-key": "sk-wrong"},
        {"api-key": "\xff\xfe"},
    ],
    ids=str,
)
def test_a_wrong_key_is_refused(locked: Gateway, headers: dict[str, str]) -> None:
    """401 in OpenAI's envelope, and the key is not repeated."""
    response = ask(locked, headers)
    error = error_of(response, 401)
    assert error["code"] == "invalid_api_key"
    assert b"sk-wrong" not in response.body
    assert KEYS[0].encode() not in response.body
    for path in ("/v1/models", "/v1/models/m"):
        error_of(fetch(locked.address, "GET", path, headers=headers), 401)


def test_health_needs_no_key(locked: Gateway) -> None:
    assert fetch(locked.address, "GET", "/healthz").status == 200
    assert fetch(locked.address, "GET", "/readyz").status == 200


def test_keys_are_checked_before_the_body(locked: Gateway) -> None:
    """Strangers cannot find out about models or limits."""
    error_of(post_chat(locked.address, body_for(model="no-such-model")), 401)
    error_of(fetch(locked.address, "POST", CHAT, b"{"), 401)


def test_keys_from_the_environment(start_gateway: StartGateway) -> None:
    """Comma-separated, spaces aside."""
    gateway = start_gateway(
        gateway_config("http://127.0.0.1:1"), environment={"TIDEGATE_API_KEYS": "sk-env-1, sk-env-2"}
    )
    assert ask(gateway, {"Authorization": "Bearer sk-env-2"}).status == 200
    assert ask(gateway, {}).status == 401


def test_credentials_are_in_no_log(locked: Gateway) -> None:
    """Neither callers' keys nor upstreams'."""
    ask(locked, {"Authorization": f"Bearer {KEYS[0]}"})
    ask(locked, {"Authorization": "Bearer sk-stranger-key"})
    text = locked.output()
    assert not any(secret in text for secret in (*KEYS, "sk-up", "sk-stranger-key"))


def test_any_key_will_do_while_open(gateway: Gateway, upstream: Upstream) -> None:
    """Clients insist on sending one."""
    for headers in ({}, {"Authorization": "Bearer EMPTY"}, {"x-api-key": "whatever"}):
        assert post_chat(gateway.address, body_for(), headers).status == 200


# Hosts and origins.


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1"]
)
def test_a_strange_host_is_refused_while_open(gateway: Gateway, upstream: Upstream, host: str) -> None:
    """A name that a web page points at this machine must not be served (DNS rebinding)."""
    for method, path, body in (("POST", CHAT, body_for()), ("GET", "/v1/models", None)):
        response = fetch(gateway.address, method, path, body, {"Host": host})
        assert response.status in {403, 421}
        assert response.json["error"]["message"]
    assert upstream.requests == []


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:1", "[::1]:7860", "LOCALHOST:7860", "app.localhost"]
)
def test_a_loopback_host_is_served(gateway: Gateway, upstream: Upstream, host: str) -> None:
    assert post_chat(gateway.address, body_for(), {"Host": host}).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
def test_a_strange_origin_is_refused_while_open(gateway: Gateway, upstream: Upstream, origin: str) -> None:
    """Else any web page could spend the user's money; a preflight gets no permission either."""
    response = post_chat(gateway.address, body_for(), {"Origin": origin})
    assert response.status == 403
    assert upstream.requests == []
    assert preflight(gateway, origin).head.get("access-control-allow-origin") is None


def preflight(gateway: Gateway, origin: str) -> Response:
    return fetch(
        gateway.address,
        "OPTIONS",
        CHAT,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type, x-api-key, anthropic-version",
        },
    )


ALLOWED = [
    "authorization",
    "content-type",
    "x-api-key",
    "api-key",
    "anthropic-version",
    "idempotency-key",
    "last-event-id",
    "tidegate-on-disconnect",
    "tidegate-event-ids",
]


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:5173"])
def test_a_preflight_from_this_machine(gateway: Gateway, upstream: Upstream, origin: str) -> None:
    """Browsers ask first; all headers that the gateway reads are allowed."""
    response = preflight(gateway, origin)
    assert response.status in {200, 204}
    assert response.head.get("access-control-allow-origin") in {origin, "*"}
    assert "POST" in (response.head.get("access-control-allow-methods") or "")
    allowed = (response.head.get("access-control-allow-headers") or "").lower()
    assert [name for name in ALLOWED if name not in allowed] == []


def test_answers_to_a_page_can_be_read(gateway: Gateway, upstream: Upstream) -> None:
    """With the stream's id exposed, on streams and on errors."""
    origin = {"Origin": "http://localhost:3000"}
    for response in (
        post_chat(gateway.address, body_for(), origin),
        post_chat(gateway.address, body_for(stream=False), origin),
        post_chat(gateway.address, body_for(model="none"), origin),
    ):
        assert response.head.get("access-control-allow-origin") in {"*", "http://localhost:3000"}
        exposed = (response.head.get("access-control-expose-headers") or "").lower()
        assert "tidegate-stream" in exposed
        assert "x-request-id" in exposed


def test_any_origin_with_keys(locked: Gateway) -> None:
    """A public gateway is for pages anywhere: they need a key."""
    response = preflight(locked, "https://app.example")
    assert response.status in {200, 204}
    assert response.head.get("access-control-allow-origin") in {"*", "https://app.example"}
    headers = {"Origin": "https://app.example", "Host": "api.example", "Authorization": f"Bearer {KEYS[0]}"}
    answer = ask(locked, headers)
    assert answer.status == 200
    assert answer.head.get("access-control-allow-origin") in {"*", "https://app.example"}
    refused = ask(locked, {"Origin": "https://app.example", "Host": "api.example"})
    assert refused.status == 401
    assert refused.head.get("access-control-allow-origin") in {"*", "https://app.example"}
