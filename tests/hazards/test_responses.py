"""The bugs of the field that concern the Responses API, against the real process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests import responses
from tests.chat import USAGE, broken_off, chunk, envelope, stream, text_chunks, tool
from tests.gateway import Gateway, gateway_config
from tests.raw_http import RawConnection, fetch, request_bytes
from tests.responses import Events, ask, check_lifecycle, content_of, events_of, frame, frames
from tests.script import Close, CutChunk, End, Gate, Head, Reset, Send, Step, WaitFor
from tests.upstream import Upstream

FORTY = [f"t{number} " for number in range(40)]


@pytest.fixture(scope="module")
def both(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with an upstream that speaks Responses beside the one of the shared configuration."""
    url = f"{_shared_upstream.url}/v1"
    config = gateway_config(
        _shared_upstream.url,
        server={"header_hold": "100ms", "keep_alive": "150ms"},
        providers={
            "up": {"base_url": url, "dialect": "openai-chat", "api_key": "x"},
            "native": {"base_url": url, "dialect": "openai-responses", "api_key": "x"},
        },
    )
    once = {"retry": {"attempts": 1}}
    config["models"] |= {
        "native": {"use": ["native/mock"], **once},
        "pair": {"use": ["native/mock-a", "native/mock-b"], **once},
    }
    running = Gateway(tmp_path_factory.mktemp("responses"), config)
    yield running
    running.stop()


WAYS_TO_BREAK: dict[str, list[Step]] = {
    "reset": [Reset()],
    "clean FIN": [Close()],
    "cut chunk": [CutChunk()],
    "the proper end of the body": [End()],
    "[DONE]": [Send(b"data: [DONE]\n\n"), End()],
}


@pytest.mark.parametrize("way", WAYS_TO_BREAK)
@pytest.mark.parametrize("model", ["m", "native"])
def test_a_break_after_forty_tokens(both: Gateway, upstream: Upstream, model: str, way: str) -> None:
    """hazard 1: all that came is delivered, then one failure, with the same response's id."""
    if model == "m":
        begun = [frame_of(each) for each in text_chunks(FORTY, finish=None)]
    else:
        begun = [frame(each) for each in Events().text(FORTY, done=False).said]
    received = Gate()
    upstream.play([Head(), Send(b"".join(begun)), WaitFor(received), *WAYS_TO_BREAK[way]])
    asked = request_bytes("POST", "/v1/responses", {"model": model, "input": "x", "stream": True})
    with RawConnection(both.address) as connection:
        connection.send(asked)
        assert connection.read_head().status == 200
        body = b""
        while b"t39 " not in body:
            body += connection.read_chunk()
        received.open()
        body += b"".join(connection.chunks())
    events = events_of(body)
    response = check_lifecycle(events)
    assert events[-1]["type"] == "response.failed"
    assert content_of(response["output"][0]) == "".join(FORTY)


@pytest.mark.parametrize("first", [0, 1])
def test_an_error_before_any_content_falls_back(both: Gateway, upstream: Upstream, first: int) -> None:
    """hazard 8: response.created shows nothing, so another deployment answers, and nobody sees it."""
    built = Events()
    if first:
        item = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
        built.say("response.output_item.added", output_index=0, item=item)
    built.say("error", error={"type": "server_error", "code": "server_error", "message": "no"})
    upstream.play(responses.stream(built.said), responses.stream(Events().text(["Fine."]).ended()))
    response = check_lifecycle(events_of(ask(both.address, model="pair").body))
    assert content_of(response["output"][0]) == "Fine."
    assert [request.json["model"] for request in upstream.requests] == ["mock-a", "mock-b"]


def test_a_call_that_was_cut_at_the_limit_is_incomplete(both: Gateway, upstream: Upstream) -> None:
    """hazard 11: neither a completed response nor a call that is done."""
    cut = [tool(0, '{"a": ', call_id="c", name="f")]
    upstream.play(stream([chunk(tool_calls=cut), chunk(finish="length")]))
    events = events_of(ask(both.address).body)
    response = check_lifecycle(events)
    assert response["status"] == "incomplete"
    assert not [event for event in events if event["type"].endswith(".done")]


@pytest.mark.parametrize("model", ["m", "native"])
def test_a_break_inside_a_call_names_the_tool(both: Gateway, upstream: Upstream, model: str) -> None:
    """hazard 35: no agent gets to execute half a call."""
    if model == "m":
        begun = [chunk(tool_calls=[tool(0, '{"path": "/', call_id="c", name="rm")])]
        upstream.play(broken_off(begun, End()))
    else:
        half = Events().call("rm", ['{"path": "/'], call_id="c", done=False)
        upstream.play(responses.broken_off(half.said, End()))
    events = events_of(ask(both.address, model=model).body)
    assert "'rm'" in check_lifecycle(events)["error"]["message"]
    assert not [event for event in events if event["type"].endswith(".done")]


@pytest.mark.parametrize("model", ["m", "native"])
def test_arguments_are_what_the_upstream_sent(both: Gateway, upstream: Upstream, model: str) -> None:
    """hazards 7 and 12: three calls at once, their arguments byte for byte, no empty piece."""
    calls = [(f"f{at}", [f'{{"n": {at},', ' "t": "世界"}']) for at in range(3)]
    if model == "m":
        deltas = []
        for at, (name, pieces) in enumerate(calls):
            deltas.append(chunk(tool_calls=[tool(at, "", call_id=f"c{at}", name=name)]))
            deltas += [chunk(tool_calls=[tool(at, piece)]) for piece in ["", *pieces]]
        upstream.play(stream([*deltas, chunk(finish="tool_calls")]))
    else:
        built = Events()
        for at, (name, pieces) in enumerate(calls):
            built.call(name, pieces, call_id=f"c{at}")
        upstream.play(responses.stream(built.ended()))
    response = check_lifecycle(events_of(ask(both.address, model=model).body))
    told = [(item["call_id"], item["name"], item["arguments"]) for item in response["output"]]
    assert told == [(f"c{at}", name, "".join(pieces)) for at, (name, pieces) in enumerate(calls)]


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk("a"), chunk(finish="stop"), envelope([], usage=USAGE)],
        [chunk("a"), chunk(finish="stop", usage=USAGE)],
        [chunk("a", usage={**USAGE, "completion_tokens": 1}), chunk(finish="stop", usage=USAGE)],
        [chunk("a"), chunk(finish="stop")],
    ],
)
def test_usage_is_always_there_and_whole(both: Gateway, upstream: Upstream, chunks: list[Any]) -> None:
    """hazard 21: wherever the upstream puts it, or nowhere."""
    upstream.play(stream(chunks))
    usage = check_lifecycle(events_of(ask(both.address).body))["usage"]
    counts = (11, 7, 18) if "usage" in chunks[-1] else (0, 0, 0)
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == counts
    assert usage["input_tokens_details"].keys() >= {"cached_tokens", "cache_write_tokens"}
    assert usage["output_tokens_details"].keys() >= {"reasoning_tokens"}


def test_snapshots_are_never_told_as_deltas(both: Gateway, upstream: Upstream) -> None:
    """hazard 34: the text stands in four events of the upstream besides its deltas."""
    upstream.play(responses.stream(Events().text(["Once ", "only."]).ended()))
    events = events_of(ask(both.address, model="native").body)
    deltas = [event["delta"] for event in events if event["type"].endswith(".delta")]
    assert deltas == ["Once ", "only."]
    check_lifecycle(events)


@pytest.mark.parametrize("each", [1, 7, 4096])
def test_any_cut_of_the_upstreams_bytes(both: Gateway, upstream: Upstream, each: int) -> None:
    """hazards 15 and 41: emoji and frames cut anywhere."""
    body = frames(Events().text(["😀 ", "世界", "\u2028"]).ended())
    upstream.play([Head(), Send(body, each=each), End()])
    response = check_lifecycle(events_of(ask(both.address, model="native").body))
    assert content_of(response["output"][0]) == "😀 世界\u2028"


@pytest.mark.parametrize("model", ["m", "native"])
def test_silence_is_filled_with_events_that_take_no_number(
    both: Gateway, upstream: Upstream, model: str
) -> None:
    """hazards 3 and 38: Codex' idle timer counts events alone. The frames around them are as without."""
    gate = Gate()
    if model == "m":
        said = [frame_of(each) for each in text_chunks(["One", " two"])]
        said[-1] += b"data: [DONE]\n\n"
    else:
        said = [frame(each) for each in Events().text(["One", " two"]).ended()]
    upstream.play([Head(), Send(said[0]), WaitFor(gate), *(Send(each) for each in said[1:]), End()])
    asked = request_bytes("POST", "/v1/responses", {"model": model, "input": "x", "stream": True})
    with RawConnection(both.address) as connection:
        connection.send(asked)
        assert connection.read_head().status == 200
        body = b""
        while body.count(b"event: keepalive\n") < 3:
            body += connection.read_chunk()
        gate.open()
        body += b"".join(connection.chunks())
    response = check_lifecycle(events_of(body))
    assert content_of(response["output"][0]) == "One two"


def frame_of(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def test_a_websocket_is_answered_with_426_at_once(both: Gateway) -> None:
    """Codex then goes on with POST; at any other status it tries for seconds."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "OpenAI-Beta": "responses_websockets=2026-02-06",
    }
    response = fetch(both.address, "GET", "/v1/responses", headers=headers)
    assert response.status == 426
    assert "POST" in response.json["error"]["message"]
    assert fetch(both.address, "GET", "/v1/responses").status == 405
