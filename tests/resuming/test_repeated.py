"""A request that is repeated with its Idempotency-Key goes on where its client was."""

from __future__ import annotations

import json

from tests.chat import chunk
from tests.chat_stream import body_for
from tests.gateway import Gateway
from tests.raw_http import Response, fetch
from tests.script import End, Head, Send
from tests.upstream import Upstream


def asked(gateway: Gateway, key: str, **headers: str) -> Response:
    sent = {"Idempotency-Key": key, "Tidegate-Event-Ids": "1", **headers}
    return fetch(
        gateway.address, "POST", "/v1/chat/completions", json.dumps(body_for()).encode(), headers=sent
    )


def test_a_repeat_with_a_cursor_brings_what_comes_after_it(gateway: Gateway, upstream: Upstream) -> None:
    chunks = [chunk(content=word) for word in ("one ", "two ", "three")] + [chunk(finish="stop")]
    frames = b"".join(f"data: {json.dumps(each)}\n\n".encode() for each in chunks)
    upstream.play([Head(), Send(frames + b"data: [DONE]\n\n"), End()])
    whole = asked(gateway, "cursor").body
    places = [line.removeprefix(b"id: ").decode() for line in whole.splitlines() if line.startswith(b"id: ")]
    for place in places[:-1]:
        again = asked(gateway, "cursor", **{"Last-Event-ID": place})
        assert whole.partition(f"id: {place}\n".encode())[2].partition(b"\n\n")[2] == again.body
    assert asked(gateway, "cursor", **{"Last-Event-ID": "x"}).status == 400
