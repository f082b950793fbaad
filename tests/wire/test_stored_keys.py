"""Keys of the store against the running gateway: noticed, refused, limited to models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.chat import Json
from tests.chat_stream import body_for, post_chat
from tests.fixtures import StartGateway
from tests.gateway import Config, Gateway, eventually, gateway_config
from tests.raw_http import Response, fetch
from tests.upstream import Upstream
from tidegate.access.keys import digest_of
from tidegate.store.database import Database
from tidegate.store.keys import KeyRow, insert_key, revoke_key


def in_store(folder: Path, work: Callable[[Connection], Any]) -> None:
    """Works on the store of a data folder, as another process would."""

    async def main() -> None:
        database = Database(folder / "tidegate.db")
        await database.open()
        await database.run(work)
        await database.close()

    asyncio.run(main())


def make_key(folder: Path, name: str, **changes: Any) -> str:
    """Adds a key whose id and caller are made of its name, and returns it."""
    key = f"tg-{name}-0123456789"
    row = KeyRow(name, f"caller-{name}", name, digest_of(key), f"tg-{name}…", 1)
    in_store(folder, lambda connection: insert_key(connection, row._replace(**changes)))
    return key


AT_ONCE: Config = {"demo": {"delay": "0ms"}}


def ask(gateway: Gateway, key: str | None, model: str = "demo") -> Response:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return post_chat(gateway.address, body_for(model=model), headers)


def error_of(response: Response, status: int) -> Json:
    assert response.status == status, response.body
    error: Json = response.json["error"]
    return error


@pytest.fixture(scope="module")
def _keyed(tmp_path_factory: pytest.TempPathFactory, _shared_upstream: Upstream) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("keyed")
    make_key(folder, "first")
    running = Gateway(folder, gateway_config(_shared_upstream.url))
    yield running
    running.stop()


@pytest.fixture
def keyed(_keyed: Gateway, upstream: Upstream) -> Gateway:
    """A gateway whose store held a key when it was started."""
    return _keyed


def test_a_key_in_the_store_makes_keys_necessary(keyed: Gateway) -> None:
    assert ask(keyed, None).status == 401
    assert ask(keyed, "tg-unknown-0123456789").status == 401
    assert ask(keyed, "sk-unknown").status == 401
    assert ask(keyed, "tg-first-0123456789").status == 200
    assert "Keys" in keyed.output()
    assert "required" in keyed.output()


def test_a_new_key_is_good_at_once(keyed: Gateway) -> None:
    """On both ways in: generations and everything else."""
    assert ask(keyed, make_key(keyed.folder, "new")).status == 200
    key = make_key(keyed.folder, "newer")
    assert fetch(keyed.address, "GET", "/v1/models", headers={"x-api-key": key}).status == 200


def test_a_key_that_is_revoked_is_refused_within_a_second_or_so(keyed: Gateway) -> None:
    key = make_key(keyed.folder, "taken")
    assert ask(keyed, key).status == 200
    in_store(keyed.folder, lambda connection: revoke_key(connection, "taken", 1_800_000_000_000))
    revoked = time.monotonic()
    eventually(lambda: ask(keyed, key).status == 401, "the key is good for nothing")
    assert time.monotonic() - revoked < 3
    error = error_of(ask(keyed, key), 401)
    assert error["code"] == "key_revoked"
    assert error["message"].startswith("the API key tg-taken… was revoked at 2027-01-15 08:00:00 UTC")


def test_an_expired_key_is_told_from_an_unknown_one(keyed: Gateway) -> None:
    key = make_key(keyed.folder, "old", expires_ms=1_700_000_000_000)
    error = error_of(ask(keyed, key), 401)
    assert error["code"] == "key_expired"
    assert "tg-old… expired at 2023-11-14 22:13:20 UTC" in error["message"]
    assert error_of(ask(keyed, key + "x"), 401)["code"] == "invalid_api_key"


# Models.


@pytest.fixture
def narrow(keyed: Gateway, request: pytest.FixtureRequest) -> str:
    """A key for `m`, `c` and all that begins with `up/`."""
    name = f"narrow-{abs(hash(request.node.name))}"
    return make_key(keyed.folder, name, models=["m", "c", "up/*"])


@pytest.mark.parametrize("model", ["m", "c", "up/anything"])
def test_a_key_reaches_the_models_that_it_is_for(keyed: Gateway, narrow: str, model: str) -> None:
    assert "not for the model" not in ask(keyed, narrow, model).body.decode()


@pytest.mark.parametrize("model", ["demo", "pair", "claude/mock", "demo-high"])
def test_other_models_are_refused_by_name(keyed: Gateway, narrow: str, model: str) -> None:
    error = error_of(ask(keyed, narrow, model), 403)
    assert error["message"] == (
        f"this key is not for the model {model.removesuffix('-high')!r}; it is for 'm', 'c', 'up/*'"
    )
    assert (error["type"], error["code"], error["param"]) == (
        "permission_error",
        "model_not_allowed",
        "model",
    )


def test_a_fallback_model_is_a_model_too(keyed: Gateway, narrow: str) -> None:
    body = body_for(model="m", fallback_models=["demo"])
    response = post_chat(keyed.address, body, {"Authorization": f"Bearer {narrow}"})
    assert "'demo'" in error_of(response, 403)["message"]


def test_every_dialect_and_call_is_limited(keyed: Gateway, narrow: str) -> None:
    """403 in the envelope of each."""
    auth = {"x-api-key": narrow}
    message = [{"role": "user", "content": "hi"}]
    posts: dict[str, Json] = {
        "/v1/messages": {"model": "demo", "max_tokens": 9, "messages": message},
        "/v1/messages/count_tokens": {"model": "demo", "messages": message},
        "/v1/responses": {"model": "demo", "input": "hi"},
        "/v1/completions": {"model": "demo", "prompt": "hi"},
        "/v1/embeddings": {"model": "demo", "input": "hi"},
        "/v1beta/models/demo:generateContent": {"contents": [{"parts": [{"text": "hi"}]}]},
        "/v1beta/models/demo:countTokens": {"contents": [{"parts": [{"text": "hi"}]}]},
    }
    for path, body in posts.items():
        response = fetch(keyed.address, "POST", path, body, headers=auth)
        assert response.status == 403, (path, response.body)
        assert "it is for 'm', 'c', 'up/*'" in response.json["error"]["message"], path
        if path.startswith("/v1/messages"):
            assert response.json["type"] == "error"


@pytest.mark.parametrize(
    ("headers", "field"),
    [({}, "id"), ({"anthropic-version": "2023-06-01"}, "id"), ({"x-goog-api-client": "a"}, "name")],
)
def test_only_models_that_a_key_is_for_are_listed(
    keyed: Gateway, narrow: str, headers: dict[str, str], field: str
) -> None:
    auth = {"Authorization": f"Bearer {narrow}", **headers}
    listed = fetch(keyed.address, "GET", "/v1/models", headers=auth).json
    models = listed.get("data") or listed["models"]
    assert [each[field].removeprefix("models/") for each in models] == ["m", "c"]
    assert fetch(keyed.address, "GET", "/v1/models/m", headers=auth).status == 200
    assert fetch(keyed.address, "GET", "/v1/models/demo", headers=auth).status == 403


def test_a_default_model_that_a_key_is_not_for_is_refused_by_name(keyed: Gateway) -> None:
    key = make_key(keyed.folder, "odd", models=["demo"])
    body = body_for()
    body.pop("model", None)
    response = post_chat(keyed.address, body, {"Authorization": f"Bearer {key}"})
    assert "not for the model 'm'; it is for 'demo'" in error_of(response, 403)["message"]
    auth = {"Authorization": f"Bearer {key}"}
    assert fetch(keyed.address, "GET", "/v1/models", headers=auth).json["default_model"] is None


# Callers.


def test_keys_of_one_caller_share_what_is_kept(keyed: Gateway) -> None:
    """The caller, not the key, owns a file."""
    first = make_key(keyed.folder, "one", caller="team")
    second = make_key(keyed.folder, "two", caller="team")
    other = make_key(keyed.folder, "three")
    form = (
        b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello\r\n--b--\r\n'
    )
    kind = {"content-type": "multipart/form-data; boundary=b"}
    made = fetch(keyed.address, "POST", "/v1/files", form, headers={**kind, "x-api-key": first})
    assert made.status == 200, made.body
    path = f"/v1/files/{made.json['id']}"
    assert fetch(keyed.address, "GET", path, headers={"x-api-key": second}).status == 200
    assert fetch(keyed.address, "GET", path, headers={"x-api-key": other}).status == 404


# Open gateways.


def test_the_first_key_ends_open_access(start_gateway: StartGateway) -> None:
    gateway = start_gateway(AT_ONCE)
    assert ask(gateway, None).status == 200
    key = make_key(gateway.folder, "late")
    eventually(lambda: ask(gateway, None).status == 401, "keys are asked for")
    assert ask(gateway, key).status == 200
    assert "the store holds a key now" in gateway.output()


def test_a_public_address_is_served_with_keys_in_the_store_alone(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    """Without any it is refused: tests/cli/test_keys.py."""
    public = ("--port", "0", "--host", "0.0.0.0")
    key = make_key(tmp_path / "elsewhere", "public")
    store = f"sqlite:///{tmp_path}/elsewhere/tidegate.db"
    gateway = start_gateway({**AT_ONCE, "store": store}, arguments=public)
    assert ask(gateway, key).status == 200
    assert ask(gateway, None).status == 401


def test_a_store_that_fails_refuses_new_keys_alone(tmp_path: Path) -> None:
    """Whoever is known goes on; others are told that it is not their fault."""
    key = make_key(tmp_path, "known")
    gateway = Gateway(tmp_path, gateway_config("http://127.0.0.1:1"))
    try:
        assert ask(gateway, key).status == 200
        in_store(tmp_path, lambda connection: connection.exec_driver_sql("DROP TABLE counters"))
        in_store(tmp_path, lambda connection: connection.exec_driver_sql("DROP TABLE generations"))
        assert ask(gateway, key).status == 200
        for response in (
            ask(gateway, "tg-unknown"),
            fetch(gateway.address, "GET", "/v1/models", headers={"x-api-key": "tg-unknown"}),
        ):
            assert error_of(response, 503)["type"] == "store_error"
            assert response.head.get("retry-after") == "1"
        eventually(lambda: "entries are lost" in gateway.output(), "the loss is told")
    finally:
        gateway.stop()
