"""Canonical events to the frames of ``stream-chat``.

Chunks of text, an empty one that closes, and ``finalizeResponseStream`` with the chat's id, its metrics and
sources; the connection's end is the end, there is no ``[DONE]``. Clients print every line that they get, so
a keep-alive is an empty one. Only the first choice has a form, and no tool call: what calls tools on this
API's behalf tells of it as thoughts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidegate.core.event import AnyEvent, End, Item, Text, Thinking, status_told
from tidegate.core.lifecycle import Action, SideBySide
from tidegate.core.request import Header
from tidegate.core.run import Run
from tidegate.core.usage import Usage
from tidegate.dialects.anythingllm.errors import aborted, uuid_of
from tidegate.dialects.framed import Framed
from tidegate.dialects.translation.citations import CITATION
from tidegate.dialects.translation.items import own_item
from tidegate.wire.ascii_json import ascii_json, quote

NAME: Final = "anythingllm"
FILE: Final = "file"
OPENING: Final = "<think>"
CLOSING: Final = "</think>"
"""What stands around the thinking of a model, in the text itself."""


class Told:
    """What an answer is told with besides its text: the item of this dialect, or what others know of it."""

    __slots__ = ("citations", "own")

    def __init__(self) -> None:
        self.own: Mapping[str, Any] = {}
        self.citations: list[Mapping[str, Any]] = []

    def add(self, item: Item) -> None:
        """Take an item that says something about the answer."""
        if item.kind == NAME and isinstance(item.value, Mapping):
            self.own = {**self.own, **item.value}
        elif item.kind == CITATION and isinstance(item.value, Mapping):
            self.citations.append(item.value)

    @property
    def alone(self) -> bool:
        """Whether no model gave the answer: it comes in one piece."""
        return "type" in self.own

    @property
    def sources(self) -> list[Any]:
        """What the answer is from."""
        own = self.own.get("sources")
        return list(own) if isinstance(own, (list, tuple)) else list(self.citations)

    def metrics(self, usage: Usage | None, header: Header) -> Mapping[str, Any]:
        """What the answer took."""
        own = self.own.get("metrics")
        if isinstance(own, Mapping):
            return own
        if usage is None:
            return {}
        return {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "model": header.model,
        }


class AnythingLLMRenderer(Framed):
    """Renders one stream as its frames."""

    content_type = b"text/event-stream"

    __slots__ = ("_after", "_before", "_header", "_life", "_said", "_shown", "_thinks", "_told", "_uuid")

    def __init__(self, header: Header) -> None:
        self._header = header
        self._uuid = uuid_of(header.id)
        self._before = (
            f'data: {{"uuid":"{self._uuid}","sources":[],"type":"textResponseChunk","textResponse":'
        )
        self._after = ',"close":false,"error":false}\n\n'
        self._life = SideBySide()
        self._told = Told()
        self._thinks = False
        self._shown = False
        """Whether there was any text."""
        self._said: list[str] = []
        """The text of an answer that is told whole."""

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`, as for all that follow."""
        frames: list[str] = []
        for event in events:
            for action, choice in self._life.actions(event):
                if choice == 0:
                    self._act(action, event, frames)
        return "".join(frames).encode("ascii")

    def keep_alive(self) -> bytes:
        return b"\n"

    def frames(self, data: bytes) -> list[bytes]:
        return [frame + b"\n\n" for frame in data.split(b"\n\n") if frame.strip()]

    def _skip_more(self, rest: Run) -> int:
        if type(rest.event) is Text and not self._told.alone:
            return rest.count
        return self._skip_unshown(rest)

    def _act(self, action: Action, event: AnyEvent, frames: list[str]) -> None:
        if action is Action.DELTA and type(event) is Text:
            self._add(event.text, frames)
        elif action is Action.DELTA and type(event) is Thinking:
            self._think(event, frames)
        elif action is Action.ITEM and type(event) is Item:
            self._item(event, frames)
        elif action is Action.FINISH:
            self._finish(frames)
        elif action is Action.END and type(event) is End:
            self._end(event, frames)

    def _add(self, text: str, frames: list[str]) -> None:
        if self._told.alone:
            self._said.append(text)
            return
        self._end_thinking(frames)
        frames.append(self._chunk(text))

    def _think(self, event: Thinking, frames: list[str]) -> None:
        if (status := status_told(event)) is not None:
            thought = status.get("text")
            said = thought if isinstance(thought, str) else event.text.strip()
            frames.append(
                self._frame(
                    {
                        "id": self._uuid,
                        "type": "agentThought",
                        "thought": said,
                        "sources": [],
                        "attachments": [],
                        "close": False,
                        "error": None,
                        "animate": True,
                    }
                )
            )
        elif event.redacted is None and not self._told.alone:
            frames.append(self._chunk(event.text if self._thinks else OPENING + event.text))
            self._thinks = True

    def _end_thinking(self, frames: list[str]) -> None:
        if self._thinks:
            self._thinks = False
            frames.append(self._chunk(CLOSING))

    def _item(self, item: Item, frames: list[str]) -> None:
        self._told.add(item)
        if item.kind == FILE:
            frames.append(
                self._frame(
                    {
                        "id": self._uuid,
                        "type": "fileDownload",
                        "fileDownload": item.value,
                        "close": False,
                        "error": None,
                    }
                )
            )
        elif (told := own_item(item)) is not None:
            frames.append(
                self._frame({"id": self._uuid, "type": told["kind"], "value": told["value"], "close": False})
            )

    def _finish(self, frames: list[str]) -> None:
        if self._told.alone:
            frames.append(
                self._frame(
                    {
                        "id": self._uuid,
                        "type": "textResponse",
                        "textResponse": "".join(self._said),
                        "sources": self._told.sources,
                        "attachments": [],
                        "close": True,
                        "error": None,
                        "metrics": self._told.metrics(None, self._header),
                    }
                )
            )
            return
        self._end_thinking(frames)
        if self._shown:
            frames.append(f'{self._before}"","close":true,"error":false}}\n\n')

    def _end(self, end: End, frames: list[str]) -> None:
        if end.outcome != "completed" or end.error is not None:
            message = end.error.message if end.error is not None else "the answer did not complete"
            frames.append(self._frame({"id": self._uuid, **aborted(message)}))
        elif not self._told.alone:
            last: dict[str, Any] = {
                "uuid": self._uuid,
                "type": "finalizeResponseStream",
                "close": True,
                "error": False,
            }
            if self._shown:
                last["chatId"] = self._told.own.get("chatId")
                last["metrics"] = self._told.metrics(end.usage, self._header)
                last["sources"] = self._told.sources
            frames.append(self._frame(last))

    def _chunk(self, text: str) -> str:
        self._shown = True
        return self._before + quote(text) + self._after

    def _frame(self, value: Mapping[str, Any]) -> str:
        return f"data: {ascii_json(value)}\n\n"
