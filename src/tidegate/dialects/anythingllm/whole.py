"""The fold of a stream as the body of ``chat``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tidegate.core.event import AnyEvent, End, Finish, Item, Text, Thinking, seams_told
from tidegate.core.request import Header
from tidegate.dialects.anythingllm.errors import aborted, uuid_of
from tidegate.dialects.anythingllm.told import CLOSING, OPENING, Told, thought_of
from tidegate.dialects.framed import Framed
from tidegate.dialects.translation.items import with_items
from tidegate.wire.ascii_json import ascii_json

NOTHING: Final = "No text completion could be completed with this input."
"""What is told in the place of an answer without a word."""


class AnythingLLMWholeRenderer(Framed):
    """Renders nothing until the stream has completed, then the whole answer at once."""

    content_type = b"application/json; charset=utf-8"

    def __init__(self, header: Header) -> None:
        self._header = header
        self._told = Told()
        self._text: list[str] = []
        self._thinks = False
        self._finished = False

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`, as for all that follow."""
        for event in events:
            if isinstance(event, End):
                return self._whole(event) if event.outcome == "completed" and event.error is None else b""
            if getattr(event, "choice", 0) == 0:
                self._add(event)
        return b""

    def keep_alive(self) -> bytes:
        return b""

    def _add(self, event: AnyEvent) -> None:
        if isinstance(event, Item):
            self._told.add(event)
        elif isinstance(event, Finish):
            self._finished = True
        elif self._finished:
            return
        elif isinstance(event, Text) and event.text:
            self._end_thinking()
            self._text.append(event.text)
        elif isinstance(event, Thinking):
            thought = thought_of(event)
            if thought is not None:
                self._told.thoughts.append(thought)
            elif event.text and not self._told.one_piece:
                self._text.append(event.text if self._thinks else OPENING + event.text)
                self._thinks = True

    def _end_thinking(self) -> None:
        if self._thinks:
            self._text.append(CLOSING)
            self._thinks = False

    def _whole(self, end: End) -> bytes:
        self._end_thinking()
        told, text = self._told, "".join(self._text)
        closed = {"close": True, "error": None}
        answer: dict[str, Any] = {"id": uuid_of(self._header.id)}
        if not text and not told.outputs:
            answer |= aborted(NOTHING)
        elif told.one_piece or told.agents:
            answer |= {"type": "textResponse", "sources": told.sources, **closed, "textResponse": text}
            answer |= told.agents
        else:
            answer |= {"type": "textResponse", **closed, "chatId": told.chat, "textResponse": text}
            answer |= {"sources": told.sources}
        answer["metrics"] = told.metrics(end.usage, self._header)
        if told.agents and told.chat is not None:
            answer["chatId"] = told.chat
        answer |= seams_told(end)
        answer |= with_items(answer, told.items)
        return ascii_json(answer).encode("ascii")
