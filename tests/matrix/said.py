"""Owns answers of any parts, in any order, as the frames of an upstream of each dialect."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tests.chat import chunk, envelope, frame, tool

Json = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A stretch of an answer in the pieces in which it comes; a call's are those of its arguments."""

    kind: Literal["text", "thinking", "call"]
    pieces: Sequence[str]
    name: str = ""

    @property
    def whole(self) -> str:
        return "".join(self.pieces)


@dataclass
class Writer:
    """Writes one answer. ``places`` are the parts that have begun, ``done`` those that are complete."""

    parts: Sequence[Part]
    reason: str
    frames: list[bytes] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)

    def start(self) -> None: ...

    def open(self, at: int) -> None: ...

    def piece(self, at: int, piece: str) -> None: ...

    def close(self, at: int) -> None: ...

    def end(self) -> None: ...


class Chat(Writer):
    def start(self) -> None:
        self.frames.append(frame(chunk("", role="assistant")))

    def open(self, at: int) -> None:
        if self.parts[at].kind == "call":
            head = tool(self._index(at), "", call_id=f"call_{at}", name=self.parts[at].name)
            self.frames.append(frame(chunk(tool_calls=[head])))

    def piece(self, at: int, piece: str) -> None:
        kind = self.parts[at].kind
        if kind == "call":
            self.frames.append(frame(chunk(tool_calls=[tool(self._index(at), piece)])))
        else:
            self.frames.append(frame(chunk(piece) if kind == "text" else chunk(reasoning=piece)))

    def _index(self, at: int) -> int:
        return [each for each in self.places if self.parts[each].kind == "call"].index(at)

    def end(self) -> None:
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        self.frames += [frame(chunk(finish=self.reason)), frame(envelope([], usage=usage)), frame("[DONE]")]


class Messages(Writer):
    _REASONS: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}

    def say(self, **value: Any) -> None:
        self.frames.append(frame(value, event=value["type"]))

    def start(self) -> None:
        message: Json = {"id": "msg_upstream", "type": "message", "role": "assistant", "model": "mock"}
        message |= {"content": [], "stop_reason": None, "stop_sequence": None}
        self.say(type="message_start", message={**message, "usage": {"input_tokens": 11, "output_tokens": 1}})
        self.say(type="ping")

    def open(self, at: int) -> None:
        part = self.parts[at]
        blocks: dict[str, Json] = {
            "text": {"type": "text", "text": ""},
            "thinking": {"type": "thinking", "thinking": "", "signature": ""},
            "call": {"type": "tool_use", "id": f"toolu_{at}", "name": part.name, "input": {}},
        }
        self.say(type="content_block_start", index=self.places[at], content_block=blocks[part.kind])

    def piece(self, at: int, piece: str) -> None:
        deltas: dict[str, Json] = {
            "text": {"type": "text_delta", "text": piece},
            "thinking": {"type": "thinking_delta", "thinking": piece},
            "call": {"type": "input_json_delta", "partial_json": piece},
        }
        self.say(type="content_block_delta", index=self.places[at], delta=deltas[self.parts[at].kind])

    def close(self, at: int) -> None:
        self.say(type="content_block_stop", index=self.places[at])

    def end(self) -> None:
        delta = {"stop_reason": self._REASONS[self.reason], "stop_sequence": None}
        self.say(type="message_delta", delta=delta, usage={"output_tokens": 7})
        self.say(type="message_stop")


class Responses(Writer):
    _HEAD: Final[Json] = {"id": "resp_upstream", "object": "response", "model": "mock", "usage": None}
    _TEXTS: Final = {"text": "output_text", "thinking": "reasoning_summary_text"}

    def say(self, kind: str, **fields: Any) -> None:
        value = {"type": f"response.{kind}", "sequence_number": len(self.frames), **fields}
        self.frames.append(frame(value, event=value["type"]))

    def start(self) -> None:
        for kind in ("created", "in_progress"):
            self.say(kind, response={**self._HEAD, "status": "in_progress", "output": [], "error": None})

    def _where(self, at: int) -> Json:
        place: Json = {"item_id": f"item_{at}", "output_index": self.places[at]}
        return (
            place
            | {"text": {"content_index": 0}, "thinking": {"summary_index": 0}, "call": {}}[
                self.parts[at].kind
            ]
        )

    def _part(self, at: int, text: str) -> Json:
        own: Json = {"annotations": [], "logprobs": []} if self.parts[at].kind == "text" else {}
        return {"type": "output_text" if own else "summary_text", "text": text, **own}

    def _item(self, at: int, status: str) -> Json:
        part, done = self.parts[at], status != "in_progress"
        item: Json = {"id": f"item_{at}", "status": status}
        held = [self._part(at, part.whole)] if done else []
        if part.kind == "text":
            return {**item, "type": "message", "role": "assistant", "content": held}
        if part.kind == "thinking":
            return {**item, "type": "reasoning", "summary": held}
        call = {"type": "function_call", "call_id": f"call_{at}", "name": part.name}
        return {**item, **call, "arguments": part.whole if done else ""}

    def _status(self) -> str:
        return "incomplete" if self.reason == "length" else "completed"

    def open(self, at: int) -> None:
        self.say("output_item.added", output_index=self.places[at], item=self._item(at, status="in_progress"))
        kind = {"text": "content_part", "thinking": "reasoning_summary_part"}.get(self.parts[at].kind)
        if kind:
            self.say(f"{kind}.added", **self._where(at), part=self._part(at, ""))

    def piece(self, at: int, piece: str) -> None:
        kind = self._TEXTS.get(self.parts[at].kind, "function_call_arguments")
        self.say(f"{kind}.delta", **self._where(at), delta=piece)

    def close(self, at: int) -> None:
        part = self.parts[at]
        if part.kind == "call":
            self.say("function_call_arguments.done", **self._where(at), arguments=part.whole)
        else:
            kind = {"text": "content_part", "thinking": "reasoning_summary_part"}[part.kind]
            self.say(f"{self._TEXTS[part.kind]}.done", **self._where(at), text=part.whole)
            self.say(f"{kind}.done", **self._where(at), part=self._part(at, part.whole))
        self.say("output_item.done", output_index=self.places[at], item=self._item(at, self._status()))

    def end(self) -> None:
        status = self._status()
        ended: Json = {**self._HEAD, "status": status, "error": None, "incomplete_details": None}
        ended["output"] = [self._item(at, status) for at in self.places]
        ended["usage"] = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
        if status == "incomplete":
            ended["incomplete_details"] = {"reason": "max_output_tokens"}
        self.say(status, response=ended)


class Gemini(Writer):
    def piece(self, at: int, piece: str) -> None:
        kind = self.parts[at].kind
        if kind != "call":
            self._say({"text": piece} if kind == "text" else {"text": piece, "thought": True})

    def close(self, at: int) -> None:
        part = self.parts[at]
        if part.kind == "call":
            self._say({"functionCall": {"name": part.name, "args": json.loads(part.whole or "{}")}})

    def _say(self, part: Json, **fields: Any) -> None:
        candidate = {"index": 0, "content": {"role": "model", "parts": [part]}}
        self.frames.append(frame({"candidates": [candidate], "modelVersion": "mock", **fields}))

    def end(self) -> None:
        candidate = {"index": 0, "finishReason": "MAX_TOKENS" if self.reason == "length" else "STOP"}
        usage = {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}
        self.frames.append(frame({"candidates": [candidate], "modelVersion": "mock", "usageMetadata": usage}))


WRITERS: Final[Mapping[str, Callable[[Sequence[Part], str], Writer]]] = {
    "openai-chat": Chat,
    "openai-responses": Responses,
    "anthropic-messages": Messages,
    "gemini": Gemini,
}


def said(
    dialect: str,
    *parts: Part,
    order: Iterable[int] = (),
    reason: str | None = None,
    cut: bool = False,
) -> list[bytes]:
    """The frames of an answer.

    ``order`` says which part the next piece is of, where they do not come one after another. ``reason`` is
    in Chat's words. An answer that is ``cut`` leaves its last part open and has no end."""
    natural = "tool_calls" if any(part.kind == "call" for part in parts) else "stop"
    writer = WRITERS[dialect](parts, reason or natural)
    writer.start()
    turns = list(order) or [at for at, part in enumerate(parts) for _ in part.pieces]
    for turn, at in enumerate(turns):
        if at not in writer.places:
            writer.places[at] = len(writer.places)
            writer.open(at)
        begun = turns[: turn + 1].count(at)
        writer.piece(at, parts[at].pieces[begun - 1])
        if begun == len(parts[at].pieces) and not (cut and turn == len(turns) - 1):
            writer.close(at)
    if not cut:
        writer.end()
    return writer.frames


def failed(dialect: str, number: int, message: str) -> bytes:
    """The event by which an upstream reports that it is overloaded; it comes after so many others."""
    if dialect == "anthropic-messages":
        error: Json = {"type": "error", "error": {"type": "overloaded_error", "message": message}}
        return frame(error, event="error")
    if dialect == "openai-responses":
        told = {"code": "server_is_overloaded", "message": message}
        response = {"id": "resp_upstream", "object": "response", "status": "failed", "error": told}
        value = {"type": "response.failed", "sequence_number": number, "response": response}
        return frame(value, event="response.failed")
    if dialect == "gemini":
        return frame({"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}})
    return frame({"error": {"message": message, "type": "overloaded_error", "code": None}})
