"""Responses are kept for whoever asked for them, and can be asked for, continued, cancelled and deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.chat import chunk, frame, stream, text_stream, tool
from tests.fixtures import OpenClient, StartGateway
from tests.gateway import Gateway, eventually, gateway_config
from tests.matrix.upstreams import SHAPES, script
from tests.raw_http import fetch
from tests.script import End, Gate, Head, Script, Send, Stall, WaitFor
from tests.upstream import Upstream
from tidegate.dialects import load_dialect
from tidegate.errors import ConfigError

TEXT_INPUT = [{"type": "input_text", "text": "hi"}]
KEYS = ("sk-first", "sk-second")


def known(name: str) -> bool:
    try:
        load_dialect(name)
    except ConfigError:
        return False
    return True


def strings(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(inner)


DIALECTS = [name for name in SHAPES if known(name)]


@pytest.fixture
def detaching(start_gateway: StartGateway, upstream: Upstream) -> Gateway:
    """A gateway with two keys, whose generations go on when their client leaves."""
    models = {"m": {"use": ["up/mock"], "on_disconnect": "drain", "retry": {"attempts": 1}}}
    return start_gateway(gateway_config(upstream.url, models=models, auth={"list": list(KEYS)}))


@pytest.fixture
def two(detaching: Gateway) -> Iterator[tuple[OpenAI, OpenAI]]:
    first, second = (
        OpenAI(base_url=detaching.base_url, api_key=key, max_retries=0, timeout=20) for key in KEYS
    )
    yield first, second
    first.close()
    second.close()


def is_gone(client: OpenAI, response: str) -> None:
    with pytest.raises(NotFoundError):
        client.responses.retrieve(response)


# Kept.


@pytest.mark.parametrize("streamed", [False, True])
def test_response_can_be_asked_for_again(client: OpenAI, upstream: Upstream, streamed: bool) -> None:
    upstream.play(text_stream())
    if streamed:
        with client.responses.stream(model="m", input="hi") as events:
            name, text = (final := events.get_final_response()).id, final.output_text
    else:
        name, text = (made := client.responses.create(model="m", input="hi")).id, made.output_text
    again = client.responses.retrieve(name)
    assert again.output_text == text == "Hello world"
    assert again.status == "completed"
    assert again.usage is not None


def test_response_that_is_not_to_be_kept_is_not(client: OpenAI, upstream: Upstream) -> None:
    upstream.play(text_stream())
    made = client.responses.create(model="m", input="hi", store=False)
    is_gone(client, made.id)


def test_unknown_response_is_not_found(gateway: Gateway) -> None:
    response = fetch(gateway.address, "GET", "/v1/responses/resp_nothing")
    assert response.status == 404
    assert response.json["error"] == {
        "message": "Response with id 'resp_nothing' not found.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


def test_responses_of_another_caller_are_not_found(two: tuple[OpenAI, OpenAI], upstream: Upstream) -> None:
    first, second = two
    upstream.play(text_stream())
    made = first.responses.create(model="m", input="hi")
    assert first.responses.retrieve(made.id).id == made.id
    for ask in (
        lambda: second.responses.retrieve(made.id),
        lambda: second.responses.cancel(made.id),
        lambda: second.responses.delete(made.id),
        lambda: second.responses.input_items.list(made.id),
    ):
        with pytest.raises(NotFoundError):
            ask()
    with pytest.raises(BadRequestError, match="not found"):
        second.responses.create(model="m", input="and?", previous_response_id=made.id)
    assert first.responses.retrieve(made.id).id == made.id


def test_deleted_response_is_gone(gateway: Gateway, client: OpenAI, upstream: Upstream) -> None:
    upstream.play(text_stream())
    made = client.responses.create(model="m", input="hi")
    told = fetch(gateway.address, "DELETE", f"/v1/responses/{made.id}").json
    assert told == {"id": made.id, "object": "response", "deleted": True}
    is_gone(client, made.id)
    with pytest.raises(NotFoundError):
        client.responses.delete(made.id)


def test_failed_response_is_kept_as_failed(client: OpenAI, upstream: Upstream) -> None:
    upstream.play([Head(), Send(frame(chunk("Hel"))), Send(frame({"error": {"message": "no"}})), End()])
    events = list(client.responses.create(model="m", input="hi", stream=True))
    failed = client.responses.retrieve(events[0].response.id)  # type: ignore[union-attr]
    assert failed.status == "failed"
    assert failed.error is not None


# Under way.


def test_response_under_way_is_shown_and_cancelled(client: OpenAI, upstream: Upstream) -> None:
    upstream.play([Head(), Send(frame(chunk("Hello"))), Stall()])
    with client.responses.create(model="m", input="hi", stream=True) as events:
        made = next(iter(events)).response  # type: ignore[union-attr]
        assert client.responses.retrieve(made.id).status == "in_progress"
        cancelled = client.responses.cancel(made.id)
        assert (cancelled.id, cancelled.status, cancelled.error) == (made.id, "cancelled", None)
        assert cancelled.output_text == "Hello"
        upstream.request().connection.wait_closed(2)
    assert client.responses.retrieve(made.id).status == "cancelled"
    assert client.responses.cancel(made.id).status == "cancelled"


def test_finished_response_cannot_be_cancelled(client: OpenAI, upstream: Upstream) -> None:
    upstream.play(text_stream())
    made = client.responses.create(model="m", input="hi")
    with pytest.raises(BadRequestError, match="Cannot cancel a completed response"):
        client.responses.cancel(made.id)


def test_deleting_a_response_under_way_stops_it(client: OpenAI, upstream: Upstream) -> None:
    upstream.play([Head(), Send(frame(chunk("Hello"))), Stall()])
    with client.responses.create(model="m", input="hi", stream=True) as events:
        made = next(iter(events)).response  # type: ignore[union-attr]
        client.responses.delete(made.id)
        upstream.request().connection.wait_closed(2)
    is_gone(client, made.id)


def test_response_whose_client_left_is_kept_when_it_goes_on(
    two: tuple[OpenAI, OpenAI], upstream: Upstream, detaching: Gateway
) -> None:
    gate = Gate()
    rest: Script = [Send(frame(chunk(" world", finish="stop"))), Send(frame("[DONE]")), End()]
    upstream.play([Head(), Send(frame(chunk("Hello"))), WaitFor(gate), *rest])
    first, _ = two
    events = first.responses.create(model="m", input="hi", stream=True)
    name = next(iter(events)).response.id  # type: ignore[union-attr]
    events.close()
    gate.open()
    eventually(lambda: first.responses.retrieve(name).status == "completed", "the response is kept")
    assert first.responses.retrieve(name).output_text == "Hello world"
    assert detaching.get("/readyz")["streams"] == 0


# Input items.


def test_input_items_are_listed_in_pages(client: OpenAI, upstream: Upstream) -> None:
    upstream.play(text_stream())
    sent: Any = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "4"},
        {"role": "user", "content": TEXT_INPUT, "id": "msg_mine"},
    ]
    made = client.responses.create(model="m", input=sent)
    ascending = list(client.responses.input_items.list(made.id, order="asc", limit=2))
    assert [each.type for each in ascending] == [
        "message",
        "message",
        "function_call",
        "function_call_output",
        "message",
    ]
    assert ascending[-1].id == "msg_mine"
    assert len({each.id for each in ascending}) == 5
    assert ascending[0].to_dict()["content"] == [{"type": "input_text", "text": "one"}]
    assert [each.id for each in client.responses.input_items.list(made.id)] == [
        each.id for each in reversed(ascending)
    ]
    page = client.responses.input_items.list(made.id, order="asc", limit=2)
    assert page.has_more
    assert (page.first_id, page.last_id) == (ascending[0].id, ascending[1].id)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("query", "param"),
    [("order=up", "order"), ("limit=0", "limit"), ("limit=101", "limit"), ("after=msg_no", "after")],
)
def test_wrong_page_is_told(
    gateway: Gateway, client: OpenAI, upstream: Upstream, query: str, param: str
) -> None:
    upstream.play(text_stream())
    made = client.responses.create(model="m", input="hi")
    response = fetch(gateway.address, "GET", f"/v1/responses/{made.id}/input_items?{query}")
    assert (response.status, response.json["error"]["param"]) == (400, param)


# Going on from a response.


def test_unknown_previous_response_is_told(client: OpenAI, upstream: Upstream) -> None:
    with pytest.raises(BadRequestError) as raised:
        client.responses.create(model="m", input="hi", previous_response_id="resp_no")
    assert raised.value.code == "previous_response_not_found"
    assert raised.value.param == "previous_response_id"
    assert not upstream.requests


def test_conversation_is_told_to_a_chat_upstream(client: OpenAI, upstream: Upstream) -> None:
    calls = [chunk(tool_calls=[tool(0, '{"a":1}', call_id="c1", name="f")]), chunk(finish="tool_calls")]
    upstream.play(text_stream(), stream(calls), text_stream())
    first = client.responses.create(model="m", input="one", instructions="be brief")
    tools: Any = [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}]
    second = client.responses.create(
        model="m", input="two", previous_response_id=first.id, tools=tools, instructions="be kind"
    )
    assert second.previous_response_id == first.id
    call = second.output[-1]
    assert call.type == "function_call"
    result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "42"}]
    client.responses.create(model="m", input=result, previous_response_id=second.id, tools=tools)
    said = [(each["role"], each.get("content")) for each in upstream.requests[1].json["messages"]]
    assert said == [
        ("system", "be kind"),
        ("user", "one"),
        ("assistant", first.output_text),
        ("user", "two"),
    ]
    last = upstream.requests[2].json["messages"]
    assert [each["role"] for each in last] == ["user", "assistant", "user", "assistant", "tool"]
    assert last[3]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert last[4]["content"] == "42"
    listed = list(client.responses.input_items.list(second.id, order="asc"))
    assert [each.type for each in listed] == ["message"] * 3


@pytest.mark.parametrize("dialect", DIALECTS)
def test_conversation_goes_on_over_every_upstream(
    start_gateway: StartGateway, upstream: Upstream, open_client: OpenClient, dialect: str
) -> None:
    provider = {"base_url": f"{upstream.url}/v1", "dialect": dialect, "api_key": "sk-up"}
    client = open_client(start_gateway(gateway_config(upstream.url, providers={"up": provider})))
    for scenario in ("thinking", "text"):
        upstream.play(script(dialect, scenario))
    first = client.responses.create(model="m", input="the first question")
    client.responses.create(model="m", input="the second question", previous_response_id=first.id)
    asked = upstream.requests[1].body.decode()
    at = [asked.index(text) for text in ("the first question", "the second question")]
    assert at == sorted(at)
    assert first.output_text
    assert first.output_text in set(strings(upstream.requests[1].json))
    assert "previous_response_id" not in upstream.requests[1].json


@pytest.mark.parametrize("streamed", [True, False])
def test_thinking_that_is_shown_as_text_is_kept_as_text(
    gateway: Gateway, upstream: Upstream, streamed: bool
) -> None:
    upstream.play(script("openai-chat", "thinking"))
    asked = {"model": "m", "input": "hi", "stream": streamed, "thinking_to_content": True}
    stream_id = fetch(gateway.address, "POST", "/v1/responses", asked).head.get("tidegate-stream")
    kept = fetch(gateway.address, "GET", f"/v1/responses/resp_{stream_id}")
    assert kept.status == 200
    assert kept.json["output"][0]["content"][0]["text"].startswith("<think>")
