"""Places, streams and forms that there are not: a clear error each, and never a silent gap."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures import StartGateway
from tests.gateway import Gateway, eventually, gateway_config
from tests.raw_http import Response, fetch
from tests.resuming.asking import WAYS, Asking, stream_id
from tests.upstream import Upstream

CHAT = WAYS["chat"]
KEYS = ("sk-one", "sk-two")


@pytest.fixture
def name(gateway: Gateway, upstream: Upstream) -> str:
    upstream.play(CHAT.upstream)
    return stream_id(CHAT.ask(gateway.address))


def error(response: Response, status: int) -> dict[str, Any]:
    assert response.status == status, response.body
    found: dict[str, Any] = response.json["error"]
    return found


@pytest.mark.parametrize("parameter", ["after", "Last-Event-ID"])
@pytest.mark.parametrize(
    "place", ["-1", "x", "1.5", "", "17-", "17-0", "0-1", "-", "1-2-3", "1e3", "１", "+1", "0x1"]
)
def test_a_place_that_is_none_is_refused(gateway: Gateway, name: str, parameter: str, place: str) -> None:
    with Asking(gateway.address, name) as asking:
        if parameter == "after":
            quoted = place.replace("+", "%2B").replace("１", "%EF%BC%91")
            found = error(asking.get(f"?after={quoted}"), 400)
        elif not place or not place.isascii():
            return  # an empty header says nothing
        else:
            found = error(asking.get("", {parameter: place}), 400)
    assert found["param"] == parameter
    assert "17-2" in found["message"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("after=99", "the last event"),
        ("after=12345678901234567890", "the last event"),
        (f"after={'9' * 5000}", "the last event"),
        ("after=4-7", "event 4 has 1 frames"),
        ("after=99-1", "the last event"),
        ("skip=99", "frames in this rendering"),
        (f"skip={'9' * 5000}", "frames in this rendering"),
    ],
)
def test_a_place_beyond_the_end_is_told_where_the_end_is(
    gateway: Gateway, name: str, query: str, says: str
) -> None:
    with Asking(gateway.address, name) as asking:
        found = error(asking.get(f"?{query}"), 400)
    assert says in found["message"]
    assert (found["param"], found["code"]) == (query.partition("=")[0], "beyond_the_end")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("skip=-1", "skip"),
        ("skip=x", "skip"),
        ("skip=", "skip"),
        ("skip=%D9%A3", "skip"),
        ("after=1&skip=1", "skip"),
        ("dialect=openai", "dialect"),
        ("stream=1", "stream"),
        ("stream=false&after=1", "after"),
        ("event_ids=yes", "event_ids"),
    ],
)
def test_parameters_that_make_no_sense_are_named(gateway: Gateway, name: str, query: str, param: str) -> None:
    with Asking(gateway.address, name) as asking:
        assert error(asking.get(f"?{query}"), 400)["param"] == param


def test_event_ids_are_one_or_none(gateway: Gateway, upstream: Upstream, name: str) -> None:
    with Asking(gateway.address, name) as asking:
        assert "Tidegate-Event-Ids" in error(asking.get("", {"Tidegate-Event-Ids": "yes"}), 400)["message"]
        assert b"id: 1\n" not in asking.get("", {"Tidegate-Event-Ids": "0"}).body
        assert asking.get("?event_ids=1").body.startswith(b"id: 1\n")
    refused = fetch(gateway.address, "POST", CHAT.path, CHAT.body, {"Tidegate-Event-Ids": "2"})
    error(refused, 400)
    assert upstream.requests[1:] == []


@pytest.mark.parametrize("unknown", ["0" * 32, "x", "%2F..%2F", "a" * 500, "%00", "%F0%9F%98%80"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_stream_is_not_found(gateway: Gateway, unknown: str, method: str) -> None:
    response = fetch(gateway.address, method, f"/v1/streams/{unknown}")
    assert error(response, 404)["type"] == "not_found_error"


@pytest.fixture
def keyed(start_gateway: StartGateway, upstream: Upstream) -> Gateway:
    config = gateway_config(upstream.url, auth={"list": list(KEYS)}, streams={"retain": "1s"})
    return start_gateway(config)


def test_another_keys_stream_is_forbidden_and_an_expired_one_gone(keyed: Gateway, upstream: Upstream) -> None:
    mine, other = ({"Authorization": f"Bearer {key}"} for key in KEYS)
    upstream.play(CHAT.upstream)
    first = CHAT.ask(keyed.address, mine)
    path = f"/v1/streams/{stream_id(first)}"
    for method in ("GET", "DELETE"):
        found = error(fetch(keyed.address, method, path, headers=other), 403)
        assert found["code"] == "not_your_stream"
    assert error(fetch(keyed.address, "GET", path), 401)["code"] == "invalid_api_key"
    assert fetch(keyed.address, "GET", path, headers=mine).body == first.body
    listed = fetch(keyed.address, "GET", "/v1/streams", headers=other)
    assert listed.json["data"] == []
    eventually(
        lambda: fetch(keyed.address, "GET", path, headers=mine).status == 410, "it does not expire", 10
    )
    assert error(fetch(keyed.address, "GET", path, headers=mine), 410)["code"] == "stream_expired"
    assert error(fetch(keyed.address, "DELETE", path, headers=mine), 410)["code"] == "stream_expired"


def test_only_get_and_delete_are_taken(gateway: Gateway, name: str) -> None:
    response = fetch(gateway.address, "POST", f"/v1/streams/{name}", {})
    assert "DELETE" in (response.head.get("allow") or "")
    error(response, 405)
    assert fetch(gateway.address, "HEAD", f"/v1/streams/{name}").status == 200
