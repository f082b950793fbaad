"""Canonical events to OpenAI Chat chunks, in the form that the most naive client can read.

The rules, each of which some real client depends on: one line of ASCII JSON a frame, LF only, no
comments, ids or event names; ``choices`` never empty unless usage was asked for; ``delta`` always an
object; the role first; the finish on a frame of its own; nothing after ``[DONE]``; a failed stream ends
in one chunk with both ``choices[0]`` and ``error``, and no ``[DONE]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.core.event import AnyEvent, End, Extra, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.request import Header
from tidegate.core.usage import Usage
from tidegate.dialects.api import DIALECTS
from tidegate.dialects.openai_chat.calls import CallWriter
from tidegate.dialects.openai_chat.errors import error_object
from tidegate.dialects.openai_chat.thinking import write_detail
from tidegate.dialects.openai_chat.usage import write_usage
from tidegate.wire.ascii_json import ascii_json, quote

FINISH_REASONS = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}

_ROLE = '{"role":"assistant","content":""}'
_NOTHING: Extra = {}


@dataclass(frozen=True, slots=True)
class _Surroundings:
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

    __slots__ = ("_calls", "_extra", "_finished", "_head", "_header", "_known", "_roles", "_usage")

    def __init__(self, header: Header) -> None:
        self._header = header
        self._head = self._head_for(header.model)
        self._usage = ',"usage":null' if header.include_usage else ""
        self._roles: set[int] = set()
        self._finished: set[int] = set()
        self._calls = CallWriter(header)
        self._known: _Surroundings | None = None
        self._extra: Extra | None = None

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        if len(events) == 1:
            event, known = events[0], self._known
            if (  # nearly every call is for one text like the one before: the shortest way for it
                known is not None
                and type(event) is known.kind is Text
                and event.extra is known.extra
                and event.block == known.block
                and event.choice == known.choice
                and event.logprobs is None
            ):
                text = quote(event.text)
                if "data: " in text:
                    text = _escaped(text)
                return (known.before + text + known.after).encode("ascii")
        frames: list[str] = []
        for event in events:
            if (frame := self._known_frame(event)) is not None:
                frames.append(frame)
            else:
                self._event(event, frames)
        body = "".join(frames)
        del frames  # one copy less while a large frame is encoded
        return body.encode("ascii")

    def keep_alive(self) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        return self._frame(0, "{}", None).encode("ascii")

    def _known_frame(self, event: AnyEvent) -> str | None:
        """The frame of a delta that differs in its text alone from the one before."""
        known = self._known
        if (
            known is None
            or type(event) is not known.kind
            or event.extra is not known.extra
            or event.block != known.block
            or event.choice != known.choice
        ):
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
        if isinstance(event, (Text, Thinking, Tool)):
            self._role(event.choice, frames)
            if not isinstance(event, Tool) or not self._calls.holds(event):
                frames.append(self._delta(event))
        elif isinstance(event, Start):
            if event.model is not None:
                self._head = self._head_for(event.model)
            self._role(0, frames, event.extra)
        elif isinstance(event, End):
            self._end(event, frames)
        elif isinstance(event, Finish):
            self._role(event.choice, frames)
            self._finished.add(event.choice)
            frames += [self._frame(event.choice, delta, None) for delta in self._calls.release(event)]
            reason = quote(self._calls.reason(event, FINISH_REASONS.get(event.reason, event.reason)))
            frames.append(self._frame(event.choice, "{}", event.extra, reason))
        elif event.kind not in DIALECTS:  # what only another dialect knows
            self._role(event.choice, frames)
            frames.append(self._item(event))

    def _role(self, choice: int, frames: list[str], extra: Extra | None = None) -> None:
        if choice not in self._roles:
            self._roles.add(choice)
            frames.append(self._frame(choice, _ROLE, extra))

    def _delta(self, event: Text | Thinking | Tool) -> str:
        """The frame of a delta, in two halves, which are kept for the deltas after it."""
        extra = event.extra or _NOTHING
        begins = isinstance(event, Tool) and self._calls.begins(event)
        signed, logprobs = False, ""
        if isinstance(event, Text):
            name = "refusal" if event.refusal else "content"
            opening, text, closing = f'{{"{name}":', event.text, "}"
            if event.logprobs is not None:
                logprobs = f',"logprobs":{ascii_json(event.logprobs)}'
        elif isinstance(event, Thinking):
            name = quote(extra.get("name", "reasoning_content"))
            opening, text, closing = f"{{{name}:", event.text, "}"
            if event.signature is not None or event.redacted is not None:
                signed, closing = True, f',"reasoning_details":[{ascii_json(write_detail(event))}]}}'
        else:
            opening, closing = self._calls.around(event, extra)
            text = event.arguments
        if "delta" in extra:
            closing = f"{closing[:-1]}{_members(extra['delta'])}}}"
        before = _escaped(f'{self._head}{event.choice},"delta":{opening}')
        after = _escaped(f"{closing}{logprobs}{self._rest(extra)}")
        # Extras that differ from delta to delta are not worth remembering; equal ones are one object.
        repeats, self._extra = event.extra is self._extra, event.extra
        if repeats and not logprobs and not begins and not signed:
            self._known = _Surroundings(
                type(event), event.choice, event.block, event.extra, f"data: {before}", f"{after}\n\n"
            )
        return f"data: {before}{_quoted(text)}{after}\n\n"

    def _item(self, item: Item) -> str:
        # A delta that is exactly {} is the mark of a keep-alive, hence the empty content.
        if item.kind == "delta":
            return self._frame(item.choice, ascii_json(item.value), item.extra)
        if item.kind == "choice":
            extra = {**(item.extra or _NOTHING), "choice": item.value}
            return self._frame(item.choice, '{"content":""}', extra)
        if item.kind == "chunk":
            return self._frame(item.choice, '{"content":""}', {"chunk": item.value})
        delta = {"content": "", "tidegate": {"kind": item.kind, "value": item.value}}
        return self._frame(item.choice, ascii_json(delta), item.extra)

    def _end(self, end: End, frames: list[str]) -> None:
        if end.error is not None or end.outcome != "completed":
            error = ascii_json(error_object(end.error)) if end.error is not None else "null"
            frame = self._frame(0, "{}", None, '"error"')
            frames.append(f'{frame[:-3]},"error":{_escaped(error)}}}\n\n')
            return
        unfinished = sorted((self._roles or {0}) - self._finished)
        frames += [self._frame(choice, "{}", None, '"stop"') for choice in unfinished]
        if self._header.include_usage:
            head = self._head.removesuffix('[{"index":')
            usage = ascii_json(write_usage(end.usage or Usage()))
            rest = _members((end.extra or _NOTHING).get("chunk", _NOTHING))
            chunk = f'{head}[],"usage":{usage}{rest}}}'
            frames.append(f"data: {_escaped(chunk)}\n\n")
        frames.append("data: [DONE]\n\n")

    def _head_for(self, model: str) -> str:
        """The beginning of every chunk, up to the index of its choice."""
        header = self._header
        return (
            f'{{"id":"chatcmpl-{header.id}","object":"chat.completion.chunk","created":{header.created},'
            f'"model":{quote(model)},"choices":[{{"index":'
        )

    def _frame(self, choice: int, delta: str, extra: Extra | None, reason: str = "null") -> str:
        chunk = f'{self._head}{choice},"delta":{delta}{self._rest(extra or _NOTHING, reason)}'
        return f"data: {_escaped(chunk)}\n\n"

    def _rest(self, extra: Extra, reason: str = "null") -> str:
        """What follows the delta: the rest of the choice and of the chunk."""
        if not extra:
            return f',"finish_reason":{reason}}}]{self._usage}}}'
        inner = _members(extra.get("choice", _NOTHING))
        outer = _members(extra.get("chunk", _NOTHING))
        return f'{inner},"finish_reason":{reason}}}]{self._usage}{outer}}}'


def _members(fields: Mapping[str, Any]) -> str:
    """Further members of an object that has some already. Decoders keep known names out of extras."""
    return f",{ascii_json(fields)[1:-1]}" if fields else ""


def _quoted(text: str) -> str:
    return _escaped(quote(text))


def _escaped(json: str) -> str:
    """Keep ``data: `` out of the payload: there are clients that delete it from the whole line."""
    return json.replace("data: ", "data:\\u0020") if "data: " in json else json
