"""What has become of a stream, as JSON: while it runs, when it has ended, one by one and in a list."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chat import chunk, frame, stream
from tests.chat_stream import LiveAnswer, body_for
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.raw_http import fetch
from tests.resuming.asking import WAYS, stream_id
from tests.script import Gate, Head, Reset, Send, Stall, WaitFor
from tests.upstream import Upstream
from tidegate.server.streams.asked import prefers_json

CHAT = WAYS["chat"]
JSON = {"Accept": "application/json"}


def state(gateway: Gateway, name: str) -> dict[str, Any]:
    response = fetch(gateway.address, "GET", f"/v1/streams/{name}", headers=JSON)
    assert (response.status, response.head.get("content-type")) == (200, "application/json")
    found: dict[str, Any] = response.json
    return found


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/json", True),
        ("application/json, */*", True),
        ("application/json, text/event-stream", True),
        ("text/event-stream, application/json", False),
        ("text/event-stream;q=0.5, application/json", True),
        ("application/json;q=0.5, text/event-stream", False),
        ("application/json;q=0, text/plain", False),
        ("Application/JSON; charset=utf-8", True),
        ("*/*", False),
        ("", False),
        ("application/json;q=x", False),
        (",;,", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
    ],
)
def test_json_is_what_accept_names_first(accept: str, expected: bool) -> None:
    assert prefers_json(accept) is expected


def test_a_finished_stream_tells_its_text_and_what_it_took(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(CHAT.upstream)
    name = stream_id(CHAT.ask(gateway.address))
    found = state(gateway, name)
    assert (found["id"], found["status"], found["outcome"]) == (name, "completed", "completed")
    assert found["text"] == "One 世界 data: three"
    assert (found["model"], found["dialect"], found["stream"]) == ("m", "openai-chat", True)
    assert found["attempts"][0]["deployment"] == "up/mock"
    assert found["usage"]["output_tokens"] >= 0


def test_a_stream_under_way_tells_what_is_there_and_is_stopped_once(
    gateway: Gateway, upstream: Upstream
) -> None:
    upstream.play([Head(), Send(frame(chunk("Half"))), Stall()])
    with LiveAnswer(gateway.address, body_for()) as live:
        live.read_past("Half")
        name = live.head.get("tidegate-stream") or ""
        found = state(gateway, name)
        assert (found["status"], found["outcome"], found["text"]) == ("running", None, "Half")
        listed = fetch(gateway.address, "GET", "/v1/streams?status=running").json["data"]
        assert [each["id"] for each in listed] == [name]
        stopped = fetch(gateway.address, "DELETE", f"/v1/streams/{name}")
        assert (stopped.status, stopped.json["status"]) == (200, "cancelled")
        assert live.rest().failed()["type"] == "cancelled"
    upstream.request().connection.wait_closed()
    again = fetch(gateway.address, "DELETE", f"/v1/streams/{name}")
    assert (again.status, again.json) == (200, stopped.json)
    assert again.json["error"]["type"] == "cancelled"


def test_a_failed_stream_tells_why_and_is_read_to_its_error(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play([Head(), Send(frame(chunk("Half"))), Reset()])
    first = CHAT.ask(gateway.address)
    found = state(gateway, stream_id(first))
    assert (found["status"], found["error"]["type"]) == ("failed", "upstream_error")
    assert fetch(gateway.address, "GET", f"/v1/streams/{stream_id(first)}").body == first.body


def test_one_that_failed_before_it_showed_anything_is_read_as_its_error(
    gateway: Gateway, upstream: Upstream
) -> None:
    upstream.play([Reset()])
    first = fetch(gateway.address, "POST", CHAT.path, CHAT.body)
    assert first.status == 502
    response = fetch(gateway.address, "GET", f"/v1/streams/{stream_id(first)}")
    assert response.status == 200
    assert b'"finish_reason":"error"' in response.body
    whole = fetch(gateway.address, "GET", f"/v1/streams/{stream_id(first)}?stream=false")
    assert (whole.status, whole.body) == (502, first.body)


def test_streams_are_listed_newest_first_in_pages(start_gateway: StartGateway, upstream: Upstream) -> None:
    gateway = start_gateway(gateway_config(upstream.url))
    gate = Gate()
    upstream.play(*[CHAT.upstream] * 4, [Head(), Send(frame(chunk("Half"))), WaitFor(gate)])
    names = {stream_id(CHAT.ask(gateway.address)) for _ in range(4)}
    with LiveAnswer(gateway.address, body_for()) as live:
        live.read_past("Half")
        names.add(live.head.get("tidegate-stream") or "")
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = fetch(gateway.address, "GET", f"/v1/streams?limit=2{after}").json
            found += page["data"]
            assert page["last_id"] == page["data"][-1]["id"]
            if not page["has_more"]:
                break
            after = f"&after={page['last_id']}"
        assert [each["id"] for each in found] == [
            each["id"] for each in sorted(found, key=lambda each: (-each["created"], each["id"]))
        ]
        assert {each["id"] for each in found} == names
        assert len(found) == 5
        assert "text" not in found[0]
        completed = fetch(gateway.address, "GET", "/v1/streams?status=completed").json["data"]
        assert len(completed) == 4
        gate.open()


@pytest.mark.parametrize(
    ("query", "param"), [("limit=0", "limit"), ("limit=101", "limit"), ("status=x", "status")]
)
def test_wrong_parameters_of_the_list_are_named(gateway: Gateway, query: str, param: str) -> None:
    response = fetch(gateway.address, "GET", f"/v1/streams?{query}")
    assert (response.status, response.json["error"]["param"]) == (400, param)
    unknown = fetch(gateway.address, "GET", f"/v1/streams?after={'0' * 32}")
    assert unknown.status == 404


def test_an_answer_that_is_not_to_be_stored_is_gone_with_its_end(
    gateway: Gateway, upstream: Upstream
) -> None:
    upstream.play(stream([chunk("Hi"), chunk(finish="stop")]))
    first = CHAT.ask(gateway.address, store=False)
    assert fetch(gateway.address, "GET", f"/v1/streams/{stream_id(first)}").status == 404
