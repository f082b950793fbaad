"""Canonical events to legacy completion chunks, by the same rules as Chat's.

Only text has a form here: thinking and calls are left out. The first frame has an empty text, as a keep-alive
has, so that headers can be sent before a token has come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tidegate.core.event import SEAMS, AnyEvent, End, Extra, Finish, Item, Start, Text
from tidegate.core.lifecycle import Action, SideBySide
from tidegate.core.request import Header
from tidegate.core.run import Run
from tidegate.core.usage import Usage
from tidegate.dialects.framed import Framed
from tidegate.dialects.openai_chat.errors import error_object
from tidegate.dialects.openai_chat.render import with_seams
from tidegate.dialects.openai_chat.usage import write_usage
from tidegate.dialects.openai_completions.logprobs import to_legacy
from tidegate.dialects.translation.items import own_item
from tidegate.wire.ascii_json import ascii_json, quote

FINISH_REASONS: Final = {
    "end_turn": "stop",
    "tool_use": "stop",
    "tool_calls": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
"""Words of other dialects, and the nearest ones here."""

_NOTHING: Extra = {}


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What stands before and after the text in frames of one choice with the same unknown fields."""

    choice: int
    extra: Extra | None
    before: str
    after: str


class CompletionsStreamRenderer(Framed):
    """Renders one stream as ``text_completion`` frames."""

    content_type = b"text/event-stream; charset=utf-8"

    __slots__ = ("_extra", "_head", "_header", "_known", "_lengths", "_life", "_usage")

    def __init__(self, header: Header) -> None:
        self._header = header
        self._head = self._head_for(header.model)
        self._usage = ',"usage":null' if header.include_usage else ""
        self._lengths: dict[int, int] = {}
        """Characters of each choice that has begun; counted where logprobs were asked for."""
        self._life = SideBySide()
        self._known: _Surroundings | None = None
        self._extra: Extra | None = None

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        frames: list[str] = []
        for event in events:
            known = self._known
            if (
                known is not None
                and type(event) is Text
                and event.extra is known.extra
                and event.choice == known.choice
                and event.logprobs is None
            ):
                frames.append(known.before + _escaped(quote(event.text)) + known.after)
            else:
                self._event(event, frames)
        return "".join(frames).encode("ascii")

    def keep_alive(self) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        return self._frame(0, "", None).encode("ascii")

    def _skip_more(self, rest: Run) -> int:
        return rest.count if type(rest.event) is Text else self._skip_unshown(rest)

    def _event(self, event: AnyEvent, frames: list[str]) -> None:
        if isinstance(event, Start) and event.model is not None:
            self._head = self._head_for(event.model)
        for action, choice in self._life.actions(event):
            if action is Action.DELTA and isinstance(event, Text):
                frames.append(self._text(event))
            elif action is Action.START and isinstance(event, Start):
                frames.append(self._frame(0, "", event.extra))
            elif action is Action.ITEM and isinstance(event, Item):
                self._item(event, frames)
            elif action is Action.FINISH:
                self._known = None
                finish = event if isinstance(event, Finish) else Finish(reason="stop", choice=choice)
                reason = quote(FINISH_REASONS.get(finish.reason, finish.reason))
                frames.append(self._frame(choice, "", with_seams(finish), reason))
            elif action is Action.END and isinstance(event, End):
                self._end(event, frames)

    def _item(self, item: Item, frames: list[str]) -> None:
        if item.kind == "choice":
            frames.append(self._frame(item.choice, "", {**(item.extra or {}), "choice": item.value}))
        elif item.kind == "chunk":
            frames.append(self._frame(item.choice, "", {"chunk": item.value}))
        elif (told := own_item(item)) is not None:
            frames.append(self._frame(item.choice, "", {"chunk": {SEAMS: told}}))

    def _text(self, event: Text) -> str:
        length = self._lengths.setdefault(event.choice, 0)
        extra = event.extra or _NOTHING
        logprobs = "null"
        if event.logprobs is not None:
            self._lengths[event.choice] += len(event.text)
            logprobs = ascii_json(to_legacy(event.logprobs, length))
        before = f'data: {_escaped(self._head)}{event.choice},"text":'
        after = f"{_escaped(self._rest(extra, logprobs))}\n\n"
        repeats, self._extra = event.extra is self._extra, event.extra
        if repeats and event.logprobs is None:
            self._known = _Surroundings(event.choice, event.extra, before, after)
        return before + _escaped(quote(event.text)) + after

    def _end(self, end: End, frames: list[str]) -> None:
        if end.error is not None or end.outcome != "completed":
            error = ascii_json(error_object(end.error)) if end.error is not None else "null"
            frame = self._frame(0, "", None, '"error"')
            frames.append(f'{frame[:-3]},"error":{_escaped(error)}}}\n\n')
            return
        if self._header.include_usage:
            usage = ascii_json(write_usage(end.usage or Usage()))
            rest = _members((end.extra or _NOTHING).get("chunk", _NOTHING))
            chunk = f'{self._head.removesuffix(_CHOICE)}[],"usage":{usage}{rest}}}'
            frames.append(f"data: {_escaped(chunk)}\n\n")
        frames.append("data: [DONE]\n\n")

    def _head_for(self, model: str) -> str:
        """The beginning of every chunk, up to the index of its choice."""
        header = self._header
        return (
            f'{{"id":"cmpl-{header.id}","object":"text_completion","created":{header.created},'
            f'"model":{quote(model)},"choices":{_CHOICE}'
        )

    def _frame(self, choice: int, text: str, extra: Extra | None, reason: str = "null") -> str:
        extra = extra or _NOTHING
        logprobs = ascii_json(to_legacy(extra.get("choice", _NOTHING).get("logprobs"), 0))
        chunk = f'{self._head}{choice},"text":{quote(text)}{self._rest(extra, logprobs, reason)}'
        return f"data: {_escaped(chunk)}\n\n"

    def _rest(self, extra: Extra, logprobs: str, reason: str = "null") -> str:
        """What follows the text: the rest of the choice and of the chunk."""
        inner = {name: value for name, value in extra.get("choice", _NOTHING).items() if name != "logprobs"}
        outer = _members(extra.get("chunk", _NOTHING))
        choice = f',"logprobs":{logprobs},"finish_reason":{reason}{_members(inner)}'
        return f"{choice}}}]{self._usage}{outer}}}"


_CHOICE: Final = '[{"index":'


def _members(fields: Mapping[str, Any]) -> str:
    """Further members of an object that has some already."""
    return f",{ascii_json(fields)[1:-1]}" if fields else ""


def _escaped(json: str) -> str:
    """Keep ``data: `` out of the payload, as in Chat."""
    return json.replace("data: ", "data:\\u0020") if "data: " in json else json
