"""Owns the strict reading of a streamed Chat answer: the wire rules that hold for every answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.chat import Json
from tests.raw_http import Address, RawConnection, Response, ResponseHead, request_bytes

KEEP_ALIVE_DELTA: Json = {}


def payloads(body: bytes) -> list[str]:
    """The data of every SSE event of a body; each must be `data: `, one line of ASCII, two LF and no more."""
    if not body.isascii():
        raise AssertionError("the event stream has bytes outside of ASCII")
    if b"\r" in body:
        raise AssertionError("the event stream has a CR")
    if body and not body.endswith(b"\n\n"):
        raise AssertionError(f"the last event has no blank line: {body[-80:]!r}")
    found = []
    for event in body.decode("ascii").split("\n\n")[:-1]:
        if not event.startswith("data: ") or "\n" in event or event != event.rstrip(" "):
            raise AssertionError(f"not a one-line data event: {event[:200]!r}")
        if "data: " in event[6:]:
            raise AssertionError(f"'data: ' inside of a payload is not escaped: {event[:200]!r}")
        found.append(event[6:])
    return found


def is_keep_alive(value: Json) -> bool:
    choices = value["choices"]
    return bool(choices) and choices[0]["delta"] == KEEP_ALIVE_DELTA and choices[0]["finish_reason"] is None


@dataclass(slots=True)
class ChatAnswer:
    """A streamed answer whose framing has been checked: its chunks without the end mark, and how it ended."""

    response: Response
    chunks: list[Json]
    done: bool

    @property
    def error(self) -> Json | None:
        """The error of the failure terminal, if the answer ended in one."""
        found: Json | None = self.chunks[-1].get("error") if self.chunks else None
        return found

    @property
    def events(self) -> list[Json]:
        return [value for value in self.chunks if not is_keep_alive(value)]

    def choices(self, index: int = 0) -> list[Json]:
        return [choice for value in self.chunks for choice in value["choices"] if choice["index"] == index]

    def text(self, index: int = 0, name: str = "content") -> str:
        return "".join(choice["delta"].get(name) or "" for choice in self.choices(index))

    def finishes(self, index: int = 0) -> list[str]:
        return [choice["finish_reason"] for choice in self.choices(index) if choice["finish_reason"]]

    def tool_deltas(self, index: int = 0) -> list[Json]:
        calls = [
            choice["delta"]["tool_calls"] for choice in self.choices(index) if "tool_calls" in choice["delta"]
        ]
        return [each[-1] for each in calls]

    def arguments(self) -> dict[int, str]:
        """The arguments of every tool call, put together by the index of the call."""
        joined: dict[int, str] = {}
        for call in self.tool_deltas():
            joined[call["index"]] = joined.get(call["index"], "") + call["function"].get("arguments", "")
        return joined

    @property
    def usages(self) -> list[Json]:
        return [value["usage"] for value in self.chunks if value.get("usage")]

    def succeeded(self) -> ChatAnswer:
        """Checks for the one success terminal: a finish for choice 0, then [DONE], and no error anywhere."""
        if not self.done or self.error or self.finishes() in ([], ["error"]):
            raise AssertionError(f"no success terminal: {self.response.body[-600:]!r}")
        return self

    def failed(self) -> Json:
        """Checks for the one failure terminal and returns its error."""
        if self.done:
            raise AssertionError("a failed stream must not end in [DONE]")
        last = self.chunks[-1] if self.chunks else {}
        error: Json | None = last.get("error")
        if error is None:
            raise AssertionError(f"no error terminal: {self.response.body[-600:]!r}")
        if [choice for value in self.chunks[:-1] for choice in value["choices"] if choice["finish_reason"]]:
            raise AssertionError("a finish stands before the failure terminal")
        if any("error" in value for value in self.chunks[:-1]):
            raise AssertionError("more than one error")
        choice = last["choices"][0]
        if (choice["index"], choice["delta"], choice["finish_reason"]) != (0, {}, "error"):
            raise AssertionError(f"the failure terminal has the wrong choice: {choice}")
        if len(last["choices"]) != 1 or not {"message", "type", "param", "code"} <= error.keys():
            raise AssertionError(f"the failure terminal has the wrong shape: {last}")
        if not isinstance(error["message"], str) or not error["message"]:
            raise AssertionError(f"the error says nothing: {error}")
        return error


def parse(response: Response) -> ChatAnswer:
    """Reads a streamed answer strictly; raises AssertionError at the first broken rule."""
    if response.status != 200:
        raise AssertionError(f"status {response.status}: {response.body[:500]!r}")
    if not (response.head.get("content-type") or "").startswith("text/event-stream"):
        raise AssertionError(f"not an event stream: {response.head.fields}")
    data = payloads(response.body)
    done = data[-1:] == ["[DONE]"]
    if "[DONE]" in (data[:-1] if done else data):
        raise AssertionError("something follows [DONE]")
    chunks = [json.loads(item) for item in (data[:-1] if done else data)]
    check_chunks(chunks)
    return ChatAnswer(response, chunks, done)


def check_chunks(chunks: Iterable[Json]) -> None:
    """The rules that every chunk of every answer keeps, whatever was asked for."""
    first = None
    for value in chunks:
        first = first or value
        for name in ("id", "created", "model"):
            if value[name] != first[name]:
                raise AssertionError(f"{name} changes from {first[name]!r} to {value[name]!r}")
        if value["object"] != "chat.completion.chunk":
            raise AssertionError(f"the object is {value['object']!r}")
        if not value["choices"] and not value.get("usage"):
            raise AssertionError(f"no choices: {value}")
        for choice in value["choices"]:
            check_choice(choice, opening=value is first)


def check_choice(choice: Json, *, opening: bool) -> None:
    delta = choice["delta"]
    if not isinstance(delta, dict) or not isinstance(choice["index"], int) or "finish_reason" not in choice:
        raise AssertionError(f"a choice lacks delta, index or finish_reason: {choice}")
    if opening and delta != {"role": "assistant", "content": ""}:
        raise AssertionError(f"the first chunk is not the role chunk: {choice}")
    if choice["finish_reason"] is not None and delta != {}:
        raise AssertionError(f"a finish chunk carries more than its reason: {choice}")
    if delta.get("tool_calls") and delta.get("content"):
        raise AssertionError(f"text and a tool call in one delta: {choice}")
    calls = delta.get("tool_calls") or []
    if any("function" not in call for call in calls):
        raise AssertionError(f"a tool delta without function: {choice}")
    if calls and calls[:-1] != nothing_before(calls[-1]):
        raise AssertionError(f"not led by an element that adds nothing to the call that was last: {choice}")


def nothing_before(call: Json) -> list[Json]:
    """What a delta of a later call begins with: nothing for itself, or for the one before when it opens."""
    here = call["index"] - ("id" in call)
    return [{"index": here, "function": {"arguments": ""}}] if call["index"] else []


def body_for(content: str = "Say hello.", *, model: str = "m", stream: bool = True, **more: Any) -> Json:
    return {"model": model, "messages": [{"role": "user", "content": content}], "stream": stream, **more}


def start_chat(
    address: Address, body: Mapping[str, Any], headers: Mapping[str, str] | None = None, **options: Any
) -> RawConnection:
    """Sends a Chat request and returns the connection without reading from it."""
    connection = RawConnection(address, **options)
    connection.send(
        request_bytes("POST", "/v1/chat/completions", body, headers, host=f"{address[0]}:{address[1]}")
    )
    return connection


class LiveAnswer:
    """A streamed answer that a test reads step by step; use it in a `with` statement."""

    def __init__(
        self,
        address: Address,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.connection = start_chat(address, body, headers, **options)
        self.sent_at = time.monotonic()
        self.chunks: list[bytes] = []
        self.at: list[float] = []
        self._head: ResponseHead | None = None

    def __enter__(self) -> LiveAnswer:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    @property
    def head(self) -> ResponseHead:
        if self._head is None:
            self._head = self.connection.read_head()
        return self._head

    def read(self) -> bytes:
        """The next chunk of the body, empty at its end."""
        if not self.head.chunked:
            raise AssertionError(f"not a chunked answer: {self.head}")
        data = self.connection.read_chunk()
        if data:
            self.chunks.append(data)
            self.at.append(time.monotonic())
        return data

    def read_past(self, mark: str, timeout: float = 10.0) -> None:
        """Reads until a chunk holds the text, as JSON has it; keep-alives do not put the deadline off."""
        deadline = time.monotonic() + timeout
        while mark.encode() not in (data := self.read()):
            if not data:
                raise AssertionError(f"the answer ended before {mark!r}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{mark!r} did not come within {timeout:g} s")

    def rest(self) -> ChatAnswer:
        """Reads to the end and checks the whole answer."""
        if not self.head.chunked:
            length = int(self.head.get("content-length") or 0)
            return parse(Response(self.head, self.connection.read_exactly(length)))
        while self.read():
            pass
        return parse(Response(self.head, b"".join(self.chunks), self.chunks, self.at))


def post_chat(
    address: Address, body: Mapping[str, Any], headers: Mapping[str, str] | None = None, **options: Any
) -> Response:
    with start_chat(address, body, headers, **options) as connection:
        return connection.read_response()


def stream_chat(address: Address, content: str = "Say hello.", **more: Any) -> ChatAnswer:
    """Asks for a streamed answer and reads it strictly."""
    return parse(post_chat(address, body_for(content, **more)))
