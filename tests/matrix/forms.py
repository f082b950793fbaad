"""Owns the other forms in which upstreams of each dialect say an answer: at once, twice, counted oddly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tests.chat import chunk, frame, tool
from tests.hazards.test_usage import PLACEMENTS
from tests.matrix.said import Part, said

Json = dict[str, Any]
Counts = tuple[int, int] | None
"""Tokens in and out; None where an upstream tells none."""

SPOKEN: Final = Part("text", ("Hel", "lo"))


def values(frames: list[bytes]) -> list[Json]:
    """What frames hold that are JSON."""
    data = [each.split(b"data: ", 1)[1] for each in frames]
    return [json.loads(each) for each in data if each.strip() != b"[DONE]"]


def framed(dialect: str, said_values: list[Json]) -> list[bytes]:
    """Values as frames of a dialect."""
    named = dialect in ("anthropic-messages", "openai-responses")
    found = [frame(value, event=value["type"] if named else None) for value in said_values]
    return [*found, frame("[DONE]")] if dialect == "openai-chat" else found


# An answer of thinking, text and a call in as few events as can be


def at_once(dialect: str, thinking: Part, text: Part, call: Part) -> list[bytes]:
    whole = [Part(each.kind, (each.whole,), each.name) for each in (thinking, text, call)]
    frames = said(dialect, *whole)
    if dialect == "openai-chat":
        head = tool(0, call.whole, call_id="call_2", name=call.name)
        everything = chunk(text.whole, role="assistant", reasoning=thinking.whole, tool_calls=[head])
        everything["choices"][0]["finish_reason"] = "tool_calls"
        return [frame(everything), *frames[-2:]]
    if dialect == "gemini":
        *parts, last = values(frames)
        content = {"parts": [each["candidates"][0]["content"]["parts"][0] for each in parts]}
        last["candidates"][0]["content"] = content
        return [frame(last)]
    if dialect == "openai-responses":
        told = [each for each in values(frames) if not each["type"].endswith((".delta", "part.added"))]
        kept = [each for each in told if "_text." not in each["type"] and "arguments" not in each["type"]]
        return framed(dialect, [each for each in kept if "part." not in each["type"]])
    started = [each for each in values(frames) if each["type"] != "content_block_delta"]
    for value in started:
        if value["type"] == "content_block_start":
            value["content_block"] |= [
                {"thinking": thinking.whole},
                {"text": text.whole},
                {"input": json.loads(call.whole)},
            ][value["index"]]
    return framed(dialect, started)


# Snapshots: events that repeat what was said


def snapshots(dialect: str, part: Part) -> list[list[bytes]]:
    """Answers in which text stands once more in full. Responses repeats all of it by itself."""
    frames = said(dialect, part)
    told = values(frames)
    if dialect == "openai-chat":
        again = {"message": {"role": "assistant", "content": part.whole}}
        on_finish = chunk(finish="stop", choice=again)
        at_abort = chunk(part.whole, finish="stop")
        completion = {**chunk(finish="stop", choice=again), "object": "chat.completion"}
        del completion["choices"][0]["delta"]
        return [framed(dialect, [*told[:-2], each, told[-1]]) for each in (on_finish, at_abort, completion)]
    if dialect == "anthropic-messages":
        block = {"type": "text", "text": part.whole}
        in_stops = [{**each, "content_block": block} if "stop" in each["type"] else each for each in told]
        message = {**told[0]["message"], "content": [block]}
        return [framed(dialect, in_stops), framed(dialect, [*told[:-1], {**told[-1], "message": message}])]
    if dialect == "openai-responses":
        progress = {**told[-1]["response"], "status": "in_progress"}
        midway = {"type": "response.in_progress", "sequence_number": 0, "response": progress}
        return [frames, framed(dialect, [*told[:-1], midway, told[-1]])]
    return [frames]  # no chunk of Gemini's repeats another


# Token counts in every place


def counted(dialect: str) -> Mapping[str, tuple[list[bytes], Counts]]:
    """Answers that say Hello, with the counts where upstreams have been seen to put them."""
    if dialect == "openai-chat":
        found = {name: (framed(dialect, each), (11, 7)) for name, each in PLACEMENTS.items()}
        return {**found, "absent": (framed(dialect, values(said(dialect, SPOKEN))[:-1]), None)}
    return {"anthropic-messages": _messages, "openai-responses": _responses, "gemini": _gemini}[dialect]()


def _messages() -> dict[str, tuple[list[bytes], Counts]]:
    name = "anthropic-messages"
    start, *middle, delta, stop = values(said(name, SPOKEN))

    def told(before: Json | None, *after: Json | None) -> list[bytes]:
        begun = {**start, "message": {**start["message"], "usage": before}}
        ends = [{**delta, "usage": each} for each in after]
        for each in ends[:-1]:
            each["delta"] = {"stop_reason": None, "stop_sequence": None}
        return framed(name, [begun, *middle, *ends, stop])

    both = {"input_tokens": 11, "output_tokens": 7}
    return {
        "in the start and in the end": (
            told({"input_tokens": 11, "output_tokens": 1}, {"output_tokens": 7}),
            (11, 7),
        ),
        "in the end alone": (told(None, both), (11, 7)),
        "zeros in the start": (told({"input_tokens": 0, "output_tokens": 0}, both), (11, 7)),
        "growing": (told({"input_tokens": 11}, {"output_tokens": 3}, {"output_tokens": 7}), (11, 7)),
        "absent": (told(None, None), None),
    }


def _responses() -> dict[str, tuple[list[bytes], Counts]]:
    name = "openai-responses"
    *before, last = values(said(name, SPOKEN))

    def told(usage: Json | None) -> list[bytes]:
        return framed(name, [*before, {**last, "response": {**last["response"], "usage": usage}}])

    early = [{**each, "response": {**each["response"], "usage": {"output_tokens": 1}}} for each in before[:2]]
    return {
        "in the end": (told({"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}), (11, 7)),
        "without the sum": (told({"input_tokens": 11, "output_tokens": 7}), (11, 7)),
        "in the beginning too": (framed(name, [*early, *before[2:], last]), (11, 7)),
        "absent": (told(None), None),
    }


def _gemini() -> dict[str, tuple[list[bytes], Counts]]:
    name = "gemini"
    first, second, last = values(said(name, SPOKEN))
    usage = last.pop("usageMetadata")
    growing = {**usage, "candidatesTokenCount": 3}
    finished = {**second, "candidates": [{**second["candidates"][0], "finishReason": "STOP"}]}
    alone = {"usageMetadata": usage, "modelVersion": "mock"}
    at_first = {"usageMetadata": growing}
    return {
        "on the finish": (framed(name, [first, second, {**last, "usageMetadata": usage}]), (11, 7)),
        "on a finish that has text": (framed(name, [first, {**finished, "usageMetadata": usage}]), (11, 7)),
        "in a chunk of its own": (framed(name, [first, second, last, alone]), (11, 7)),
        "on every chunk": (
            framed(name, [{**first, **at_first}, {**second, **at_first}, {**last, "usageMetadata": usage}]),
            (11, 7),
        ),
        "without the sum": (
            framed(
                name,
                [first, {**finished, "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 7}}],
            ),
            (11, 7),
        ),
        "absent": (framed(name, [first, second, last]), None),
    }


# Several answers


def several(dialect: str, texts: list[list[str]], reasons: list[str]) -> list[bytes]:
    """Several answers side by side, a piece of each in turn."""
    turns = [(at, text[step]) for step in range(3) for at, text in enumerate(texts) if step < len(text)]
    if dialect == "openai-chat":
        told = [chunk("", role="assistant", index=at) for at in range(len(texts))]
        told += [chunk(piece, index=at) for at, piece in turns]
        told += [chunk(finish=reason, index=at) for at, reason in reversed(list(enumerate(reasons)))]
        return framed(dialect, told)
    words = {"stop": "STOP", "length": "MAX_TOKENS"}
    told = [{"candidates": [{"index": at, "content": {"parts": [{"text": piece}]}}]} for at, piece in turns]
    ends = [{"index": at, "finishReason": words[reason]} for at, reason in enumerate(reasons)]
    usage = {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}
    return framed(dialect, [*told, {"candidates": ends, "usageMetadata": usage}])
