"""Owns upstreams that break off and others that go on, and how clients of every dialect ask and read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chat import DONE, chunk, envelope, frame, text_chunks
from tests.chat_stream import payloads
from tests.gateway import Config, gateway_config
from tests.messages import event, message_start, text
from tests.raw_http import Address, Response, fetch
from tests.script import Close, End, Head, Script, Send, Step
from tests.upstream import Request, Upstream

Json = dict[str, Any]

PIECES: Final = ("One, ", "two;", " drei 漢字", "\n\n", "- f(x) 🌊", "\n", "- data: ", '"x"', " end.")
"""An answer whose pieces end in words, in white space and beside it."""
TEXT: Final = "".join(PIECES)
PROMPT_TOKENS: Final = 11
QUESTION: Final = "Count.|"
"""What is asked; its last character tells a prompt of raw text from the beginning of the answer behind it."""

ON_BREAK: Final = "Tidegate-On-Break"


def config(upstream: Upstream, **sections: Any) -> Config:
    """Models over providers that go on each in a way of its own; all of them are the same model.

    `WAY` asks one that does not go on, and then one that does; `twice` asks two that do."""
    base = f"{upstream.url}/v1"
    server = {"base_url": base, "api_key": "sk-up"}
    cannot = {**server, "continues": "none"}
    claude = {**server, "dialect": "anthropic-messages", "continues": "prefill"}
    ways = {
        "continue_final_message": {**server, "continues": "continue_final_message"},
        "prefix": {**server, "continues": "prefix"},
        "partial": {**server, "continues": "partial"},
        "prefill": {**server, "continues": "prefill"},
        "claude": claude,
        "raw": {**server, "dialect": "openai-completions"},
        "deepseek": server,
    }
    once = {"retry": {"attempts": 1}}
    models: Json = {way: {"use": ["cannot/mock", f"{way}/mock"], **once} for way in ways}
    models["twice"] = {"use": ["prefill/mock", "partial/mock"], "retry": {"attempts": 2, "backoff": "1ms"}}
    models["alone"] = {"use": ["cannot/mock"], **once}
    models["never"] = {"use": ["cannot/mock", "prefill/mock"], "on_break": "fail", **once}
    models["restless"] = {**models["prefill"], "timeouts": {"idle": "300ms"}}
    models["others"] = {"use": ["cannot/mock", "prefill/another"], **once}
    models["labelled"] = {
        "use": ["cannot/mock", {"deployment": "prefill/another"}],
        "same_as": "one-model",
        **once,
    }
    return gateway_config(upstream.url, providers={"cannot": cannot, **ways}, models=models, **sections)


# Upstreams


def begun(request: Request) -> str | None:
    """The beginning that an upstream is asked to go on with; None when it is asked for a whole answer."""
    body = request.json
    if "messages" not in body:
        prompt: str = body["prompt"]
        return prompt.partition("|")[2] or None
    last = body["messages"][-1]
    return str(last["content"]) if last["role"] == "assistant" else None


def said(request: Request, pieces: Sequence[str], *last: Step) -> Script:
    """An answer in the dialect that was asked in, which ends well unless ``last`` says otherwise."""
    frames = next(shape for path, shape in SHAPES.items() if request.path.endswith(path))(pieces, not last)
    return [Head(), *map(Send, frames), *(last or (End(),))]


def _chat(pieces: Sequence[str], finish: bool) -> list[bytes]:
    usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": len(pieces), "total_tokens": 0}
    parts = text_chunks(pieces, finish="stop" if finish else None, usage=usage if finish else None)
    return [frame(part) for part in parts] + ([DONE] if finish else [])


def _completions(pieces: Sequence[str], finish: bool) -> list[bytes]:
    def one(words: str, reason: str | None = None) -> bytes:
        choice = {"index": 0, "text": words, "finish_reason": reason, "logprobs": None}
        return frame({**envelope([]), "object": "text_completion", "choices": [choice]})

    usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": len(pieces), "total_tokens": 0}
    ends = [one("", "stop"), frame(envelope([], usage=usage)), DONE] if finish else []
    return [*map(one, pieces), *ends]


def _messages(pieces: Sequence[str], finish: bool) -> list[bytes]:
    start = message_start(usage={"input_tokens": PROMPT_TOKENS, "output_tokens": 1})
    values = [start, *text(0, pieces)]
    if not finish:
        return list(map(event, values[:-1]))
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    usage = {"output_tokens": len(pieces)}
    ends: list[Json] = [{"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]
    return list(map(event, [*values, *ends]))


SHAPES: Final[Mapping[str, Callable[[Sequence[str], bool], list[bytes]]]] = {
    "/chat/completions": _chat,
    "/completions": _completions,
    "/messages": _messages,
}


def rest(beginning: str) -> list[str]:
    """What is left of the answer, in pieces of a few characters."""
    assert TEXT.startswith(beginning), beginning
    left = TEXT[len(beginning) :]
    return [left[at : at + 5] for at in range(0, len(left), 5)]


def breaks_after(count: int, *last: Step) -> Callable[[Request], Script]:
    """An upstream that breaks off after so many pieces, and goes on truly when it is asked to."""

    def answer(request: Request) -> Script:
        beginning = begun(request)
        if beginning is None:
            return said(request, PIECES[:count], *(last or (Close(),)))
        return said(request, rest(beginning))

    return answer


# Clients


@dataclass
class Read:
    """What a client has read: its text, how it ended, its counts, and what was told of seams."""

    text: str = ""
    terminals: list[str] = field(default_factory=list)
    usage: tuple[int, int] | None = None
    seams: list[Json] | None = None
    events: list[Json] = field(default_factory=list)


def ask(
    address: Address,
    dialect: str,
    model: str,
    *,
    stream: bool = True,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Read:
    """One question in a dialect, and the strict reading of its answer."""
    path, body = _asked(dialect, model, stream)
    response = fetch(address, "POST", path, {**body, **more}, headers=headers)
    assert response.status == 200, response.body
    return READERS[dialect](response, stream)


def _asked(dialect: str, model: str, stream: bool) -> tuple[str, Json]:
    turn = {"role": "user", "content": QUESTION}
    streamed: Json = {"stream": stream}
    if dialect == "openai-chat":
        options = {"stream_options": {"include_usage": True}} if stream else {}
        return "/v1/chat/completions", {"model": model, "messages": [turn], **streamed, **options}
    if dialect == "openai-completions":
        options = {"stream_options": {"include_usage": True}} if stream else {}
        return "/v1/completions", {"model": model, "prompt": QUESTION, **streamed, **options}
    if dialect == "anthropic-messages":
        return "/v1/messages", {"model": model, "max_tokens": 100, "messages": [turn], **streamed}
    if dialect == "openai-responses":
        return "/v1/responses", {"model": model, "input": QUESTION, **streamed}
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{model}:{verb}", {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]}


def _read_chat(response: Response, stream: bool) -> Read:
    read = Read()
    if not stream:
        value = response.json
        read.text, read.terminals = value["choices"][0]["message"]["content"], ["[DONE]"]
        read.usage = value["usage"]["prompt_tokens"], value["usage"]["completion_tokens"]
        read.seams = value.get("tidegate", {}).get("seams")
        return read
    for data in payloads(response.body):
        if data == "[DONE]":
            read.terminals.append(data)
            continue
        value = json.loads(data)
        read.events.append(value)
        for choice in value["choices"]:
            read.text += choice.get("text") or choice.get("delta", {}).get("content") or ""
            if choice["finish_reason"] == "error":
                read.terminals.append("error")
        if value.get("usage"):
            read.usage = value["usage"]["prompt_tokens"], value["usage"]["completion_tokens"]
        if "tidegate" in value:
            read.seams = value["tidegate"]["seams"]
    return read


def _read_completions(response: Response, stream: bool) -> Read:
    if stream:
        return _read_chat(response, stream)
    value = response.json
    usage = value["usage"]["prompt_tokens"], value["usage"]["completion_tokens"]
    return Read(value["choices"][0]["text"], ["[DONE]"], usage, value.get("tidegate", {}).get("seams"))


def _named(response: Response) -> list[Json]:
    """The values of events that have names, each equal to its type."""
    found = []
    for block in response.body.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        found.append(value)
    return found


def _read_messages(response: Response, stream: bool) -> Read:
    if not stream:
        value = response.json
        (content,) = value["content"]
        usage = value["usage"]["input_tokens"], value["usage"]["output_tokens"]
        return Read(content["text"], ["message_stop"], usage, value.get("tidegate", {}).get("seams"))
    read = Read(events=_named(response))
    started = 0
    for value in read.events:
        kind = value["type"]
        started = value["message"]["usage"]["input_tokens"] if kind == "message_start" else started
        if kind == "content_block_delta":
            assert value["index"] == 0
            read.text += value["delta"]["text"]
        elif kind in ("message_stop", "error"):
            read.terminals.append(kind)
        elif kind == "message_delta":
            counts = value["usage"]
            read.usage = counts.get("input_tokens", started), counts["output_tokens"]
            read.seams = value.get("tidegate", {}).get("seams")
    assert [each["type"] for each in read.events].count("message_start") == 1
    assert [each["type"] for each in read.events].count("content_block_start") <= 1
    return read


def _read_responses(response: Response, stream: bool) -> Read:
    if not stream:
        return _read_response(response.json)
    events = _named(response)
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    terminals = [each["type"] for each in events if each["type"] in ("response.completed", "response.failed")]
    read = _read_response(events[-1]["response"])
    deltas = [each["delta"] for each in events if each["type"] == "response.output_text.delta"]
    assert read.text == "".join(deltas)
    read.terminals, read.events = terminals, events
    assert [each["type"] for each in events].count("response.output_item.added") <= 1
    return read


def _read_response(value: Json) -> Read:
    text = "".join(part["text"] for item in value["output"] for part in item["content"])
    read = Read(text, ["response.completed"], None, value.get("tidegate", {}).get("seams"))
    if value["usage"] is not None:
        read.usage = value["usage"]["input_tokens"], value["usage"]["output_tokens"]
    return read


def _read_gemini(response: Response, stream: bool) -> Read:
    blocks = response.body.decode().split("\n\n")
    streamed = [json.loads(each.removeprefix("data: ")) for each in blocks if each.startswith("data: ")]
    read = Read(events=streamed if stream else [response.json])
    for value in read.events:
        if "error" in value:
            read.terminals.append("error")
            break
        for candidate in value["candidates"]:
            read.text += "".join(part["text"] for part in candidate["content"]["parts"])
            if "finishReason" in candidate:
                read.terminals.append(candidate["finishReason"])
        if counts := value.get("usageMetadata"):
            read.usage = counts["promptTokenCount"], counts["candidatesTokenCount"]
        if "tidegate" in value:
            read.seams = value["tidegate"]["seams"]
    return read


READERS: Final[Mapping[str, Callable[[Response, bool], Read]]] = {
    "openai-chat": _read_chat,
    "openai-completions": _read_completions,
    "anthropic-messages": _read_messages,
    "openai-responses": _read_responses,
    "gemini": _read_gemini,
}
SUCCESS: Final = {
    "openai-chat": "[DONE]",
    "openai-completions": "[DONE]",
    "anthropic-messages": "message_stop",
    "openai-responses": "response.completed",
    "gemini": "STOP",
}

ROLE: Final = chunk("", role="assistant")
