"""Readers that come in the middle of a relay, and what the first one notices of them: nothing."""

from __future__ import annotations

import json

from tests.chat import DONE, chunk, frame, one_by_one
from tests.chat_stream import LiveAnswer, body_for, payloads
from tests.gateway import Gateway
from tests.raw_http import RawConnection, fetch, request_bytes
from tests.script import End, Gate, Head, Send, WaitFor
from tests.upstream import Upstream

WORDS = [f"word{number} " for number in range(40)]
HALF = 20


def _text(body: bytes) -> str:
    said = [json.loads(payload) for payload in payloads(body) if payload != "[DONE]"]
    return "".join(each["choices"][0]["delta"].get("content") or "" for each in said)


def _come(gateway: Gateway, stream: str, after: int = 0) -> RawConnection:
    connection = RawConnection(gateway.address, timeout=10)
    place = {"Last-Event-ID": str(after)} if after else {}
    connection.send(request_bytes("GET", f"/v1/streams/{stream}", None, place))
    assert connection.read_head().status == 200
    return connection


def test_readers_that_come_in_the_middle(gateway: Gateway, upstream: Upstream) -> None:
    on = Gate()
    finish = Send(frame(chunk(finish="stop")))
    upstream.play(
        [
            Head(),
            *one_by_one(WORDS[:HALF]),
            WaitFor(on),
            *one_by_one(WORDS[HALF:]),
            finish,
            Send(DONE),
            End(),
        ]
    )
    with LiveAnswer(gateway.address, body_for()) as first:
        first.read_past(WORDS[HALF - 1])
        stream = first.head.get("tidegate-stream")
        assert stream is not None
        state = fetch(gateway.address, "GET", f"/v1/streams/{stream}", headers={"Accept": "application/json"})
        assert state.json["text"] == "".join(WORDS[:HALF])
        from_the_first, from_there = _come(gateway, stream), _come(gateway, stream, 10)
        on.open()
        whole = first.rest().succeeded().response.body
        assert _text(whole) == "".join(WORDS)
        assert b"".join(from_the_first.chunks()) == whole
        rest = b"".join(from_there.chunks())
        assert whole.endswith(rest)
        assert _text(rest) == "".join(WORDS[9:])
        from_the_first.close()
        from_there.close()
