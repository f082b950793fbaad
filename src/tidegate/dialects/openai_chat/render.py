"""Canonical events to OpenAI Chat chunks, in the form that the most naive client can read.

The rules, each of which some real client depends on: one line of ASCII JSON a frame, LF only, no
comments, ids or event names; ``choices`` never empty unless usage was asked for; ``delta`` always an
object; the role first; the finish on a frame of its own; nothing after ``[DONE]``; a failed stream ends
in one chunk with both ``choices[0]`` and ``error``, and no ``[DONE]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple

from tidegate.core.event import AnyEvent, End, Extra, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.request import Header
from tidegate.core.usage import Usage
from tidegate.dialects.openai_chat.errors import error_object
from tidegate.dialects.openai_chat.usage import write_usage

_MARK = "\x00"
_QUOTED_MARK = encode_basestring_ascii(_MARK)

_FINISH_REASONS = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}


class _Surroundings(NamedTuple):
    """What stands before and after the text in the frames of one block."""

    kind: type[Text] | type[Thinking] | type[Tool]
    choice: int
    block: int
    extra: Extra | None
    before: str
    after: str


class ChatStreamRenderer:
    """Renders one stream as ``chat.completion.chunk`` frames."""

    content_type = b"text/event-stream; charset=utf-8"

    def __init__(self, header: Header) -> None:
        self._header = header
        self._model = header.model
        self._roles: set[int] = set()
        self._finished: set[int] = set()
        self._positions: dict[int, dict[int, int]] = {}
        self._known: _Surroundings | None = None

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        if len(events) == 1 and (frame := self._known_frame(events[0])) is not None:
            return frame.encode("ascii")
        frames: list[str] = []
        for event in events:
            if (frame := self._known_frame(event)) is not None:
                frames.append(frame)
            else:
                self._event(event, frames)
        return "".join(frames).encode("ascii")

    def keep_alive(self) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        return self._frame(self._chunk(0, {})).encode("ascii")

    def _known_frame(self, event: AnyEvent) -> str | None:
        """The frame of a delta that differs in its text alone from the one before."""
        known = self._known
        if known is None or type(event) is not known.kind:
            return None
        if event.extra is not known.extra or event.block != known.block or event.choice != known.choice:
            return None
        if type(event) is Text:
            if event.logprobs is not None:
                return None
            text = event.text
        elif type(event) is Thinking:
            if event.signature is not None or event.redacted is not None:
                return None
            text = event.text
        elif isinstance(event, Tool):
            if event.call_id is not None or event.name is not None:
                return None
            text = event.arguments
        else:
            return None
        return known.before + _quoted(text) + known.after

    def _event(self, event: AnyEvent, frames: list[str]) -> None:
        match event:
            case Start():
                self._model = event.model or self._model
                self._role(0, frames, event.extra)
            case End():
                self._end(event, frames)
            case Finish():
                self._role(event.choice, frames)
                self._finished.add(event.choice)
                chunk = self._chunk(event.choice, {}, event.extra)
                chunk["choices"][0]["finish_reason"] = _FINISH_REASONS.get(event.reason, event.reason)
                frames.append(self._frame(chunk))
            case Item():
                self._role(event.choice, frames)
                frames.append(self._frame(self._item(event)))
            case Text() | Thinking() | Tool():
                self._role(event.choice, frames)
                frames.append(self._frame(self._delta(event)))
                self._learn(event)

    def _role(self, choice: int, frames: list[str], extra: Extra | None = None) -> None:
        if choice not in self._roles:
            self._roles.add(choice)
            frames.append(self._frame(self._chunk(choice, {"role": "assistant", "content": ""}, extra)))

    def _delta(self, event: Text | Thinking | Tool) -> dict[str, Any]:
        extra = event.extra or {}
        if isinstance(event, Text):
            chunk = self._chunk(event.choice, {"content": event.text, **extra.get("delta", {})}, extra)
            if event.logprobs is not None:
                chunk["choices"][0]["logprobs"] = event.logprobs
            return chunk
        if isinstance(event, Thinking):
            name = extra.get("name", "reasoning_content")
            delta = {name: event.text, **extra.get("delta", {})}
            return self._chunk(event.choice, delta, extra)
        positions = self._positions.setdefault(event.choice, {})
        position = positions.get(event.block)
        call: dict[str, Any] = {"index": position}
        function: dict[str, Any] = {"arguments": event.arguments}
        if position is None:
            call["index"] = position = positions[event.block] = len(positions)
            call["id"] = event.call_id or f"call_{self._header.id[:20]}{event.choice}{position}"
            call["type"] = "function"
            function = {"name": event.name or "", "arguments": event.arguments}
        call["function"] = function
        call.update(extra.get("tool", {}))
        return self._chunk(event.choice, {"tool_calls": [call], **extra.get("delta", {})}, extra)

    def _item(self, item: Item) -> dict[str, Any]:
        # A delta that is exactly {} is the mark of a keep-alive, hence the empty content.
        if item.kind == "delta":
            return self._chunk(item.choice, item.value, item.extra)
        if item.kind == "choice":
            chunk = self._chunk(item.choice, {"content": ""}, item.extra)
            chunk["choices"][0].update(item.value)
            return chunk
        if item.kind == "chunk":
            return self._chunk(item.choice, {"content": ""}, {"chunk": item.value})
        delta = {"content": "", "tidegate": {"kind": item.kind, "value": item.value}}
        return self._chunk(item.choice, delta, item.extra)

    def _end(self, end: End, frames: list[str]) -> None:
        if end.error is not None or end.outcome != "completed":
            chunk = self._chunk(0, {})
            chunk["choices"][0]["finish_reason"] = "error"
            if end.error is not None:
                chunk["error"] = error_object(end.error)
            frames.append(self._frame(chunk))
            return
        for choice in sorted((self._roles or {0}) - self._finished):
            chunk = self._chunk(choice, {})
            chunk["choices"][0]["finish_reason"] = "stop"
            frames.append(self._frame(chunk))
        if self._header.include_usage:
            chunk = self._chunk(0, {})
            chunk["choices"] = []
            chunk["usage"] = write_usage(end.usage or Usage())
            frames.append(self._frame(chunk))
        frames.append("data: [DONE]\n\n")

    def _chunk(self, choice: int, delta: dict[str, Any], extra: Extra | None = None) -> dict[str, Any]:
        header = self._header
        chunk: dict[str, Any] = {
            "id": f"chatcmpl-{header.id}",
            "object": "chat.completion.chunk",
            "created": header.created,
            "model": self._model,
            "choices": [{"index": choice, "delta": delta, "finish_reason": None}],
        }
        if header.include_usage:
            chunk["usage"] = None
        if extra:
            if "chunk" in extra:
                chunk.update(extra["chunk"])
            if "choice" in extra:
                chunk["choices"][0].update(extra["choice"])
        return chunk

    def _frame(self, chunk: dict[str, Any]) -> str:
        return f"data: {_escaped(dumps(chunk, separators=(',', ':')))}\n\n"

    def _learn(self, event: Text | Thinking | Tool) -> None:
        """Remember the frame of this block's next deltas, but for their text."""
        if isinstance(event, Text):
            sample: Text | Thinking | Tool = Text(
                text=_MARK, choice=event.choice, block=event.block, extra=event.extra
            )
        elif isinstance(event, Thinking):
            sample = Thinking(text=_MARK, choice=event.choice, block=event.block, extra=event.extra)
        else:
            sample = Tool(arguments=_MARK, choice=event.choice, block=event.block, extra=event.extra)
        before, *rest = self._frame(self._delta(sample)).split(_QUOTED_MARK)
        if len(rest) == 1:
            self._known = _Surroundings(type(event), event.choice, event.block, event.extra, before, rest[0])


def _quoted(text: str) -> str:
    return _escaped(encode_basestring_ascii(text))


def _escaped(json: str) -> str:
    """Keep ``data: `` out of the payload: there are clients that delete it from the whole line."""
    return json.replace("data: ", "data:\\u0020") if "data: " in json else json
