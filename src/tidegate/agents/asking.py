"""One question to a model, asked by an agent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import aclosing
from typing import Any, NamedTuple

from tidegate.core.event import AnyEvent, End, Finish, Item, Text, Thinking, Tool
from tidegate.core.usage import Usage

Events = Callable[[], AsyncGenerator[AnyEvent, None]]


class Call(NamedTuple):
    """A tool call that the model made. ``arguments`` is JSON text, as it was written."""

    call_id: str
    name: str
    arguments: str


class Asking:
    """An answer on its way: iterate over it for its text piece by piece, or await it for the whole text.

    Asked once, however often it is looked at; the fields tell of it as far as it has come.
    """

    def __init__(
        self,
        begin: Events,
        *,
        begins: Callable[[], None],
        counts: Callable[[Usage], None],
        tells: Callable[[Item], None],
    ) -> None:
        self._begin = begin
        self._begins = begins
        self._counts = counts
        self._tells = tells
        self._parts: list[str] = []
        self._calls: dict[int, Call] = {}
        self._over = False
        self.thinking = ""
        self.usage: Usage | None = None
        """What it cost, when it has ended."""
        self.reason: str | None = None
        """Why it ended, in OpenAI Chat's words."""

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(self._parts)

    @property
    def calls(self) -> list[Call]:
        """The tool calls, whole when the answer has ended."""
        return list(self._calls.values())

    def __aiter__(self) -> AsyncIterator[str]:
        return self._pieces()

    def __await__(self) -> Generator[Any, None, str]:
        return self._whole().__await__()

    async def events(self) -> AsyncGenerator[AnyEvent, None]:
        """Everything that is said: thinking and tool calls as well as text."""
        if self._over:
            raise RuntimeError("the answer was read already; its text is in .text")
        self._over = True
        async with aclosing(self._begin()) as events:
            async for event in events:
                self._note(event)
                yield event

    async def _pieces(self) -> AsyncGenerator[str, None]:
        self._begins()
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                yield piece

    async def pieces(self) -> AsyncGenerator[str, None]:
        """The text, for whoever shows it later than now."""
        if self._over:
            if self._parts:
                yield self.text
            return
        async with aclosing(self.events()) as events:
            async for event in events:
                if type(event) is Text:
                    yield event.text

    async def _whole(self) -> str:
        async with aclosing(self.pieces()) as pieces:
            async for _ in pieces:
                pass
        return self.text

    def _note(self, event: AnyEvent) -> None:
        if isinstance(event, Text):
            self._parts.append(event.text)
        elif isinstance(event, Thinking):
            self.thinking += event.text
        elif isinstance(event, Tool):
            call = self._calls.get(event.block)
            if call is None:
                made = event.call_id or f"call_{event.block}"
                self._calls[event.block] = Call(made, event.name or "", event.arguments)
            else:
                self._calls[event.block] = call._replace(arguments=call.arguments + event.arguments)
        elif isinstance(event, Item):
            self._tells(event)
        elif isinstance(event, Finish):
            self.reason = event.reason
        elif isinstance(event, End) and event.usage is not None:
            self.usage = event.usage
            self._counts(event.usage)
