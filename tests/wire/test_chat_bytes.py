"""The bytes of a Chat answer: framing, order, ends, headers. What must hold for the most naive client."""

from __future__ import annotations

import json
import re

import pytest

from tests.chat import DONE, USAGE, chunk, frame, frames, stream, streamed_bytes, text_chunks, text_stream
from tests.chat_stream import LiveAnswer, body_for, payloads, post_chat, start_chat, stream_chat
from tests.gateway import Gateway
from tests.raw_http import RawConnection, request_bytes
from tests.script import End, Gate, Head, Send, WaitFor
from tests.upstream import Upstream

NASTY = [
    "data: one",
    "data:two",
    "data:  three",
    "\ndata: four\n\n",
    "\r\n\r",
    "\u2028\u2029\u0085\x0b\x0c\x1c",
    "\x00\x01\x1f\x7f",
    '"quotes" \\ and / slashes </script>',
    "世界 😀 \ufeff \ufffd",
    " leading and trailing ",
    "[DONE]",
    "data: [DONE]",
    "d",
    "ata: ",
]


def test_every_event_is_one_line_of_ascii(gateway: Gateway, upstream: Upstream) -> None:
    """Text that looks like framing, or that line readers split at, arrives as it was."""
    upstream.play(stream(text_chunks(NASTY)))
    answer = stream_chat(gateway.address).succeeded()
    assert answer.text() == "".join(NASTY)
    for line in answer.response.body.split(b"\n"):
        assert re.fullmatch(rb"(data: [\x20-\x7e]+)?", line)


def test_data_colon_space_is_escaped_everywhere(gateway: Gateway, upstream: Upstream) -> None:
    """Also in reasoning, arguments, names and fields that nobody knows."""
    call = {
        "index": 0,
        "id": "data: 1",
        "type": "function",
        "function": {"name": "f", "arguments": "data: 2"},
    }
    parts = [
        chunk(reasoning="data: 3"),
        chunk(tool_calls=[call]),
        chunk("data: 4", delta={"data: 5": "data: 6"}, x={"data: 7": ["data: 8"]}),
    ]
    upstream.play(stream([*parts, chunk(finish="stop")]))
    answer = stream_chat(gateway.address).succeeded()
    assert answer.response.body.count(b"data: ") == len(answer.chunks) + 1
    text = json.dumps(answer.chunks)
    for number in range(1, 9):
        assert f"data: {number}" in text


def test_naive_replacing_loses_nothing(gateway: Gateway, upstream: Upstream) -> None:
    """A reader that removes every `data: ` from a line, wherever it stands."""
    upstream.play(stream(text_chunks(NASTY)))
    body = post_chat(gateway.address, body_for()).body.decode()
    lines = [line.replace("data: ", "") for line in body.split("\n") if line]
    text = "".join(json.loads(line)["choices"][0]["delta"].get("content", "") for line in lines[:-1])
    assert text == "".join(NASTY)


def test_frames_are_never_parted(gateway: Gateway, upstream: Upstream) -> None:
    """Each chunk of the body holds whole events, however the upstream's bytes were cut."""
    upstream.play(streamed_bytes(frames(text_chunks(NASTY)) + DONE, each=11))
    response = post_chat(gateway.address, body_for())
    for piece in response.chunks:
        assert payloads(piece)


def test_an_event_of_its_own_is_a_chunk_of_its_own(gateway: Gateway, upstream: Upstream) -> None:
    """Events that come one by one leave one by one, each with its newlines."""
    gates = [Gate() for _ in range(6)]
    words = [
        step for n, gate in enumerate(gates[:5]) for step in (WaitFor(gate), Send(frame(chunk(f"w{n}"))))
    ]
    end = frame(chunk(finish="stop")) + DONE
    upstream.play([Head(), *words, WaitFor(gates[5]), Send(end), End()])
    with LiveAnswer(gateway.address, body_for()) as live:
        for number, gate in enumerate(gates[:5]):
            gate.open()
            live.read_past(f"w{number}")
            assert live.chunks[-1].endswith(b"\n\n")
            assert live.chunks[-1].count(b"data: ") == (2 if number == 0 else 1)
        gates[5].open()
        live.rest().succeeded()


def test_the_order_of_an_answer(gateway: Gateway, upstream: Upstream) -> None:
    """Role, text, finish alone, end mark; every chunk with the same id, time and model."""
    upstream.play(stream([chunk("Hello", role="assistant"), chunk(" world", finish="length")]))
    answer = stream_chat(gateway.address).succeeded()
    choices = [value["choices"] for value in answer.chunks]
    assert choices == [
        [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
        [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}],
        [{"index": 0, "delta": {"content": " world"}, "finish_reason": None}],
        [{"index": 0, "delta": {}, "finish_reason": "length"}],
    ]
    for value in answer.chunks:
        assert value["id"] == answer.chunks[0]["id"]
        assert value["model"] == "mock"
        assert value["object"] == "chat.completion.chunk"
        assert isinstance(value["created"], int)
    assert answer.response.body.endswith(b"\n\ndata: [DONE]\n\n")
    assert answer.response.body.count(b"[DONE]") == 1


def test_ids_differ_between_answers(gateway: Gateway, upstream: Upstream) -> None:
    """An id says which stream a chunk belongs to, so an upstream's constant one is not passed on."""
    answers = [stream_chat(gateway.address).succeeded() for _ in range(3)]
    assert len({answer.chunks[0]["id"] for answer in answers}) == 3
    assert "chatcmpl-upstream" not in {answer.chunks[0]["id"] for answer in answers}
    streams = {answer.response.head.get("tidegate-stream") for answer in answers}
    assert len(streams) == 3
    assert None not in streams


def test_the_headers_of_a_stream(gateway: Gateway, upstream: Upstream) -> None:
    """Those that keep every proxy and reader from collecting, and those that say what this is."""
    head = post_chat(gateway.address, body_for()).head
    assert head.version == "HTTP/1.1"
    assert (head.get("content-type") or "").replace(" ", "").lower() == "text/event-stream;charset=utf-8"
    assert head.get("transfer-encoding") == "chunked"
    assert head.get("cache-control") == "no-cache, no-transform"
    assert head.get("x-accel-buffering") == "no"
    assert re.fullmatch(r"\S{16,}", head.get("tidegate-stream") or "")
    assert head.get("x-request-id")
    assert head.get("content-encoding") is None


def test_the_headers_of_a_whole_answer(gateway: Gateway, upstream: Upstream) -> None:
    """A stream has an id also when its answer leaves in one piece."""
    response = post_chat(gateway.address, body_for(stream=False))
    assert response.head.get("content-type") == "application/json"
    assert int(response.head.get("content-length") or 0) == len(response.body)
    assert response.head.get("tidegate-stream")
    assert response.head.get("x-request-id")


@pytest.mark.parametrize("accept", ["application/json", "text/html", "*/*", "text/event-stream", ""])
def test_the_body_decides_not_accept(gateway: Gateway, upstream: Upstream, accept: str) -> None:
    """Clients ask for JSON and for a stream in one request."""
    response = post_chat(gateway.address, body_for(), {"Accept": accept})
    assert response.body.endswith(DONE)
    whole = post_chat(gateway.address, body_for(stream=False), {"Accept": accept})
    assert whole.json["object"] == "chat.completion"


def test_the_body_ends_at_once(gateway: Gateway, upstream: Upstream) -> None:
    """The last chunk of the body comes with the end mark, though the upstream keeps its own open."""
    held = Gate()
    upstream.play([Head(), Send(frames(text_chunks(["x"])) + DONE), WaitFor(held), End()])
    with LiveAnswer(gateway.address, body_for(), timeout=2) as live:
        assert live.rest().succeeded()
    held.open()


def test_the_connection_serves_the_next_request(gateway: Gateway, upstream: Upstream) -> None:
    """Keep-alive: streams and whole answers, one after the other."""
    with RawConnection(gateway.address) as connection:
        for number in range(6):
            body = body_for(stream=number % 2 == 0)
            connection.send(request_bytes("POST", "/v1/chat/completions", body))
            response = connection.read_response()
            assert response.status == 200
            assert b"world" in response.body


def test_a_failure_is_one_last_chunk(gateway: Gateway, upstream: Upstream) -> None:
    """Choice and error in one chunk, nothing after it, and the body ends properly."""
    problem = {"message": "out of memory", "type": "server_error", "param": None, "code": "oom"}
    upstream.play(stream([chunk("Hel"), {"error": problem}, chunk("ghost")]))
    with RawConnection(gateway.address) as connection:
        connection.send(request_bytes("POST", "/v1/chat/completions", body_for()))
        response = connection.read_response()
        last = json.loads(payloads(response.body)[-1])
        assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "error"}]
        assert last["error"] == problem
        assert b"ghost" not in response.body
        assert b"[DONE]" not in response.body
        connection.send(request_bytes("GET", "/v1/models"))
        assert connection.read_response().status == 200


def test_a_failure_behind_committed_headers_has_its_role_chunk(
    eager_gateway: Gateway, upstream: Upstream
) -> None:
    """The status is out already, so the failure is told in the stream."""
    held = Gate()
    upstream.play([WaitFor(held), *stream([{"error": {"message": "sorry"}}])])
    with LiveAnswer(eager_gateway.address, body_for()) as live:
        live.read_past("assistant")
        held.open()
        answer = live.rest()
    assert answer.failed()["message"] == "sorry"


@pytest.mark.parametrize("streamed", [True, False])
def test_the_status_is_true_before_the_first_byte(
    gateway: Gateway, upstream: Upstream, streamed: bool
) -> None:
    """A refusal is a status, never a 200 with an error inside."""
    upstream.play(stream([{"error": {"message": "busy", "type": "overloaded_error"}}]))
    response = post_chat(gateway.address, body_for(stream=streamed))
    assert response.status == 503
    assert response.json["error"]["message"] == "busy"
    assert response.head.get("content-type") == "application/json"


def test_no_head_before_there_is_something_to_say(gateway: Gateway, upstream: Upstream) -> None:
    """While the status is still open nothing is sent, not even a head."""
    held = Gate()
    upstream.play([Head(), Send(frame(chunk("", role="assistant"))), WaitFor(held), *text_stream()[1:]])
    connection = start_chat(gateway.address, body_for())
    upstream.request()
    connection.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        connection.read_head()
    held.open()
    connection.socket.settimeout(5)
    assert connection.read_response().body.endswith(DONE)
    connection.close()


def test_every_answer_has_a_request_id(gateway: Gateway, upstream: Upstream) -> None:
    """A new one each time, on errors too, or the one that the caller gave."""
    made = [post_chat(gateway.address, body_for()).head.get("x-request-id") for _ in range(2)]
    assert made[0] != made[1]
    given = post_chat(gateway.address, body_for(), {"X-Request-Id": "mine-17"}).head
    assert given.get("x-request-id") == "mine-17"
    assert given.get("tidegate-stream") != "mine-17"
    assert post_chat(gateway.address, {"messages": 7}).head.get("x-request-id")


def test_whole_and_streamed_answers_agree(gateway: Gateway, upstream: Upstream) -> None:
    """The whole answer is the fold of the stream: text, reasoning, calls, reason, usage."""
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    parts = [
        chunk("", role="assistant"),
        chunk(reasoning="I "),
        chunk(reasoning="think"),
        chunk("Hel"),
        chunk("lo"),
        chunk(tool_calls=[call]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"a":'}}]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": " 1}"}}]),
        chunk(finish="tool_calls", usage=USAGE),
    ]
    upstream.answer = lambda request: stream(parts)
    streamed = stream_chat(gateway.address, stream_options={"include_usage": True}).succeeded()
    whole = post_chat(gateway.address, body_for(stream=False)).json
    assert whole["object"] == "chat.completion"
    assert whole["model"] == "mock"
    assert whole["usage"] == streamed.usages[0] == USAGE
    (choice,) = whole["choices"]
    assert choice["finish_reason"] == streamed.finishes()[0] == "tool_calls"
    message = choice["message"]
    assert message["role"] == "assistant"
    assert message["content"] == streamed.text() == "Hello"
    assert message["reasoning_content"] == streamed.text(name="reasoning_content") == "I think"
    assert message["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    ]


def test_a_whole_answer_is_ascii_too(gateway: Gateway, upstream: Upstream) -> None:
    """So that no reader can stumble over raw separators."""
    upstream.play(stream(text_chunks(NASTY)))
    response = post_chat(gateway.address, body_for(stream=False))
    assert response.body.isascii()
    assert response.json["choices"][0]["message"]["content"] == "".join(NASTY)
