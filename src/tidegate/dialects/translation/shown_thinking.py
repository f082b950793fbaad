"""Thinking as part of the visible text, for clients that show nothing else.

Stands between the events and the renderer of any dialect, and depends on the events alone, as that one does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tidegate.core.event import AnyEvent, End, Extra, Finish, Item, Text, Thinking, Tool
from tidegate.core.run import Run, Skipped
from tidegate.dialects.api import Renderer

_OPENING: Final = "<think>\n"
_CLOSING: Final = "\n</think>\n"
_DETAILS: Final = "reasoning_details"
"""In which OpenRouter tells the same thinking again, and its signature."""


class ShownThinking:
    """A renderer of answers in which thinking is text, between ``<think>`` and ``</think>``.

    The text that follows goes on in the same block. Signatures, which nobody could give back, are not shown.
    """

    __slots__ = (
        "_cleaned",
        "_moved",
        "_renderer",
        "_seen",
        "_thinking",
        "content_type",
        "frames",
        "keep_alive",
    )

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self.content_type = renderer.content_type
        self.keep_alive = renderer.keep_alive
        self.frames = renderer.frames
        self._thinking: dict[int, Text] = {}
        """The text that ends a choice's thinking, while it thinks."""
        self._moved: dict[tuple[int, int], int] = {}
        """Blocks of text that go on in another one."""
        self._seen: Extra | None = None
        self._cleaned: Extra | None = None

    @property
    def response(self) -> Any:
        """What is kept of the answer, in a dialect that keeps it."""
        return getattr(self._renderer, "response", None)

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        shown: list[AnyEvent] = []
        for event in events:
            self._show(event, shown)
        return self._renderer.render(shown) if shown else b""

    def skip(self, item: Skipped) -> int:
        """See :class:`tidegate.dialects.api.Renderer`."""
        if not isinstance(item, Run):
            shown: list[AnyEvent] = []
            self._show(item, shown)
            return sum(map(self._renderer.skip, shown))
        first, rest = item.parted()
        frames = self.skip(first)
        shown = []
        self._show(rest.event, shown)
        # Behind the first delta of a run the others are text or calls, in another place at most.
        runs = (Run(event, rest.sizes) for event in shown if isinstance(event, (Text, Tool)))
        return frames + sum(map(self._renderer.skip, runs))

    def _show(self, event: AnyEvent, shown: list[AnyEvent]) -> None:
        if type(event) is Thinking:
            self._think(event, shown)
        elif type(event) is Text:
            self._text(event, shown)
        else:
            self._other(event, shown)

    def _think(self, event: Thinking, shown: list[AnyEvent]) -> None:
        if not event.text:
            return
        text, block, extra = event.text, event.block, self._clean(event.extra)
        closing = self._thinking.get(event.choice)
        if closing is None:
            text = _OPENING + text
            self._thinking[event.choice] = Text(text=_CLOSING, choice=event.choice, block=block, extra=extra)
        else:
            block = closing.block
        shown.append(Text(text=text, choice=event.choice, block=block, extra=extra))

    def _text(self, event: Text, shown: list[AnyEvent]) -> None:
        extra = self._clean(event.extra)
        closing = self._thinking.pop(event.choice, None)
        if closing is not None:
            shown.append(closing)
            if not event.refusal:
                self._moved[event.choice, event.block] = closing.block
        block = self._moved.get((event.choice, event.block))
        if block is not None or extra is not event.extra:
            event = Text(
                text=event.text,
                choice=event.choice,
                block=event.block if block is None else block,
                logprobs=event.logprobs,
                refusal=event.refusal,
                extra=extra,
            )
        shown.append(event)

    def _other(self, event: AnyEvent, shown: list[AnyEvent]) -> None:
        if isinstance(event, End):
            if event.outcome == "completed":  # what broke off is not made to look whole
                shown += self._thinking.values()
            self._thinking.clear()
        elif isinstance(event, (Tool, Finish)) or (isinstance(event, Item) and event.block is not None):
            closing = self._thinking.pop(event.choice, None)
            if closing is not None:
                shown.append(closing)
        elif isinstance(event, Item) and event.kind == "delta" and _DETAILS in event.value:
            event = msgspec.structs.replace(event, value=_without_details(event.value))
            if not event.value:
                return
        shown.append(event)

    def _clean(self, extra: Extra | None) -> Extra | None:
        """Unknown fields without a second account of the thinking; the same object for the same object."""
        if extra is None or _DETAILS not in extra.get("delta", ()):
            return extra
        if extra is not self._seen:
            self._seen = extra
            delta = _without_details(extra["delta"])
            self._cleaned = (
                {**extra, "delta": delta}
                if delta
                else {name: value for name, value in extra.items() if name != "delta"} or None
            )
        return self._cleaned


def _without_details(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != _DETAILS}
