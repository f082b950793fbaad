"""Canonical events to the frames of ``stream-chat``.

Chunks of text, an empty one that closes, and ``finalizeResponseStream`` with what is known by then. There is
no ``[DONE]``: the end is that of the connection. A failure ends in ``abort`` and nothing after it, since a
client must not find a success there. Clients print every line that they get, so a keep-alive is an empty
one. Tool calls have no form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.core.event import SEAMS, AnyEvent, End, Finish, Item, Text, Thinking, seams_told
from tidegate.core.lifecycle import Action, SideBySide
from tidegate.core.request import Header
from tidegate.core.run import Run
from tidegate.dialects.anythingllm.as_openai import STRICT
from tidegate.dialects.anythingllm.errors import aborted, uuid_of
from tidegate.dialects.anythingllm.told import CLOSING, OPENING, Told, thought_of
from tidegate.dialects.framed import Framed
from tidegate.wire.ascii_json import ascii_json, quote

BROKEN_OFF = "the answer broke off"
"""What is told of a failure that says nothing itself."""


class AnythingLLMStreamRenderer(Framed):
    """Renders one stream as its frames. Only the first choice has a form."""

    content_type = b"text/event-stream"

    __slots__ = ("_before", "_chats", "_header", "_life", "_said", "_shown", "_thinks", "_told", "_uuid")

    def __init__(self, header: Header) -> None:
        self._header = header
        self._uuid = uuid_of(header.id)
        self._before = (
            f'data: {{"uuid":"{self._uuid}","sources":[],"type":"textResponseChunk","textResponse":'
        )
        self._life = SideBySide()
        self._told = Told()
        self._chats = False
        """Whether more text needs no more than to be written."""
        self._thinks = False
        self._shown = False
        """Whether there was any text."""
        self._said: list[str] = []
        """The text of an answer that is told in one frame."""

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`, as for all that follow."""
        frames: list[str] = []
        for event in events:
            if self._chats and type(event) is Text and event.choice == 0 and event.text:
                frames.append(self._chunk(event.text))
            else:
                self._event(event, frames)
        return "".join(frames).encode("ascii")

    def keep_alive(self) -> bytes:
        return b"\n"

    def _skip_more(self, rest: Run) -> int:
        return self._skip_unshown(rest) if self._told.one_piece else rest.count

    def _event(self, event: AnyEvent, frames: list[str]) -> None:
        self._chats = False
        if getattr(event, "choice", 0) != 0:
            return
        for action, _ in self._life.actions(event):
            if action is Action.DELTA:
                self._delta(event, frames)
            elif action is Action.ITEM and isinstance(event, Item):
                self._item(event, frames)
            elif action is Action.FINISH:
                self._finish(event, frames)
            elif action is Action.END and isinstance(event, End):
                self._end(event, frames)

    def _delta(self, event: AnyEvent, frames: list[str]) -> None:
        if isinstance(event, Text):
            self._text(event.text, frames)
        elif isinstance(event, Thinking):
            thought = thought_of(event)
            if thought is not None:
                self._thought(thought, frames)
            elif event.text and not self._told.one_piece:
                frames.append(self._chunk(event.text if self._thinks else OPENING + event.text))
                self._thinks = self._shown = True

    def _text(self, text: str, frames: list[str]) -> None:
        if not text:
            return
        if self._told.one_piece:
            self._said.append(text)
            return
        self._end_thinking(frames)
        frames.append(self._chunk(text))
        self._shown = self._chats = True

    def _end_thinking(self, frames: list[str]) -> None:
        if self._thinks:
            frames.append(self._chunk(CLOSING))
            self._thinks = False

    def _thought(self, thought: str, frames: list[str]) -> None:
        self._told.thoughts.append(thought)
        frame = {"type": "agentThought", "thought": thought, "sources": [], "attachments": []}
        frames.append(
            self._frame({"id": self._uuid, **frame, "close": False, "error": None, "animate": True})
        )

    def _item(self, item: Item, frames: list[str]) -> None:
        told, files = self._told, len(self._told.outputs)
        told.add(item)
        if len(told.outputs) > files:
            file = {"type": "fileDownload", "fileDownload": told.outputs[-1]}
            frames.append(self._frame({"id": self._uuid, **file, "close": False, "error": None}))
        elif told.items:  # they need not be kept: all that is ours is told when it comes
            frames.append(self._chunk("", more={SEAMS: told.items.pop()}))

    def _finish(self, event: AnyEvent, frames: list[str]) -> None:
        if self._told.one_piece:
            return
        self._end_thinking(frames)
        if self._shown:
            more = seams_told(event) if isinstance(event, Finish) else {}
            frames.append(self._chunk("", close=True, more=more))

    def _end(self, end: End, frames: list[str]) -> None:
        told = self._told
        last: dict[str, Any] = {"close": True, "error": False}
        if end.outcome != "completed" or end.error is not None:
            message = end.error.message if end.error is not None else BROKEN_OFF
            frames.append(self._frame({"uuid": self._uuid, **aborted(message)}))
            if self._header.form == STRICT:
                frames.append(self._frame({"uuid": self._uuid, "type": "finalizeResponseStream", **last}))
        elif told.one_piece:
            answer = {"type": "textResponse", "textResponse": "".join(self._said), "sources": told.sources}
            closed = {"attachments": [], "close": True, "error": None}
            metrics = told.metrics(None, self._header)
            frames.append(self._frame({"id": self._uuid, **answer, **closed, "metrics": metrics}))
        else:
            if self._shown:
                metrics = told.metrics(end.usage, self._header)
                last |= {"chatId": told.chat, "metrics": metrics, "sources": told.sources}
            last |= {**told.agents, **seams_told(end)}
            frames.append(self._frame({"uuid": self._uuid, "type": "finalizeResponseStream", **last}))

    def _chunk(self, text: str, *, close: bool = False, more: Mapping[str, Any] | None = None) -> str:
        rest = f",{ascii_json(more)[1:-1]}" if more else ""
        return f'{self._before}{quote(text)},"close":{"true" if close else "false"},"error":false{rest}}}\n\n'

    def _frame(self, value: Mapping[str, Any]) -> str:
        return f"data: {ascii_json(value)}\n\n"
