"""The fold of a stream as the body of ``chat``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidegate.core.event import AnyEvent, End, Item, Text, Thinking, status_told
from tidegate.core.request import Header
from tidegate.dialects.anythingllm.errors import aborted, uuid_of
from tidegate.dialects.anythingllm.render import CLOSING, FILE, OPENING, Told
from tidegate.dialects.framed import Framed
from tidegate.dialects.translation.items import own_item
from tidegate.wire.ascii_json import ascii_json

_NOTHING = "No text completion could be completed with this input."


class AnythingLLMWholeRenderer(Framed):
    """Renders nothing until the stream has completed, then the whole answer at once."""

    content_type = b"application/json; charset=utf-8"

    def __init__(self, header: Header) -> None:
        self._header = header
        self._uuid = uuid_of(header.id)
        self._told = Told()
        self._text: list[str] = []
        self._thinks = False
        self._thoughts: list[str] = []
        self._outputs: list[Any] = []

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`, as for all that follow."""
        for event in events:
            if type(event) is End:
                return self._end(event)
            if getattr(event, "choice", 0) == 0:
                self._add(event)
        return b""

    def keep_alive(self) -> bytes:
        return b""

    def _add(self, event: AnyEvent) -> None:
        if type(event) is Text:
            self._end_thinking()
            self._text.append(event.text)
        elif type(event) is Thinking:
            status = status_told(event)
            if status is not None:
                self._thoughts.append(str(status.get("text") or event.text).strip())
            elif event.redacted is None:
                self._text.append(event.text if self._thinks else OPENING + event.text)
                self._thinks = True
        elif type(event) is Item:
            self._told.add(event)
            told = own_item(event)
            if event.kind == FILE:
                self._outputs.append({"type": "fileDownload", "fileDownload": event.value})
            elif told is not None:
                self._outputs.append({"type": told["kind"], "value": told["value"]})

    def _end_thinking(self) -> None:
        if self._thinks:
            self._thinks = False
            self._text.append(CLOSING)

    def _end(self, end: End) -> bytes:
        if end.outcome != "completed" or end.error is not None:
            return b""
        self._end_thinking()
        text = "".join(self._text)
        metrics = self._told.metrics(end.usage, self._header)
        answer: dict[str, Any] = {"id": self._uuid}
        if not text:
            answer |= {**aborted(_NOTHING), "metrics": metrics}
        elif self._told.alone:
            answer |= {
                "type": "textResponse",
                "sources": self._told.sources,
                "close": True,
                "error": None,
                "textResponse": text,
                "metrics": metrics,
            }
        else:
            answer |= {"type": "textResponse", "close": True, "error": None}
            answer |= {"chatId": self._told.own.get("chatId"), "textResponse": text}
            answer |= {"sources": self._told.sources}
            if self._thoughts or self._outputs:
                answer |= {"thoughts": self._thoughts, "outputs": self._outputs}
            answer |= {"metrics": metrics}
        return ascii_json(answer).encode("ascii")
