"""Canonical events to events of the Responses API, as a stream and as one response object.

Rules that some real client depends on: every frame has an ``event:`` line, which equals ``type``;
``sequence_number`` counts from 0 without a gap; a delta comes after its item and its part have begun; every
event that holds the response shows the same ``id``; a failed stream ends in ``response.failed``, after an
``error`` event, because clients look for one or the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from tidegate.core.event import (
    SEAMS,
    AnyEvent,
    End,
    Extra,
    Finish,
    Item,
    Start,
    Text,
    Thinking,
    Tool,
    seams_told,
)
from tidegate.core.lifecycle import Action, Block, Lifecycle
from tidegate.core.request import Header
from tidegate.core.usage import Usage
from tidegate.dialects.framed import Framed
from tidegate.dialects.openai_responses.answer import Answer
from tidegate.dialects.openai_responses.errors import failed_error
from tidegate.dialects.openai_responses.pieces import (
    Call,
    Fields,
    Message,
    OpenItem,
    Other,
    Reasoning,
    Way,
    beside,
    relocated,
)
from tidegate.dialects.openai_responses.usage import NAME
from tidegate.dialects.translation.citations import foreign_citation, is_document, openai_citation
from tidegate.dialects.translation.items import own_item, with_items
from tidegate.wire.ascii_json import ascii_json, quote
from tidegate.wire.sse import event_frame

_INCOMPLETE: Final = {
    "length": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
"""Why an answer is incomplete, for the reasons of a finish that mean that it is."""

_ANNOTATION: Final = "response.output_text.annotation.added"
_NOTHING: Final[Fields] = {}


@dataclass(frozen=True, slots=True)
class Hot:
    """What stands around the text in the frames of the open block."""

    kind: type[Text] | type[Thinking] | type[Tool]
    block: int
    extra: Extra | None
    """None where there was nothing of this dialect beside the text: that of others is not shown."""
    before: str
    after: str
    parts: list[str]

    def takes(self, extra: Extra | None) -> bool:
        """Whether an event with these fields, which are another object, is told in the same frame."""
        return self.extra is None and extra is not None and NAME not in extra


class Rendering(Framed):
    """One answer, driven by its lifecycle. ``response`` is the response object, once the stream has ended."""

    def __init__(self, header: Header, telling: bool) -> None:
        self._header = header
        self._telling = telling
        self._answer = Answer(header)
        self._lifecycle = Lifecycle(frozenset({NAME}))
        self._frames: list[str] = []
        self._number = 0
        self._started = False
        self._output: list[Fields] = []
        self._item: OpenItem | None = None
        self._block: Block | None = None
        """The block that the open item was told last: it says whether a call is complete."""
        self._items: list[Fields] = []
        """What is ours and has no form here."""
        self._incomplete: Fields | None = None
        self._hot: Hot | None = None
        self.response: Fields | None = None

    def _take(self, event: AnyEvent) -> None:
        if isinstance(event, Finish) and event.choice == 0:
            self._finish(event)
        for action, said, block in self._lifecycle.steps((event,)):
            self._step(action, said, block)

    def _step(self, action: Action, event: AnyEvent, block: Block | None) -> None:
        if action is Action.DELTA:
            self._delta(event)
        elif action is Action.OPEN:
            assert block is not None
            self._open(cast(Any, event), block)
        elif action is Action.CLOSE:
            self._hot = None
            if self._item is not None:
                self._item.close_part()
        elif action is Action.ITEM:
            self._outside(cast(Item, event))
        elif action is Action.START:
            self._start(event)
        elif action is Action.FINISH:
            self._close_item(last=True)
        else:
            self._end(cast(End, event))

    # The answer

    def _start(self, event: AnyEvent) -> None:
        if isinstance(event, Start):
            self._answer.model = event.model or self._answer.model
            self._answer.take(event.extra)
        self._started = True
        response = self._answer.build("in_progress", [])
        self._tell("response.created", {"response": response})
        self._tell("response.in_progress", {"response": response})

    def _finish(self, finish: Finish) -> None:
        """Learn whether the answer is whole, before its last blocks are ended."""
        told = (finish.extra or _NOTHING).get(NAME)
        word = _INCOMPLETE.get(finish.reason)
        if told is not None and "incomplete_details" in told:
            self._incomplete = told["incomplete_details"] or {"reason": word or finish.reason}
        elif word is not None:
            self._incomplete = {"reason": word}

    def _end(self, end: End) -> None:
        if not self._started:  # clients take nothing before response.created
            self._start(end)
        self._hot = None
        usage = end.usage or Usage()
        if end.outcome == "completed" and end.error is None:
            self._answer.take(end.extra)
            status = "incomplete" if self._incomplete is not None else "completed"
            self.response = self._answer.build(status, self._output, usage=usage, incomplete=self._incomplete)
            self.response.update(seams_told(end))
            self.response.update(with_items(self.response, self._items))
        else:
            error = failed_error(end.error)
            item, self._item = self._item, None
            if isinstance(item, (Message, Reasoning)):  # a call that was cut is not to be seen at all
                self._output.append(item.close(cut=True, incomplete=True))
            self._tell("error", {name: error.get(name) for name in ("code", "message", "param")})
            status = "failed"
            self.response = self._answer.build(status, self._output, usage=end.usage, error=error)
        self._tell(f"response.{status}", {"response": self.response})

    # Blocks

    def _open(self, event: Text | Thinking | Tool | Item, block: Block) -> None:
        told, item = beside(event), self._item
        goes_on = told is None or "item" not in told
        if isinstance(event, Text):
            if not (isinstance(item, Message) and goes_on):
                fields = (told or _NOTHING).get("item", _NOTHING)
                item = self._begin(Message(self._tell, self._next(), fields, self._id("msg")))
            assert isinstance(item, Message)
            item.open_part(event.refusal, (told or _NOTHING).get("part", _NOTHING))
        elif isinstance(event, Thinking):
            # Of another dialect, each block is signed by itself, so each is an item.
            if not (isinstance(item, Reasoning) and told is not None and goes_on):
                fields = (told or _NOTHING).get("item", _NOTHING)
                item = self._begin(Reasoning(self._tell, self._next(), fields, self._id("rs")))
            assert isinstance(item, Reasoning)
            item.open_part((told or _NOTHING).get("part", _NOTHING))
        elif isinstance(event, Tool):
            known = self._answer.tools.get(event.name or "") if told is None else None
            made = f"{self._header.id}{self._next()}", f"call_{self._header.id[:20]}0{self._next()}"
            self._begin(Call(self._tell, self._next(), event, known, made))
        else:
            other = Other(self._tell, self._next(), event.value)
            self._begin(other)
            other.open(event.value)
        self._block = block

    def _next(self) -> int:
        """The index of the item that begins next, once the open one has ended."""
        return len(self._output) + (self._item is not None)

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._header.id}{self._next()}"

    def _begin(self, item: OpenItem) -> OpenItem:
        self._close_item(last=False)
        self._item = item
        item.begin()
        return item

    def _close_item(self, *, last: bool) -> None:
        item, self._item = self._item, None
        self._hot = None
        if item is None:
            return
        short = self._incomplete is not None
        cut = False
        if short and isinstance(item, Call):
            whole = self._block is None or self._block.complete()
            cut = not whole or (last and item.custom)
        self._output.append(item.close(cut=cut, incomplete=short and last))

    def _delta(self, event: AnyEvent) -> None:
        item = self._item
        if isinstance(event, Text) and isinstance(item, Message):
            logprobs = item.logprobs(event.logprobs) if event.logprobs is not None else []
            if event.text or logprobs:
                self._more(event, event.text, item.way(), logprobs)
        elif isinstance(event, Thinking) and isinstance(item, Reasoning):
            if event.text:
                self._more(event, event.text, item.way(), [])
            item.sign(event)
        elif isinstance(event, Tool) and isinstance(item, Call):
            if item.held:
                item.parts.append(event.arguments)
            elif event.arguments:
                self._more(event, event.arguments, item.way(), [])
        elif isinstance(event, Item) and isinstance(item, Other):
            item.tell(event.value)
        if item is not None and not isinstance(event, Item):
            item.change(beside(cast(Any, event)))

    def _more(self, event: Text | Thinking | Tool, text: str, way: Way, logprobs: list[Any]) -> None:
        """A delta, in two halves, which are kept for the deltas after it."""
        way.parts.append(text)
        told = beside(event)
        more = (told or _NOTHING).get("event", _NOTHING)
        if logprobs:
            self._tell(way.kind, {**way.fields, "delta": text, **way.after, "logprobs": logprobs, **more})
            return
        members = ascii_json({"type": way.kind, **way.fields})[:-1]
        rest = ascii_json({**way.after, **more})[1:-1]
        before = f'event: {way.kind}\ndata: {members},"delta":'
        after = f',{rest},"sequence_number":' if rest else ',"sequence_number":'
        # The first event of a block has its item beside it, the others have not.
        extra = event.extra if told is not None and "event" in told and len(told) == 1 else None
        self._hot = Hot(type(event), event.block, extra, before, after, way.parts)
        if self._telling:
            self._frames.append(f"{before}{quote(text)}{after}{self._number}}}\n\n")
        self._number += 1

    def _outside(self, item: Item) -> None:
        """What stands outside of blocks: told where it is in our own dialect, and nowhere else."""
        if (page := foreign_citation(item, NAME)) is not None:
            self._cite(_annotation(page))
        if (told := own_item(item)) is not None:
            self._items.append(told)
            self._tell("keepalive", {SEAMS: told})
        if item.kind != NAME:
            return
        value, here = item.value, self._item
        if value.get("type") == _ANNOTATION and isinstance(here, Message):
            here.annotate(value.get("annotation"))
            index = len(here.item["content"]) - 1
            value = {**value, **here.place, "content_index": index}
        elif here is not None and value.get("item_id") == here.place["item_id"]:
            value = relocated(value, here.index) | {"type": value.get("type")}
        self._tell(str(value.get("type") or "message"), {k: v for k, v in value.items() if k != "type"})

    def _cite(self, annotation: Fields) -> None:
        """Note a page on the open text."""
        here = self._item
        if isinstance(here, Message) and (number := here.annotate(annotation)) is not None:
            place = {**here.place, "content_index": len(here.item["content"]) - 1}
            self._tell(_ANNOTATION, {**place, "annotation_index": number, "annotation": annotation})

    def _tell(self, kind: str, members: Fields) -> None:
        if self._telling:
            told = ascii_json({"type": kind, **members, "sequence_number": self._number})
            self._frames.append(event_frame(kind, told))
        self._number += 1

    def _known_text(self, event: AnyEvent) -> str | None:
        """The text of a delta that differs in nothing else from the one before; kept for what comes after."""
        hot = self._hot
        if hot is None or not self._lifecycle.continues(event):
            return None
        if event.extra is not hot.extra and not hot.takes(event.extra):
            return None
        if type(event) is Text:
            if event.logprobs is not None or not event.text:
                return None
            hot.parts.append(event.text)
            return event.text
        if type(event) is Thinking:
            if event.signature is not None or event.redacted is not None or not event.text:
                return None
            hot.parts.append(event.text)
            return event.text
        if type(event) is Tool and event.arguments:
            assert self._lifecycle.block is not None
            self._lifecycle.block.arguments.append(event.arguments)
            hot.parts.append(event.arguments)
            return event.arguments
        return None


def _annotation(page: Fields) -> Fields:
    """A page, or a document that was searched, in OpenAI's form."""
    if not is_document(page):
        return {"type": "url_citation", **openai_citation(page)}
    name = page.get("title") or page["document"]
    return {
        "type": "file_citation",
        "file_id": page["document"],
        "filename": name,
        "index": page.get("end", 0),
    }
