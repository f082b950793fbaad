"""A response is streamed again from any of its events, under way or finished, also with the official SDK."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import APIStatusError, NotFoundError, OpenAI

from tests.chat import chunk, frame, text_stream, tool
from tests.gateway import Gateway
from tests.raw_http import fetch
from tests.script import End, Gate, Head, Script, Send, WaitFor
from tests.upstream import Upstream

WORDS = ["Hel", "lo", " wor", "ld", "!"]


def held(gate: Gate) -> Script:
    first, *rest = (Send(frame(chunk(word))) for word in WORDS)
    return [
        Head(),
        first,
        WaitFor(gate),
        *rest,
        Send(frame(chunk(finish="stop"))),
        Send(frame("[DONE]")),
        End(),
    ]


def numbers(events: list[Any]) -> list[int]:
    return [event.sequence_number for event in events]


def text(events: list[Any]) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def test_a_stream_in_the_background_is_taken_up_where_it_was_lost(client: OpenAI, upstream: Upstream) -> None:
    gate = Gate()
    upstream.play(held(gate))
    stream = client.responses.create(model="m", input="hi", background=True, stream=True)
    seen: list[Any] = []
    for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta":
            break
    stream.close()
    name = seen[0].response.id
    with client.responses.retrieve(name, stream=True, starting_after=seen[-1].sequence_number) as again:
        gate.open()
        rest = list(again)
    events = [*seen, *rest]
    assert numbers(events) == list(range(len(events)))
    assert text(events) == "".join(WORDS)
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "".join(WORDS)
    assert len(upstream.requests) == 1


def test_a_response_in_the_background_is_streamed_later(client: OpenAI, upstream: Upstream) -> None:
    """It was not asked for as a stream, and is one all the same."""
    gate = Gate()
    upstream.play(held(gate))
    made = client.responses.create(model="m", input="hi", background=True)
    with client.responses.retrieve(made.id, stream=True) as events:
        gate.open()
        found = list(events)
    assert numbers(found) == list(range(len(found)))
    assert text(found) == "".join(WORDS)


def test_a_finished_response_is_streamed_from_any_event(gateway: Gateway, upstream: Upstream) -> None:
    """The frames are those of the first time, byte for byte."""
    calls = [tool(0, '{"a":', call_id="c", name="f"), tool(0, "1}")]
    chunks = [chunk("so"), *(chunk(tool_calls=[each]) for each in calls), chunk(finish="tool_calls")]
    upstream.play([Head(), *(Send(frame(each)) for each in chunks), Send(frame("[DONE]")), End()])
    body = {"model": "m", "input": "hi", "stream": True}
    first = fetch(gateway.address, "POST", "/v1/responses", body)
    path = f"/v1/responses/resp_{first.head.get('tidegate-stream')}?stream=true"
    frames = [each + b"\n\n" for each in first.body.split(b"\n\n")[:-1]]
    assert fetch(gateway.address, "GET", path).body == first.body
    for number in range(len(frames) - 1):
        again = fetch(gateway.address, "GET", f"{path}&starting_after={number}")
        assert again.body == b"".join(frames[number + 1 :])
        assert json.loads(again.body.split(b"data: ")[1].split(b"\n")[0])["sequence_number"] == number + 1


@pytest.mark.parametrize("after", ["-1", "x", "1e3", "999"])
def test_a_place_that_is_not_there_is_told(gateway: Gateway, upstream: Upstream, after: str) -> None:
    upstream.play(text_stream())
    made = fetch(gateway.address, "POST", "/v1/responses", {"model": "m", "input": "hi"}).json["id"]
    answer = fetch(gateway.address, "GET", f"/v1/responses/{made}?stream=true&starting_after={after}")
    assert (answer.status, answer.json["error"]["param"]) == (400, "starting_after")


def test_what_is_not_to_be_kept_is_not_streamed_again(client: OpenAI, upstream: Upstream) -> None:
    upstream.play(text_stream())
    made = client.responses.create(model="m", input="hi", store=False)
    with pytest.raises(NotFoundError):
        client.responses.retrieve(made.id, stream=True)


def test_what_was_deleted_is_not_streamed_again(client: OpenAI, upstream: Upstream) -> None:
    upstream.play(text_stream())
    made = client.responses.create(model="m", input="hi")
    client.responses.delete(made.id)
    with pytest.raises(APIStatusError) as raised:
        client.responses.retrieve(made.id, stream=True)
    assert raised.value.status_code == 404
