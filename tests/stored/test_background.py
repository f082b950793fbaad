"""Responses in the background: answered at once, asked for later, stopped, and there after a restart."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.chat import chunk, error, frame, text_stream
from tests.fixtures import OpenClient
from tests.gateway import Gateway, eventually, gateway_config
from tests.raw_http import fetch
from tests.script import End, Gate, Head, Script, Send, Stall, WaitFor
from tests.upstream import Upstream

REST: Script = [Send(frame(chunk(" world", finish="stop"))), Send(frame("[DONE]")), End()]


def held(gate: Gate) -> Script:
    return [Head(), Send(frame(chunk("Hello"))), WaitFor(gate), *REST]


def status(client: OpenAI, name: str) -> str | None:
    return client.responses.retrieve(name).status


def contents(upstream: Upstream) -> list[str]:
    """What the second request tells the upstream."""
    return [each["content"] for each in upstream.requests[1].json["messages"]]


def test_a_response_in_the_background_is_asked_for_later(client: OpenAI, upstream: Upstream) -> None:
    gate = Gate()
    upstream.play(held(gate))
    made = client.responses.create(model="m", input="hi", background=True)
    assert made.status in ("queued", "in_progress")
    assert (made.background, made.output) == (True, [])
    eventually(lambda: status(client, made.id) == "in_progress", "it is under way")
    gate.open()
    eventually(lambda: status(client, made.id) == "completed", "it is complete")
    response = client.responses.retrieve(made.id)
    assert response.output_text == "Hello world"
    assert response.usage is not None
    asked = upstream.request().json
    assert "background" not in asked


def test_it_is_cancelled_from_anywhere(client: OpenAI, upstream: Upstream) -> None:
    upstream.play([Head(), Send(frame(chunk("Hello"))), Stall()])
    made = client.responses.create(model="m", input="hi", background=True)
    upstream.request()
    eventually(lambda: status(client, made.id) == "in_progress", "it is under way")
    stopped = client.responses.cancel(made.id)
    assert (stopped.id, stopped.status, stopped.error) == (made.id, "cancelled", None)
    upstream.request().connection.wait_closed(2)
    assert status(client, made.id) == "cancelled"
    assert client.responses.cancel(made.id).status == "cancelled"  # it may be asked for again


@pytest.mark.parametrize("streamed", [True, False])
def test_a_failure_is_kept_as_one(client: OpenAI, upstream: Upstream, streamed: bool) -> None:
    """Also one that comes before anything could be shown: nobody waited for its status."""
    upstream.play(error(400, "no such thing") if not streamed else [Head(), Send(frame(chunk("Hel"))), End()])
    made = client.responses.create(model="m", input="hi", background=True)
    eventually(lambda: status(client, made.id) == "failed", "it has failed")
    failed = client.responses.retrieve(made.id)
    assert failed.error is not None
    assert failed.output_text == ("Hel" if streamed else "")


def test_a_deleted_response_is_gone(client: OpenAI, upstream: Upstream) -> None:
    upstream.play([Head(), Send(frame(chunk("Hello"))), Stall()])
    made = client.responses.create(model="m", input="hi", background=True)
    upstream.request()
    client.responses.delete(made.id)
    upstream.request().connection.wait_closed(2)
    for ask in (client.responses.retrieve, client.responses.cancel, client.responses.delete):
        with pytest.raises(NotFoundError):
            ask(made.id)


def test_what_is_not_kept_cannot_be_in_the_background(client: OpenAI, upstream: Upstream) -> None:
    with pytest.raises(BadRequestError) as raised:
        client.responses.create(model="m", input="hi", background=True, store=False)
    assert raised.value.param == "store"
    assert not upstream.requests


def test_it_is_gone_on_from(client: OpenAI, upstream: Upstream) -> None:
    upstream.play(text_stream(), text_stream())
    made = client.responses.create(model="m", input="one", background=True)
    eventually(lambda: status(client, made.id) == "completed", "it is complete")
    client.responses.create(model="m", input="two", previous_response_id=made.id)
    assert [each["content"] for each in upstream.requests[1].json["messages"]] == [
        "one",
        "Hello world",
        "two",
    ]


def test_a_repeated_request_is_answered_by_the_first(client: OpenAI, upstream: Upstream) -> None:
    gate = Gate()
    upstream.play(held(gate))

    def ask() -> Any:
        headers = {"Idempotency-Key": "once-in-background"}
        return client.responses.create(model="m", input="hi", background=True, extra_headers=headers)

    first, second = ask(), ask()
    assert first.id == second.id
    gate.open()
    eventually(lambda: status(client, first.id) == "completed", "it is complete")
    assert ask().output_text == "Hello world"
    assert len(upstream.requests) == 1


def test_a_stream_in_the_background_goes_on_without_its_client(client: OpenAI, upstream: Upstream) -> None:
    gate = Gate()
    upstream.play(held(gate))
    events = client.responses.create(model="m", input="hi", background=True, stream=True)
    name = next(iter(events)).response.id  # type: ignore[union-attr]
    events.close()
    gate.open()
    eventually(lambda: status(client, name) == "completed", "it is complete")
    assert client.responses.retrieve(name).output_text == "Hello world"


# Whole answers that are stopped while their client waits.


def test_a_client_that_waits_gets_the_response_that_was_stopped(
    gateway: Gateway, client: OpenAI, upstream: Upstream
) -> None:
    upstream.play([Head(), Send(frame(chunk("Hello"))), Stall()])
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fetch, gateway.address, "POST", "/v1/responses", {"model": "m", "input": "hi"})
        upstream.request()
        name = under_way(gateway)
        eventually(lambda: status(client, name) == "in_progress", "it is under way")
        assert client.responses.cancel(name).status == "cancelled"
        stopped = waiting.result(10)
    assert (stopped.status, stopped.json["status"]) == (200, "cancelled")
    assert stopped.json["id"] == name
    assert stopped.json["output"][0]["content"][0]["text"] == "Hello"


def under_way(gateway: Gateway) -> str:
    """The name of the one response that is under way."""
    [stream] = gateway.get("/v1/streams?status=running")["data"]
    return f"resp_{stream['id']}"


# Restarts.


@pytest.fixture
def restarted(tmp_path: Path, upstream: Upstream) -> Iterator[Any]:
    """Starts gateways, one after another, over one data folder."""
    running: list[Gateway] = []

    def start(end: signal.Signals | None = None) -> Gateway:
        if running:
            running[-1].signal(end or signal.SIGTERM)
            running[-1].process.wait(10)
            (tmp_path / "server.json").unlink(missing_ok=True)
        running.append(Gateway(tmp_path, gateway_config(upstream.url)))
        return running[-1]

    yield start
    running[-1].stop()


def test_kept_responses_survive_a_restart(
    restarted: Any, open_client: OpenClient, upstream: Upstream
) -> None:
    upstream.play(text_stream(), text_stream())
    client = open_client(restarted())
    made = client.responses.create(model="m", input="one")
    client = open_client(restarted())
    again = client.responses.retrieve(made.id)
    assert again.to_dict() == made.to_dict()
    client.responses.create(model="m", input="two", previous_response_id=made.id)
    assert [each["content"] for each in upstream.requests[1].json["messages"]] == [
        "one",
        "Hello world",
        "two",
    ]


def test_a_killed_gateway_still_knows_its_responses(
    restarted: Any, open_client: OpenClient, upstream: Upstream
) -> None:
    """What had been shown is told, and the end is an honest one: nobody goes on with it here."""
    upstream.play([Head(), Send(frame(chunk("Hello"))), Stall()])
    client = open_client(restarted())
    made = client.responses.create(model="m", input="hi", background=True)
    upstream.request()
    eventually(lambda: status(client, made.id) == "in_progress", "it is under way")
    upstream.answer = lambda request: error(500, "down")
    client = open_client(restarted(signal.SIGKILL))
    eventually(lambda: status(client, made.id) == "failed", "it has an end")
    assert client.responses.retrieve(made.id).output_text == "Hello"


# References to items.


@pytest.mark.parametrize("answered", [True, False])
def test_items_that_are_referred_to_are_told(client: OpenAI, upstream: Upstream, answered: bool) -> None:
    upstream.play(text_stream(), text_stream())
    made = client.responses.create(model="m", input=[{"role": "user", "content": "one"}])
    listed = client.responses.input_items.list(made.id).data
    name = made.output[0].id if answered else listed[0].id
    sent: Any = [{"type": "item_reference", "id": name}, {"role": "user", "content": "two"}]
    client.responses.create(model="m", input=sent)
    assert contents(upstream) == ["Hello world" if answered else "one", "two"]


def test_an_unknown_item_is_named(gateway: Gateway, upstream: Upstream) -> None:
    """An upstream of the same dialect may know it; for another it has no form."""
    upstream.play(text_stream())
    sent = [{"type": "item_reference", "id": "msg_no"}, {"role": "user", "content": "two"}]
    response = fetch(gateway.address, "POST", "/v1/responses", {"model": "m", "input": sent})
    assert (response.status, response.head.get("tidegate-dropped")) == (200, "input")
