"""Owns OpenAI Chat values and scripts as an upstream of that dialect sends them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tests.script import Close, End, Head, Pause, Script, Send, Step

Json = dict[str, Any]

DONE: Final = b"data: [DONE]\n\n"
USAGE: Final[Json] = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def chunk(
    content: str | None = None,
    *,
    role: str | None = None,
    reasoning: str | None = None,
    reasoning_name: str = "reasoning_content",
    tool_calls: Sequence[Json] | None = None,
    finish: str | None = None,
    index: int = 0,
    usage: Json | None = None,
    delta: Json | None = None,
    choice: Json | None = None,
    **extra: Any,
) -> Json:
    """One chat.completion.chunk with one choice; `delta`, `choice` and `extra` add fields at their level."""
    fields: Json = {}
    if role is not None:
        fields["role"] = role
    if reasoning is not None:
        fields[reasoning_name] = reasoning
    if content is not None:
        fields["content"] = content
    if tool_calls is not None:
        fields["tool_calls"] = list(tool_calls)
    fields |= delta or {}
    one_choice: Json = {"index": index, "delta": fields, "finish_reason": finish} | (choice or {})
    return envelope([one_choice], usage=usage, **extra)


def envelope(choices: Sequence[Json], usage: Json | None = None, **extra: Any) -> Json:
    """A chunk around the given choices; without any and with usage it is the usage chunk."""
    value: Json = {
        "id": "chatcmpl-upstream",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "mock",
        "choices": list(choices),
    }
    if usage is not None:
        value["usage"] = usage
    return value | extra


def tool(
    index: int,
    arguments: str | None = None,
    *,
    call_id: str | None = None,
    name: str | None = None,
    **extra: Any,
) -> Json:
    """One element of delta.tool_calls; with an id it is the call's first."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    opening: Json = {"id": call_id, "type": "function"} if call_id is not None else {}
    return {"index": index, **opening, "function": function, **extra}


def frame(
    value: Mapping[str, Any] | str,
    *,
    newline: str = "\n",
    space: bool = True,
    event: str | None = None,
    event_id: str | None = None,
    blank: bool = True,
) -> bytes:
    """One SSE event in any of the spellings that upstreams use; JSON goes out as raw UTF-8."""
    data = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    lines = [f"event: {event}"] if event is not None else []
    lines += [f"id: {event_id}"] if event_id is not None else []
    lines.append(("data: " if space else "data:") + data)
    return (newline.join(lines) + newline + (newline if blank else "")).encode()


def frames(chunks: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(frame(value) for value in chunks)


def text_chunks(
    pieces: Iterable[str], *, finish: str | None = "stop", role: bool = True, usage: Json | None = None
) -> list[Json]:
    """A whole textual answer: role, one chunk for each piece, finish, and usage where there is one."""
    chunks = [chunk("", role="assistant")] if role else []
    chunks += [chunk(piece) for piece in pieces]
    if finish is not None:
        chunks.append(chunk(finish=finish))
    if usage is not None:
        chunks.append(envelope([], usage=usage))
    return chunks


def stream(chunks: Iterable[Mapping[str, Any]], *, done: bool = True, **head: Any) -> list[Step]:
    """A streamed answer that ends well, every chunk in a write of its own; `head` goes to Head."""
    steps: list[Step] = [Head(**head)]
    steps += [Send(frame(value)) for value in chunks]
    if done:
        steps.append(Send(DONE))
    return [*steps, End()]


def text_stream(pieces: Iterable[str] = ("Hello", " world"), *, usage: Json | None = USAGE) -> list[Step]:
    return stream(text_chunks(pieces, usage=usage))


def one_by_one(words: Iterable[str]) -> list[Step]:
    """Words that each come in a read of their own, so that a relay (`streams/relay.py`) takes them."""
    return [step for word in words for step in (Send(frame(chunk(word))), Pause(0.003))]


def streamed_bytes(
    body: bytes, *, each: int | None = None, at: Sequence[int] = (), **head: Any
) -> list[Step]:
    """An event stream given as bytes, which leave in the pieces that `each` or `at` ask for."""
    return [Head(**head), Send(body, each=each, at=at), End()]


def plain(
    body: Mapping[str, Any] | bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Script:
    """An answer in one piece with a Content-Length: JSON, or bytes of any kind."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = {} if isinstance(body, bytes) else {"Content-Type": "application/json"}
    head = Head(status, {**kind, **(headers or {})}, framing="length", length=len(data))
    return [head, Send(data), End()]


def completion(content: str = "Hello world", *, usage: Json | None = USAGE, **message: Any) -> Json:
    """The answer of an upstream that does not stream."""
    value: Json = {
        "id": "chatcmpl-upstream",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "mock",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": "stop",
            }
        ],
    }
    return value if usage is None else value | {"usage": usage}


def error(
    status: int,
    message: str = "the upstream refuses",
    *,
    kind: str = "invalid_request_error",
    code: str | int | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Script:
    """An HTTP error in OpenAI's envelope."""
    value = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return plain(value, status, headers)


def broken_off(chunks: Iterable[Mapping[str, Any]], *last: Step) -> list[Step]:
    """A streamed answer that ends badly: by the steps given, or else by a FIN in the middle of its body."""
    return [Head(), *(Send(frame(value)) for value in chunks), *(last or (Close(),))]
