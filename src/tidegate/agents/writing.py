"""The way of what an agent says into its stream; what was shown before a crash is not shown again.

An agent that is run again says from its beginning what it has to say. As long as that is what was shown, it
is left out. Where it differs, what was shown stays, a seam tells so, and the part that differs follows whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tidegate.core.event import AnyEvent, Extra, Item, Text, Thinking, Tool
from tidegate.core.source import Output
from tidegate.errors import Interrupted

SEAM: Final = "\n\n---\n\n*The gateway was restarted here; what follows is written anew.*\n\n"


@dataclass(slots=True)
class _Call:
    """A tool call that is passed on: its block here, and what of its arguments was shown before."""

    block: int
    shown: str = ""
    begun: bool = False


class Writing:
    """Puts text, thinking, tool calls and items into blocks, and leaves out what ``shown`` holds already."""

    def __init__(self, out: Output, shown: Sequence[AnyEvent] = ()) -> None:
        self._out = out
        self._text = "".join(event.text for event in shown if type(event) is Text)
        self._thinking = "".join(event.text for event in shown if type(event) is Thinking)
        self._items = [event for event in shown if type(event) is Item]
        self._at = 0
        """How much of the text that was shown has been said again."""
        self._thought = 0
        self._part = 0
        """Where the part begins that is being said."""
        self._kind: type[Text] | type[Thinking] | None = None
        self._block = -1
        self._calls: dict[int, _Call] = {}
        """Of those that are passed on, by the block that they come in."""
        self._shown_calls: list[_Call] = []
        for event in shown:
            if type(event) is Text or type(event) is Thinking:
                self._kind, self._block = type(event), event.block
            elif type(event) is Tool:
                self._kind = None
                if event.block > self._block:
                    self._block = event.block
                    self._shown_calls.append(_Call(self._block, begun=True))
                self._shown_calls[-1].shown += event.arguments

    def begin_part(self) -> None:
        """What is said from here on is a part that stands or falls as a whole."""
        self._part = self._at

    def text(self, text: str) -> None:
        """More of the answer. Raises TypeError for what is no text."""
        if not isinstance(text, str):
            raise TypeError(f"an agent yields text, not {type(text).__name__}")
        if self._at < len(self._text):
            ahead = self._text[self._at : self._at + len(text)]
            if text.startswith(ahead):
                self._at += len(ahead)
                text = text[len(ahead) :]
            else:
                text = SEAM + self._text[self._part : self._at] + text
                self._at = len(self._text)
        if text:
            self._out.emit(Text(text=text, block=self._block_of(Text)))

    def thinking(self, text: str, extra: Extra | None = None) -> None:
        """More of what stands beside the answer."""
        if self._thought < len(self._thinking):
            ahead = self._thinking[self._thought : self._thought + len(text)]
            if text.startswith(ahead):
                self._thought += len(ahead)
                text = text[len(ahead) :]
            elif self._behind:
                return
            else:
                self._thought = len(self._thinking)
        elif self._behind:
            return
        if text:
            self._out.emit(Thinking(text=text, block=self._block_of(Thinking), extra=extra))

    def tool(self, event: Tool) -> None:
        """More of a call that is the caller's to make. Raises Interrupted where another one was shown."""
        call = self._calls.get(event.block)
        if call is None:
            call = self._calls[event.block] = self._next_call()
        arguments = event.arguments
        if call.shown:
            ahead = call.shown[: len(arguments)]
            if not arguments.startswith(ahead):
                raise Interrupted("the gateway was stopped while a tool was called", retryable=False)
            call.shown = call.shown[len(ahead) :]
            arguments = arguments[len(ahead) :]
        if not call.begun:
            call.begun = True
            self._out.emit(
                Tool(
                    arguments=arguments,
                    block=call.block,
                    call_id=event.call_id,
                    name=event.name,
                    custom=event.custom,
                )
            )
        elif arguments:
            self._out.emit(Tool(arguments=arguments, block=call.block))

    def _next_call(self) -> _Call:
        if self._shown_calls:
            return self._shown_calls.pop(0)
        self._kind = None
        self._block += 1
        return _Call(self._block)

    def item(self, kind: str, value: Mapping[str, Any]) -> None:
        """Something else: a file, a question to a person."""
        for number, item in enumerate(self._items):
            if item.kind == kind and item.value == value:
                del self._items[: number + 1]
                return
        self._out.emit(Item(kind=kind, value=dict(value)))

    def shown(self, kind: str, member: str, value: Any) -> Any | None:
        """The value of an item that was shown and not said again yet, which has this member."""
        for item in self._items:
            if item.kind == kind and item.value.get(member) == value:
                return item.value
        return None

    @property
    def _behind(self) -> bool:
        return self._at < len(self._text)

    def _block_of(self, kind: type[Text] | type[Thinking]) -> int:
        if kind is not self._kind:
            self._kind = kind
            self._block += 1
        return self._block
