"""What an answer is told with beside its text: the items of this dialect, or what others know of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidegate.core.event import Item, Thinking, status_told
from tidegate.core.request import Header
from tidegate.core.usage import Usage
from tidegate.dialects.translation.citations import CITATION
from tidegate.dialects.translation.items import own_item

NAME: Final = "anythingllm"
FILE: Final = "file"
OPENING: Final = "<think>"
CLOSING: Final = "</think>"
"""What stands around the thinking of a model, in the text itself."""

_WHOLE: Final = "textResponse"


class Told:
    """Collects it.

    An item of the kind ``anythingllm`` may come at any time before the End; of several, the members of later
    ones count. ``chatId`` is a number or null, ``sources`` a list of objects, ``metrics`` an object. With
    ``type``: ``textResponse`` no model gave the answer (a refusal, a reset): it is told in one frame; that
    item must stand before the first text.
    """

    __slots__ = ("_citations", "_own", "items", "outputs", "thoughts")

    def __init__(self) -> None:
        self._own: Mapping[str, Any] = {}
        self._citations: list[Any] = []
        self.thoughts: list[str] = []
        """What a program said of its progress."""
        self.outputs: list[Any] = []
        """The files that it made."""
        self.items: list[Mapping[str, Any]] = []
        """What has no form here."""

    def add(self, item: Item) -> None:
        """Take an item, whatever it is."""
        if item.kind == NAME and item.block is None:
            if isinstance(item.value, Mapping):
                self._own = {**self._own, **item.value}
        elif item.kind == CITATION:
            self._citations.append(item.value)
        elif item.kind == FILE and item.block is None:
            self.outputs.append(card(item.value))
        elif (told := own_item(item)) is not None:
            self.items.append(told)

    @property
    def one_piece(self) -> bool:
        """Whether the answer is told in one frame."""
        return self._own.get("type") == _WHOLE

    @property
    def chat(self) -> Any:
        """The number of the chat, where the answer was kept as one."""
        return self._own.get("chatId")

    @property
    def sources(self) -> list[Any]:
        """What the answer is from."""
        own = self._own.get("sources")
        return list(own) if isinstance(own, (list, tuple)) else list(self._citations)

    @property
    def agents(self) -> dict[str, Any]:
        """The members that answers of agents have besides; none where no agent answered."""
        if not self.thoughts and not self.outputs:
            return {}
        return {"thoughts": list(self.thoughts), "outputs": list(self.outputs)}

    def metrics(self, usage: Usage | None, header: Header) -> Mapping[str, Any]:
        """What the answer took. Nothing here knows the time."""
        own = self._own.get("metrics")
        if isinstance(own, Mapping) or usage is None or self.one_piece:
            return own if isinstance(own, Mapping) else {}
        return {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "model": header.model,
        }


def card(value: Any) -> Any:
    """A file as AnythingLLM tells it, and with what else is known of it."""
    if not isinstance(value, Mapping):
        return value
    names = {"filename": "name", "storageFilename": "id", "fileSize": "size"}
    return {**{theirs: value[ours] for theirs, ours in names.items() if ours in value}, **value}


def thought_of(event: Thinking) -> str | None:
    """The line in which a program tells of its progress; None for what a model thinks."""
    facts = status_told(event)
    if facts is None:
        return None
    text = facts.get("text")
    return text if isinstance(text, str) else event.text.strip()
