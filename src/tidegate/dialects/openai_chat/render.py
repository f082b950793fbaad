"""Canonical events to OpenAI Chat chunks, in the form that the most naive client can read.

The rules, each of which some real client depends on: one line of ASCII JSON a frame, LF only, no
comments, ids or event names; ``choices`` never empty unless usage was asked for; ``delta`` always an
object; the role first; the finish on a frame of its own; nothing after ``[DONE]``; a failed stream ends
in one chunk with both ``choices[0]`` and ``error``, and no ``[DONE]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.core.event import AnyEvent, End, Extra, Finish, Item, Start, Text, Thinking, Tool, seams_told
from tidegate.core.lifecycle import Action, SideBySide
from tidegate.core.request import Header
from tidegate.core.run import Run
from tidegate.core.steady import Frames, Marks, cut
from tidegate.core.usage import Usage
from tidegate.dialects.api import DIALECTS
from tidegate.dialects.framed import Framed
from tidegate.dialects.openai_chat.calls import CallWriter
from tidegate.dialects.openai_chat.errors import error_object
from tidegate.dialects.openai_chat.thinking import NAME, write_detail
from tidegate.dialects.openai_chat.usage import write_usage
from tidegate.dialects.translation.citations import foreign_citation, openai_citation, told_here
from tidegate.wire.ascii_json import ascii_json, quote

FINISH_REASONS = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}

_ROLE = '{"role":"assistant","content":""}'
_NOTHING: Extra = {}
_AROUND = frozenset({"chunk", "choice"})
"""The levels of unknown fields that stand around a delta and not in it."""


class ChatStreamRenderer(Framed):
    """Renders one stream as ``chat.completion.chunk`` frames."""

    content_type = b"text/event-stream; charset=utf-8"

    __slots__ = (
        "_after",
        "_before",
        "_block",
        "_calls",
        "_choice",
        "_extra",
        "_head",
        "_header",
        "_hot",
        "_inner",
        "_kind",
        "_levels",
        "_life",
        "_middle",
        "_usage",
    )

    def __init__(self, header: Header) -> None:
        self._header = header
        self._head = self._head_for(header.model)
        self._usage = ',"usage":null' if header.include_usage else ""
        self._life = SideBySide()
        self._calls: CallWriter | None = None
        """Made for a stream's first call: most have none."""
        # The last delta's kind, place and unknown fields, and what stood around its text: most deltas differ
        # from the one before in their text alone, many in unknown fields of the chunk besides.
        self._kind: type[Text] | type[Thinking] | type[Tool] | None = None
        self._hot: type[Text] | None = None
        """That kind too, if it is text."""
        self._choice = self._block = self._levels = 0
        self._extra: Extra | None = None
        self._inner: Mapping[str, Any] | None = None
        self._before = self._after = ""
        self._middle: str | None = None
        """What stands between the text and the unknown fields of the chunk."""

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        if len(events) == 1:
            event = events[0]
            if (  # nearly every call is for one text like the one before: the shortest way for it
                type(event) is self._hot
                and event.block == self._block
                and event.choice == self._choice
                and event.logprobs is None
                and not event.refusal
            ):
                after = self._after if event.extra is self._extra else self._other_after(event.extra)
                if after is not None:
                    text = quote(event.text)
                    if "data: " in text:
                        text = _escaped(text)
                    return f"{self._before}{text}{after}".encode()
        frames: list[str] = []
        for event in events:
            if (frame := self._known_frame(event)) is not None:
                frames.append(frame)
            else:
                self._event(event, frames)
        body = "".join(frames)
        del frames  # one copy less while a large frame is encoded
        return body.encode("ascii")

    def template(self, sample: Text | Thinking, marks: Marks) -> Frames | None:
        """See :class:`tidegate.dialects.api.Templated`."""
        frame = self._known_frame(sample)
        template = None if frame is None else cut(frame.encode("ascii"), marks)
        return None if template is None else Frames(template)

    def passed(self, events: int, text: str) -> None:
        """See :class:`tidegate.dialects.api.Templated`: no frame depends on how many came before it."""

    def keep_alive(self) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        return self._frame(0, "{}", None).encode("ascii")

    def _skip_more(self, rest: Run) -> int:
        if type(rest.event) is Tool and rest.event.custom:  # its form depends on how it was declared
            return self._skip_unshown(rest)
        return rest.count

    def _known_frame(self, event: AnyEvent) -> str | None:
        """The frame of a delta that is like the one before, but for its text and its chunk's fields."""
        if type(event) is not self._kind or event.block != self._block or event.choice != self._choice:
            return None
        if type(event) is Text:
            if event.logprobs is not None or event.refusal:
                return None
            text = event.text
        elif type(event) is Thinking:
            if event.signature is not None or event.redacted is not None:
                return None
            text = event.text
        elif type(event) is Tool:
            if event.call_id is not None or event.name is not None:
                return None
            text = event.arguments
        else:
            return None
        after = self._after if event.extra is self._extra else self._other_after(event.extra)
        return None if after is None else self._before + _quoted(text) + after

    def _other_after(self, extra: Extra | None) -> str | None:
        """What follows the text when only the unknown fields of the chunk are others than the last time."""
        if self._middle is None or extra is None or len(extra) != self._levels:
            return None
        chunk = extra.get("chunk")
        if not chunk or extra.get("choice") is not self._inner:
            return None
        told = ascii_json(chunk)
        if "data: " in told:
            told = _escaped(told)
        return f"{self._middle},{told[1:]}\n\n"

    def _event(self, event: AnyEvent, frames: list[str]) -> None:
        # No isinstance(): it asks the metaclass of the library that events are made with.
        if type(event) is Item and event.kind in DIALECTS:  # what only another dialect knows
            return
        if type(event) is Start and event.model is not None:
            self._head = self._head_for(event.model)
        for action, choice in self._life.actions(event):
            self._act(action, choice, event, frames)

    def _act(self, action: Action, choice: int, event: AnyEvent, frames: list[str]) -> None:
        """One step of a choice's life. Blocks begin and end by what their deltas say."""
        if action is Action.DELTA:
            if type(event) is not Tool or not self._writer().holds(event):
                frames.append(self._delta(event))  # type: ignore[arg-type]
        elif action is Action.START:
            frames.append(self._frame(choice, _ROLE, event.extra if type(event) is Start else None))
        elif action is Action.ITEM:
            frames.append(self._item(event))  # type: ignore[arg-type]
        elif action is Action.FINISH:
            self._finish(event if type(event) is Finish else Finish(reason="stop", choice=choice), frames)
        elif action is Action.END:
            self._end(event, frames)  # type: ignore[arg-type]

    def _finish(self, event: Finish, frames: list[str]) -> None:
        self._kind = self._hot = None
        reason = FINISH_REASONS.get(event.reason, event.reason)
        if (calls := self._calls) is not None:
            frames += [self._frame(event.choice, delta, None) for delta in calls.release(event)]
            reason = calls.reason(event, reason)
        frames.append(self._frame(event.choice, "{}", with_seams(event), quote(reason)))

    def _writer(self) -> CallWriter:
        if self._calls is None:
            self._calls = CallWriter(self._header)
        return self._calls

    def _delta(self, event: Text | Thinking | Tool) -> str:
        """The frame of a delta, in two halves, which are kept for the deltas after it."""
        extra = event.extra or _NOTHING
        begins = type(event) is Tool and self._writer().begins(event)
        refuses, signed, logprobs = False, False, ""
        if type(event) is Text:
            refuses = event.refusal
            name = "refusal" if refuses else "content"
            opening, text, closing = f'{{"{name}":', event.text, "}"
            if event.logprobs is not None:
                logprobs = f',"logprobs":{ascii_json(event.logprobs)}'
        elif type(event) is Thinking:
            name = quote(extra.get("name", "reasoning_content"))
            opening, text, closing = f"{{{name}:", event.text, "}"
            if event.origin == NAME and event.text == "":
                return (
                    self._frame(event.choice, ascii_json(extra["delta"]), extra) if "delta" in extra else ""
                )
            if event.signature is not None or event.redacted is not None:
                signed, closing = True, f',"reasoning_details":[{ascii_json(write_detail(event))}]}}'
        else:
            assert isinstance(event, Tool)
            opening, closing = self._writer().around(event, extra)
            text = event.arguments
        if "delta" in extra:
            closing = f"{closing[:-1]}{_members(extra['delta'])}}}"
        before = "data: " + _escaped(f'{self._head}{event.choice},"delta":{opening}')
        middle = _escaped(f"{closing}{logprobs}{self._rest(extra)}")
        after = f"{middle}{_escaped(_members(extra.get('chunk', _NOTHING)))}}}\n\n"
        if logprobs or begins or signed or refuses:
            self._kind = self._hot = None
        else:
            self._kind, self._choice, self._block = type(event), event.choice, event.block
            self._hot = Text if self._kind is Text else None
            self._extra, self._before, self._after = event.extra, before, after
            self._inner = extra.get("choice")
            self._levels = 1 if self._inner is None else 2
            self._middle = middle if extra.keys() <= _AROUND else None
        return f"{before}{_quoted(text)}{after}"

    def _item(self, item: Item) -> str:
        if told_here(item, NAME):
            return ""
        # A delta that is exactly {} is the mark of a keep-alive, hence the empty content.
        if (page := foreign_citation(item, NAME)) is not None:
            note = {"type": "url_citation", "url_citation": openai_citation(page)}
            return self._frame(item.choice, ascii_json({"content": "", "annotations": [note]}), None)
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
        extra = extra or _NOTHING
        outer = _members(extra.get("chunk", _NOTHING))
        chunk = f'{self._head}{choice},"delta":{delta}{self._rest(extra, reason)}{outer}}}'
        return f"data: {_escaped(chunk)}\n\n"

    def _rest(self, extra: Extra, reason: str = "null") -> str:
        """What follows the delta, up to the unknown fields of the chunk."""
        inner = _members(extra["choice"]) if "choice" in extra else ""
        return f'{inner},"finish_reason":{reason}}}]{self._usage}'


def with_seams(event: Finish) -> Extra | None:
    """What stands beside a finish, with the seams of the stream, if any, among the fields of its chunk."""
    told, extra = seams_told(event), event.extra or _NOTHING
    return event.extra if not told else {**extra, "chunk": {**extra.get("chunk", _NOTHING), **told}}


def _members(fields: Mapping[str, Any]) -> str:
    """Further members of an object that has some already. Decoders keep known names out of extras."""
    return f",{ascii_json(fields)[1:-1]}" if fields else ""


def _quoted(text: str) -> str:
    return _escaped(quote(text))


def _escaped(json: str) -> str:
    """Keep ``data: `` out of the payload: there are clients that delete it from the whole line."""
    return json.replace("data: ", "data:\\u0020") if "data: " in json else json
