"""Answers of ``/api/v1/openai/chat/completions`` in the very shape that AnythingLLM gives them.

Chunks are called ``chat.completion`` and say their role each time, the last has the metrics for its usage,
and there is no ``[DONE]``. For clients that depend on that; all others get OpenAI's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tidegate.core.event import AnyEvent, End, Item, Text, Thinking, status_told
from tidegate.core.lifecycle import Action, SideBySide
from tidegate.core.request import Header
from tidegate.dialects.anythingllm.errors import uuid_of
from tidegate.dialects.anythingllm.told import CLOSING, OPENING, Told
from tidegate.dialects.framed import Framed
from tidegate.wire.ascii_json import ascii_json

STRICT: Final = "anythingllm"
"""The form of an answer that is to be as AnythingLLM's is, also where that is a defect."""

_PREFIX: Final = "workspace/"


class AsOpenAIRenderer(Framed):
    """Renders one stream, or a whole answer where the header says so."""

    __slots__ = ("_header", "_life", "_said", "_thinks", "_told", "content_type")

    def __init__(self, header: Header) -> None:
        self.content_type = b"text/event-stream" if header.stream else b"application/json; charset=utf-8"
        self._header = header
        self._life = SideBySide()
        self._told = Told()
        self._said: list[str] = []
        self._thinks = False

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`, as for all that follow."""
        frames: list[str] = []
        for event in events:
            for action, choice in self._life.actions(event):
                if action is Action.END and isinstance(event, End):
                    self._end(event, frames)
                elif choice == 0:
                    self._event(action, event, frames)
        return "".join(frames).encode("ascii")

    def keep_alive(self) -> bytes:
        return b"\n" if self._header.stream else b""

    def _event(self, action: Action, event: AnyEvent, frames: list[str]) -> None:
        if action is Action.ITEM and type(event) is Item:
            self._told.add(event)
        elif action is Action.DELTA and type(event) is Text:
            self._say(f"{CLOSING if self._thinks else ''}{event.text}", frames)
            self._thinks = False
        elif action is Action.DELTA and type(event) is Thinking and status_told(event) is None:
            self._say(event.text if self._thinks else f"{OPENING}{event.text}", frames)
            self._thinks = True

    def _say(self, text: str, frames: list[str]) -> None:
        if self._header.stream:
            frames.append(self._chunk(text))
        else:
            self._said.append(text)

    def _end(self, end: End, frames: list[str]) -> None:
        failed = end.outcome != "completed" or end.error is not None
        metrics = dict(self._told.metrics(end.usage, self._header))
        closing = CLOSING if self._thinks and not failed else ""
        if self._header.stream:
            frames.append(self._chunk(closing, "abort" if failed else "stop", metrics))
        elif not failed:
            content = "".join(self._said) + closing
            choice: dict[str, Any] = {
                "index": 0,
                "message": {"role": "assistant", "content": content},
                "logprobs": None,
                "finish_reason": "stop" if content else "no_content",
            }
            frames.append(ascii_json({**self._head(), "choices": [choice], "usage": metrics}))

    def _chunk(self, text: str, reason: str | None = None, usage: dict[str, Any] | None = None) -> str:
        choice = {
            "index": 0,
            "delta": {"role": "assistant", "content": text},
            "logprobs": None,
            "finish_reason": reason,
        }
        return f"data: {ascii_json({**self._head(), 'choices': [choice], 'usage': usage or {}})}\n\n"

    def _head(self) -> dict[str, Any]:
        return {
            "id": uuid_of(self._header.id),
            "object": "chat.completion",
            "created": self._header.created,
            "model": self._header.model.removeprefix(_PREFIX),
        }
