"""Events of the Responses API from an upstream to canonical events.

Shapes: https://platform.openai.com/docs/api-reference/responses-streaming. ``sequence_number``,
``obfuscation`` and keep-alives are noise and not kept; indices and our own answer's id are told anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tidegate.core.event import AnyEvent, End, Extra, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.steady import Steady
from tidegate.dialects.api import Recogniser
from tidegate.dialects.openai_responses.errors import reported_error
from tidegate.dialects.openai_responses.kept import NOISE, place, quiet, rest
from tidegate.dialects.openai_responses.learned import Known, learn
from tidegate.dialects.openai_responses.output import CALLS, OutputItem, Said, noted
from tidegate.dialects.openai_responses.usage import NAME, read_usage
from tidegate.dialects.translation.reading import (
    LEARNING_LIMIT,
    LONGEST_LEARNED,
    WRONG_SHAPE,
    FrameReader,
    unreadable,
)
from tidegate.errors import Broken, SourceError
from tidegate.wire.payload import read_object

Fields = dict[str, Any]

_DELTA_KNOWN: Final = frozenset(
    {"type", "delta", "item_id", "output_index", "content_index", "summary_index", "logprobs", *NOISE}
)
_PARTS: Final = frozenset({"output_text", "refusal", "summary_text", "reasoning_text", "text"})
_REASONS: Final = {"max_output_tokens": "length", "max_tokens": "length", "content_filter": "content_filter"}


class ResponsesDecoder(FrameReader):
    """Decodes one streamed or whole answer of the Responses API."""

    __slots__ = (
        "_begun",
        "_blocks",
        "_called",
        "_ended",
        "_extra",
        "_form",
        "_ids",
        "_items",
        "_said",
        "known",
    )

    def __init__(self, max_frame: int) -> None:
        super().__init__(max_frame)
        self._items: dict[int, OutputItem] = {}
        self._ids: dict[str, int] = {}
        self._blocks = 0
        self._begun = self._ended = self._called = False
        self._extra: Extra | None = None
        self._form: Known | None = None
        """That of the frames of the open block."""
        self.known: Recogniser | None = None
        self._said: Said | None = None
        """Of the block that the last delta was of."""

    def feed(self, data: bytes, events: list[AnyEvent]) -> None:
        """See :class:`tidegate.dialects.api.Decoder`."""
        self._read(data, events)
        form = self._form
        self.known = None if form is None or self._partial or self._ended else form.event

    def steady(self) -> Steady | None:
        """See :class:`tidegate.dialects.api.Decoder`."""
        form = self._form
        return form if form is not None and self.known is not None and form.steady else None

    def finish(self, events: list[AnyEvent]) -> None:
        """See :class:`tidegate.dialects.api.Decoder`."""
        self._read_rest(events)
        if not self._ended:
            raise self._cut()

    def whole(self, body: bytes, events: list[AnyEvent]) -> None:
        """See :class:`tidegate.dialects.api.Decoder`."""
        answer = read_object(body)
        try:
            if "output" not in answer:
                if "error" in answer:
                    raise reported_error(answer)
                raise Broken("the upstream's answer has no output")
            # A whole answer is what the last event of a stream holds.
            self._start({"response": answer}, events)
            status = answer.get("status") or "completed"
            self._event(f"response.{status}", {"response": answer}, events)
        except WRONG_SHAPE as error:
            raise unreadable(error, "answer") from error
        if not self._ended:
            raise Broken(f"the upstream's answer is {answer.get('status')!r}, not complete")

    def _frame(self, name: bytes, payload: bytes, events: list[AnyEvent]) -> None:
        if self._ended:
            return
        form = self._form
        if form is not None:
            framed = b"event: %b\ndata: %b\n\n" % (name, payload) if name else b"data: %b\n\n" % payload
            if (delta := form.event(framed)) is not None:
                events.append(delta)
                return
        payload = payload.strip()
        if not payload or payload == b"[DONE]":
            return
        event = read_object(payload)
        kind = event.get("type") or name.decode("utf-8", "replace")
        first = len(events)
        if form is not None:  # another block may be open after this
            if form.template.used:
                self._learned_in_vain = 0
            self._form = None
        self._event(kind, event, events)
        if len(events) == first + 1 and kind.endswith(".delta") and len(payload) < LONGEST_LEARNED:
            self._learn(payload, name, events[first])

    def _event(self, kind: str, event: Fields, events: list[AnyEvent]) -> None:
        reader = _READERS.get(kind)
        if reader is not None:
            if not self._begun:
                self._start(event, events)
            reader(self, event, events)
        elif kind == "error" or (not event.get("type") and "error" in event):
            raise reported_error(event)
        elif kind not in ("keepalive", "ping"):
            self._other(event, events)

    # The answer

    def _start(self, event: Fields, events: list[AnyEvent]) -> None:
        if self._begun:
            return
        self._begun = True
        response = event.get("response") or {}
        model = response.get("model")
        events.append(Start(model=model if isinstance(model, str) and model else None, extra=rest(response)))

    def _lifecycle(self, event: Fields, events: list[AnyEvent]) -> None:
        """An event that says no more than that the answer is coming."""

    def _end(self, event: Fields, events: list[AnyEvent]) -> None:
        response = event.get("response") or {}
        for index, item in enumerate(response.get("output") or ()):
            self._item_whole(index, item, None, events)
        details = response.get("incomplete_details")
        extra: Extra | None = None
        if response.get("status") == "incomplete" or details:
            word = (details or {}).get("reason") or "max_output_tokens"
            reason = _REASONS.get(word, str(word))
            extra = {NAME: {"incomplete_details": details}}
        elif self.open_call is not None:  # half of a call must not look whole
            raise self._cut()
        else:
            reason = "tool_calls" if self._called else "stop"
        self._ended = True
        events.append(Finish(reason=reason, extra=extra))
        usage = read_usage(response.get("usage"))
        events.append(End(outcome="completed", usage=usage, extra=rest(response)))

    def _failed(self, event: Fields, events: list[AnyEvent]) -> None:
        response = event.get("response") or event
        error = response.get("error")
        if not error:
            raise Broken(f"the upstream gave up: its answer is {response.get('status') or 'failed'!r}")
        raise reported_error(response)

    @property
    def open_call(self) -> str | None:
        """See :class:`tidegate.dialects.api.Naming`."""
        calls = (
            each for each in self._items.values() if each.kind in CALLS and not (each.done or each.whole)
        )
        return next((item.name or "" for item in calls), None)

    def _cut(self) -> SourceError:
        if self.open_call is not None:
            return Broken(f"the upstream's answer ended inside a call of the tool {self.open_call!r}")
        began = "response.completed" if self._begun else "it began"
        return Broken(f"the upstream's answer ended before {began}")

    # Items

    def _next_block(self) -> int:
        self._blocks += 1
        return self._blocks - 1

    def _new(self, index: int, item: Fields) -> OutputItem:
        found = self._items[index] = OutputItem(item, self._next_block)
        if isinstance(item.get("id"), str):
            self._ids[item["id"]] = index
        self._called = self._called or found.kind in CALLS
        return found

    def _item_of(self, event: Fields, kind: str) -> OutputItem:
        """The item that an event is about; one that never began is taken to begin now."""
        found = self._find(event)
        if found is None:
            index = event.get("output_index")
            begun = {"type": kind, "id": event.get("item_id"), "call_id": event.get("call_id")}
            found = self._new(index if isinstance(index, int) else len(self._items), begun)
        return found

    def _find(self, event: Fields) -> OutputItem | None:
        """By its index or its id; some servers send neither, and then it is the newest."""
        index, item_id = event.get("output_index"), event.get("item_id")
        if not isinstance(index, int):
            index = len(self._items) - 1 if item_id is None else self._ids.get(str(item_id), -1)
        return self._items.get(index)

    def _item_added(self, event: Fields, events: list[AnyEvent]) -> None:
        item, index = event["item"], event.get("output_index", len(self._items))
        if index not in self._items and str(item.get("id")) not in self._ids:
            self._new(index, item).begin(item, quiet(event), events)

    def _item_done(self, event: Fields, events: list[AnyEvent]) -> None:
        self._item_whole(event.get("output_index"), event["item"], quiet(event), events)

    def _item_whole(
        self, index: int | None, item: Fields, raw: Fields | None, events: list[AnyEvent]
    ) -> None:
        at = self._ids.get(str(item.get("id")), index)
        found = self._items.get(at) if at is not None else None
        if found is None or found.kind != item.get("type", found.kind):
            index = len(self._items) if index is None or index in self._items else index
            found = self._new(index, item)
            found.begin(item, None, events)
        found.finish(item, raw, events)

    def _part_added(self, event: Fields, events: list[AnyEvent]) -> None:
        part = event.get("part") or {}
        kind, index = place(event, part)
        if kind in _PARTS:
            self._item_of(event, "message").part(kind, index, part)
        else:
            self._other(event, events)

    def _part_done(self, event: Fields, events: list[AnyEvent]) -> None:
        part = event.get("part") or {}
        kind, index = place(event, part)
        if kind in _PARTS:
            self._item_of(event, "message").part_done(kind, index, part, events)
        else:
            self._other(event, events)

    def _annotation(self, event: Fields, events: list[AnyEvent]) -> None:
        index = event.get("content_index") or 0
        self._item_of(event, "message").part("output_text", index).annotations += 1
        events.append(Item(kind=NAME, value=quiet(event)))
        events += noted(event.get("annotation"))

    def _call_delta(self, event: Fields, events: list[AnyEvent]) -> None:
        item = self._find(event)
        if item is None or item.block is None:
            raise Broken("the upstream sent arguments of a call that it had not begun")
        if event.get("delta"):
            item.call(event["delta"], self._beside(event), events)
            self._said = item.said

    def _call_done(self, event: Fields, events: list[AnyEvent]) -> None:
        item = self._find(event)
        if item is None or item.block is None:
            return
        item.whole = True
        text = event.get("arguments") or event.get("input") or ""
        if rest := item.said.rest(text):
            item.call(rest, None, events)

    def _other(self, event: Fields, events: list[AnyEvent]) -> None:
        """What we do not know: of an item that we do not know either, or outside of blocks."""
        item = self._find(event)
        block = item.block if item is not None and not item.known else None
        if not self._begun:
            self._start({}, events)
        events.append(Item(kind=NAME, value=quiet(event), block=block))

    def _say(self, event: Fields, kind: str, item_kind: str, events: list[AnyEvent]) -> None:
        """A delta of a part's text, or its whole."""
        index = event.get("content_index", event.get("summary_index")) or 0
        if event["type"].endswith(".done"):
            whole = {name: event.get(name) for name in ("text", "refusal", "logprobs")}
            self._item_of(event, item_kind).part_done(kind, index, whole, events)
            return
        text, logprobs = event.get("delta"), event.get("logprobs")
        if text or logprobs:
            extra = self._beside(event)
            part = self._item_of(event, item_kind).say(kind, index, text or "", extra, logprobs, events)
            self._said = part.said

    def _beside(self, event: Fields) -> Extra | None:
        """Unknown fields of a delta: one object for equal ones in a row."""
        if event.keys() <= _DELTA_KNOWN:
            return None
        extra = {NAME: {"event": {name: event[name] for name in event if name not in _DELTA_KNOWN}}}
        if extra != self._extra:
            self._extra = extra
        return self._extra

    def _learn(self, payload: bytes, name: bytes, event: AnyEvent) -> None:
        """Remember what surrounds the event's text, when that text is all that matters in the frame."""
        if isinstance(event, Tool):
            text, refusal, custom = event.arguments, False, event.custom
        elif isinstance(event, Text) and event.logprobs is None:
            text, refusal, custom = event.text, event.refusal, False
        elif isinstance(event, Thinking):
            text, refusal, custom = event.text, False, False
        else:
            return
        if self._learned_in_vain >= LEARNING_LIMIT:
            return
        self._learned_in_vain += 1
        template = learn(payload, name, text)
        if template is not None and self._said is not None:
            extra = event.extra
            if extra is not None and "event" not in extra[NAME]:
                extra = None  # the first of a block has its item's fields beside it
            elif extra is not None and len(extra[NAME]) > 1:
                return
            self._form = Known(template, type(event), event.block, extra, refusal, custom, self._said)


_Reader = Callable[[ResponsesDecoder, Fields, list[AnyEvent]], None]


def _said(kind: str, item_kind: str) -> _Reader:
    return lambda decoder, event, events: decoder._say(event, kind, item_kind, events)


_D = ResponsesDecoder
_READERS: Final[Mapping[str, _Reader]] = {
    "response.created": _D._lifecycle,
    "response.queued": _D._lifecycle,
    "response.in_progress": _D._lifecycle,
    "response.completed": _D._end,
    "response.incomplete": _D._end,
    "response.done": _D._end,
    "response.failed": _D._failed,
    "response.cancelled": _D._failed,
    "response.output_item.added": _D._item_added,
    "response.output_item.done": _D._item_done,
    "response.content_part.added": _D._part_added,
    "response.content_part.done": _D._part_done,
    "response.reasoning_summary_part.added": _D._part_added,
    "response.reasoning_summary_part.done": _D._part_done,
    "response.reasoning_part.added": _D._part_added,
    "response.reasoning_part.done": _D._part_done,
    "response.output_text.annotation.added": _D._annotation,
    "response.function_call_arguments.delta": _D._call_delta,
    "response.function_call_arguments.done": _D._call_done,
    "response.custom_tool_call_input.delta": _D._call_delta,
    "response.custom_tool_call_input.done": _D._call_done,
    **{
        f"response.{name}.{end}": _said(kind, item_kind)
        for name, kind, item_kind in (
            ("output_text", "output_text", "message"),
            ("refusal", "refusal", "message"),
            ("reasoning_summary_text", "summary_text", "reasoning"),
            ("reasoning_text", "reasoning_text", "reasoning"),
        )
        for end in ("delta", "done")
    },
}
