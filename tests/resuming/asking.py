"""Owns how these tests ask: one question in every dialect, and what is left of a stream behind a place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.chat import USAGE, chunk, stream, text_chunks, tool
from tests.raw_http import Address, RawConnection, Response, fetch, request_bytes
from tests.script import Script
from tidegate.dialects.framed import Framed

CHAT: Final = "/v1/chat/completions"
ASK = {"role": "user", "content": "Say hello."}
GEMINI: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}
FIRST_FRAME = re.compile(rb"id: ([0-9-]+)\n")
IDS = {"Tidegate-Event-Ids": "1"}

RICH: Final = [
    chunk("", role="assistant"),
    chunk(reasoning="Let me"),
    chunk(reasoning=" see."),
    chunk("One"),
    chunk(" 世界"),
    chunk(" data: three"),
    chunk(tool_calls=[tool(0, "", call_id="call_1", name="look")]),
    chunk(tool_calls=[tool(0, '{"at":')]),
    chunk(tool_calls=[tool(0, '"x"}')]),
    chunk(finish="tool_calls", usage=USAGE),
]
"""Thinking, text and a call."""
PLAIN: Final = text_chunks(["One", " two", " three"])


@dataclass(frozen=True, slots=True)
class Way:
    """A dialect: where and how it is asked for a stream. ``counted``: its frames can have ids."""

    dialect: str
    path: str
    body: Mapping[str, Any]
    upstream: Script
    counted: bool = True

    def ask(self, address: Address, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
        response = fetch(address, "POST", self.path, {**self.body, **more}, headers)
        assert response.status == 200, response.body
        return response


WAYS: Final = {
    "chat": Way(
        "openai-chat",
        CHAT,
        {"model": "m", "messages": [ASK], "stream": True, "stream_options": {"include_usage": True}},
        stream(RICH),
    ),
    "completions": Way(
        "openai-completions", "/v1/completions", {"model": "m", "prompt": "Hi", "stream": True}, stream(PLAIN)
    ),
    "responses": Way(
        "openai-responses", "/v1/responses", {"model": "m", "input": "Hi", "stream": True}, stream(RICH)
    ),
    "messages": Way(
        "anthropic-messages",
        "/v1/messages",
        {"model": "m", "messages": [ASK], "max_tokens": 99, "stream": True},
        stream(RICH),
    ),
    "gemini": Way("gemini", "/v1beta/models/m:streamGenerateContent?alt=sse", GEMINI, stream(RICH)),
    "gemini-array": Way(
        "gemini", "/v1beta/models/m:streamGenerateContent", GEMINI, stream(RICH), counted=False
    ),
    "shown-thinking": Way(
        "openai-chat",
        CHAT,
        {"model": "m", "messages": [ASK], "stream": True, "thinking_to_content": True},
        stream(RICH),
    ),
}


def stream_id(response: Response) -> str:
    name = response.head.get("tidegate-stream")
    assert name is not None
    return name


class Asking:
    """Asks one gateway for streams, over one connection."""

    def __init__(self, address: Address, stream: str) -> None:
        self._connection = RawConnection(address)
        self._host = f"{address[0]}:{address[1]}"
        self._stream = stream

    def __enter__(self) -> Asking:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, query: str = "", headers: Mapping[str, str] | None = None) -> Response:
        path = f"/v1/streams/{self._stream}{query}"
        self._connection.send(request_bytes("GET", path, None, headers, host=self._host))
        return self._connection.read_response("GET")


@dataclass(frozen=True, slots=True)
class Numbered:
    """A frame with its cursor."""

    cursor: str
    frame: bytes

    @property
    def seq(self) -> int:
        return int(self.cursor.partition("-")[0])


def numbered(body: bytes) -> list[Numbered]:
    """The frames of a stream with ids, checked: each has one, in order."""
    parts = FIRST_FRAME.split(body)
    assert parts[0] == b""
    found = [Numbered(cursor.decode(), frame) for cursor, frame in zip(parts[1::2], parts[2::2], strict=True)]
    seqs = [each.seq for each in found]
    assert seqs == sorted(seqs)
    for seq in set(seqs):
        cursors = [each.cursor for each in found if each.seq == seq]
        assert cursors == [*(f"{seq}-{number}" for number in range(1, len(cursors))), str(seq)]
    return found


def plain(frames: list[Numbered]) -> bytes:
    """The same without ids."""
    return b"".join(each.frame for each in frames)


def with_ids(frames: list[Numbered]) -> bytes:
    return b"".join(b"id: %b\n%b" % (each.cursor.encode(), each.frame) for each in frames)


class Sse(Framed):
    """Knows the frames of server-sent events."""

    def render(self, events: object) -> bytes:
        raise AssertionError("nothing is rendered here")


class Array(Sse):
    """Knows those of Gemini's array."""

    def frames(self, data: bytes) -> list[bytes]:
        first, *others = data.removesuffix(b"]").split(b",\n")
        return [first, *(b",\n" + each for each in others), b"]"]
