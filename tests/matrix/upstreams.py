"""Owns the upstreams of the matrix: the same answers as scripts, each in the shape of its dialect."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tests.chat import USAGE, chunk, envelope, error, frame, plain, tool
from tests.matrix.answer import CALLS, FAILURE, SIGNATURE, TEXT, THOUGHT, pieces
from tests.script import Close, End, Head, Script, Send

Json = dict[str, Any]
Frames = list[bytes]
Shape = Callable[[str], Frames]


def script(dialect: str, scenario: str) -> Script:
    """What an upstream of the dialect answers in this scenario."""
    if scenario == "refused":
        return REFUSALS[dialect]
    frames = SHAPES[dialect](scenario)
    last = Close() if scenario == "truncated" else End()
    return [Head(), *(Send(each) for each in frames), last]


# OpenAI Chat


def chat(scenario: str) -> Frames:
    chunks = [chunk("", role="assistant")]
    if scenario == "thinking":
        chunks += [chunk(reasoning=piece) for piece in THOUGHT]
    if scenario == "tools":
        for index, (name, arguments) in enumerate(CALLS):
            chunks.append(chunk(tool_calls=[tool(index, "", call_id=f"call_{index}", name=name)]))
            chunks += [chunk(tool_calls=[tool(index, piece)]) for piece in pieces(arguments)]
    else:
        chunks += [chunk(piece) for piece in TEXT]
    frames = [frame(each) for each in chunks]
    if scenario == "truncated":
        return frames
    if scenario == "broken":
        return [*frames, frame({"error": {"message": FAILURE, "type": "server_error", "code": None}})]
    reason = {"tools": "tool_calls", "length": "length"}.get(scenario, "stop")
    return [*frames, frame(chunk(finish=reason)), frame(envelope([], usage=USAGE)), frame("[DONE]")]


# Anthropic Messages


def event(value: Json) -> bytes:
    return frame(value, event=value["type"])


def messages(scenario: str) -> Frames:
    message: Json = {
        "id": "msg_upstream",
        "type": "message",
        "role": "assistant",
        "model": "mock",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 1},
    }
    values: list[Json] = [{"type": "message_start", "message": message}, {"type": "ping"}]
    blocks: list[tuple[Json, list[Json]]] = []
    if scenario == "thinking":
        deltas: list[Json] = [{"type": "thinking_delta", "thinking": piece} for piece in THOUGHT]
        signed = {"type": "signature_delta", "signature": SIGNATURE}
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]))
    if scenario == "tools":
        for index, (name, arguments) in enumerate(CALLS):
            block = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(arguments)]
            blocks.append((block, deltas))
    else:
        deltas = [{"type": "text_delta", "text": piece} for piece in TEXT]
        blocks.append(({"type": "text", "text": ""}, deltas))
    for index, (block, deltas) in enumerate(blocks):
        values.append({"type": "content_block_start", "index": index, "content_block": block})
        values += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        values.append({"type": "content_block_stop", "index": index})
    frames = [event(value) for value in values]
    if scenario == "truncated":
        return frames[:-1]
    if scenario == "broken":
        failure = {"type": "error", "error": {"type": "api_error", "message": FAILURE}}
        return [*frames[:-1], event(failure)]
    reason = {"tools": "tool_use", "length": "max_tokens"}.get(scenario, "end_turn")
    delta = {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None},
        "usage": {"output_tokens": 7},
    }
    return [*frames, event(delta), event({"type": "message_stop"})]


# OpenAI Responses


def responses(scenario: str) -> Frames:
    values: list[Json] = []

    def say(kind: str, **fields: Any) -> None:
        values.append({"type": kind, "sequence_number": len(values), **fields})

    response: Json = {"id": "resp_upstream", "object": "response", "model": "mock", "status": "in_progress"}
    response |= {"output": [], "error": None, "incomplete_details": None, "usage": None}
    say("response.created", response=response)
    say("response.in_progress", response=response)
    output: list[Json] = []
    if scenario == "thinking":
        output.append(_reasoning(say))
    if scenario == "tools":
        output += [_call(say, index, name, arguments) for index, (name, arguments) in enumerate(CALLS)]
    else:
        output.append(_message(say, len(output), cut=scenario in ("truncated", "broken")))
    if scenario == "truncated":
        pass
    elif scenario == "broken":
        failed = {"status": "failed", "error": {"code": "server_error", "message": FAILURE}}
        say("response.failed", response={**response, **failed})
    else:
        usage = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
        ended = {"status": "completed", "output": output, "usage": usage}
        if scenario == "length":
            ended |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        say(f"response.{ended['status']}", response={**response, **ended})
    return [event(value) for value in values]


Say = Callable[..., None]


def _reasoning(say: Say) -> Json:
    item = {"id": "rs_1", "type": "reasoning", "summary": []}
    where = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    say("response.output_item.added", output_index=0, item=item)
    say("response.reasoning_summary_part.added", **where, part={"type": "summary_text", "text": ""})
    for piece in THOUGHT:
        say("response.reasoning_summary_text.delta", **where, delta=piece)
    part = {"type": "summary_text", "text": "".join(THOUGHT)}
    say("response.reasoning_summary_text.done", **where, text="".join(THOUGHT))
    say("response.reasoning_summary_part.done", **where, part=part)
    done = {**item, "summary": [part], "encrypted_content": SIGNATURE}
    say("response.output_item.done", output_index=0, item=done)
    return done


def _call(say: Say, index: int, name: str, arguments: str) -> Json:
    item = {"id": f"fc_{index}", "type": "function_call", "call_id": f"call_{index}", "name": name}
    where = {"item_id": f"fc_{index}", "output_index": index}
    say(
        "response.output_item.added",
        output_index=index,
        item={**item, "arguments": "", "status": "in_progress"},
    )
    for piece in pieces(arguments):
        say("response.function_call_arguments.delta", **where, delta=piece)
    say("response.function_call_arguments.done", **where, arguments=arguments)
    done = {**item, "arguments": arguments, "status": "completed"}
    say("response.output_item.done", output_index=index, item=done)
    return done


def _message(say: Say, index: int, *, cut: bool) -> Json:
    item: Json = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [],
        "status": "in_progress",
    }
    where = {"item_id": "msg_1", "output_index": index, "content_index": 0}
    part: Json = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    say("response.output_item.added", output_index=index, item=item)
    say("response.content_part.added", **where, part=part)
    for piece in TEXT:
        say("response.output_text.delta", **where, delta=piece, logprobs=[], obfuscation="x" * len(piece))
    whole = {**part, "text": "".join(TEXT)}
    done = {**item, "content": [whole], "status": "completed"}
    if not cut:
        say("response.output_text.done", **where, text=whole["text"], logprobs=[])
        say("response.content_part.done", **where, part=whole)
        say("response.output_item.done", output_index=index, item=done)
    return done


# Gemini


def gemini(scenario: str) -> Frames:
    parts: list[Json] = []
    if scenario == "thinking":
        parts += [{"text": piece, "thought": True} for piece in THOUGHT]
    if scenario == "tools":
        for at, (name, arguments) in enumerate(CALLS):
            signed = {"thoughtSignature": SIGNATURE} if at == 0 else {}
            parts.append({"functionCall": {"name": name, "args": json.loads(arguments)}, **signed})
    else:
        parts += [{"text": piece} for piece in TEXT]
    values = [_candidate([part]) for part in parts]
    if scenario == "truncated":
        return [frame(value) for value in values]
    if scenario == "broken":
        failure = {"error": {"code": 500, "message": FAILURE, "status": "INTERNAL"}}
        return [frame(value) for value in [*values, failure]]
    values[-1]["candidates"][0]["finishReason"] = "MAX_TOKENS" if scenario == "length" else "STOP"
    values[-1]["usageMetadata"] = {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}
    return [frame(value) for value in values]


def _candidate(parts: Sequence[Json]) -> Json:
    content = {"role": "model", "parts": list(parts)}
    return {"candidates": [{"index": 0, "content": content}], "modelVersion": "mock"}


SHAPES: Final[Mapping[str, Shape]] = {
    "openai-chat": chat,
    "openai-responses": responses,
    "anthropic-messages": messages,
    "gemini": gemini,
}
WAIT: Final = {"Retry-After": "7"}
REFUSALS: Final[Mapping[str, Script]] = {
    "openai-chat": error(429, FAILURE, kind="rate_limit_error", headers=WAIT),
    "openai-responses": error(429, FAILURE, kind="rate_limit_error", headers=WAIT),
    "anthropic-messages": plain(
        {"type": "error", "error": {"type": "rate_limit_error", "message": FAILURE}}, 429, WAIT
    ),
    "gemini": plain({"error": {"code": 429, "message": FAILURE, "status": "RESOURCE_EXHAUSTED"}}, 429, WAIT),
}
