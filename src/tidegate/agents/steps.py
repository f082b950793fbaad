"""The steps of a run: what each came to is kept, so that a run after a crash need not pay for it again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Generator
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from tidegate.core.usage import Usage

Work = Callable[[], Awaitable[Any] | AsyncIterable[str]]
"""What a step does: asynchronous text, shown as it comes, or anything that is awaited for a JSON value."""


class StepStore(Protocol):
    """Keeps what the steps of a stream came to."""

    async def load(self, stream: str) -> dict[str, bytes]:
        """All steps of a stream. Raises StoreError."""
        ...

    async def save(self, stream: str, name: str, result: bytes) -> None:
        """Keep one; it stays until the stream has long been gone. Raises StoreError."""
        ...


class Result(Struct, frozen=True, omit_defaults=True):
    """What a step came to, and what it cost."""

    value: Any
    usage: Usage | None = None


_decode = msgspec.json.Decoder(Result).decode


class Steps:
    """The steps of one run. ``store`` is None where the run cannot outlive its process."""

    def __init__(self, stream: str, store: StepStore | None) -> None:
        self._stream = stream
        self._store = store
        self._known: dict[str, Result] = {}

    async def recall(self) -> None:
        """Look up what was done before a crash. Raises StoreError."""
        if self._store is not None:
            found = await self._store.load(self._stream)
            self._known = {name: _decode(result) for name, result in found.items()}

    def get(self, name: str) -> Result | None:
        """What a step came to, if it was done."""
        return self._known.get(name)

    async def put(self, name: str, result: Result) -> None:
        """A step is done. Raises StoreError, and TypeError for a value that is no JSON."""
        encoded = msgspec.json.encode(result)
        self._known[name] = result
        if self._store is not None:
            await self._store.save(self._stream, name, encoded)


@dataclass(slots=True, eq=False)
class Scope:
    """What is asked within a step, or outside of all steps: how often so far, and what it cost."""

    name: str
    asked: int = 0
    usage: Usage | None = None

    def next_name(self) -> str:
        """The name of the next question, which is the same whenever the step is run."""
        self.asked += 1
        return f"{self.name}#{self.asked}"


scope: ContextVar[Scope | None] = ContextVar("scope", default=None)
"""The step that the running code belongs to."""


class Step:
    """A step on its way: await it for its value, or iterate over the text that it shows."""

    def __init__(
        self,
        name: str,
        work: Work,
        steps: Steps,
        *,
        begins: Callable[[], None],
        counts: Callable[[Usage], None],
    ) -> None:
        self.name = name
        self._work = work
        self._steps = steps
        self._begins = begins
        self._counts = counts

    def __await__(self) -> Generator[Any, None, Any]:
        return self._value().__await__()

    def __aiter__(self) -> AsyncIterator[str]:
        return self._shown()

    async def _value(self) -> Any:
        if (done := self._steps.get(self.name)) is not None:
            return self._recalled(done)
        own = Scope(self.name)
        working = _within(own, self._work)
        if isinstance(working, AsyncIterable):
            async with aclosing(_scoped(own, working)) as pieces:
                value: Any = "".join([piece async for piece in pieces])
        else:
            value = await _awaited(own, working)
        await self._steps.put(self.name, Result(value, own.usage))
        return value

    async def _shown(self) -> AsyncGenerator[str, None]:
        self._begins()
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                yield piece

    async def pieces(self) -> AsyncGenerator[str, None]:
        """The text, for whoever shows it later than now."""
        if (done := self._steps.get(self.name)) is not None:
            yield str(self._recalled(done))
            return
        own = Scope(self.name)
        working = _within(own, self._work)
        if not isinstance(working, AsyncIterable):
            value = await _awaited(own, working)
            await self._steps.put(self.name, Result(value, own.usage))
            yield str(value)
            return
        parts: list[str] = []
        async with aclosing(_scoped(own, working)) as pieces:
            async for piece in pieces:
                parts.append(piece)
                yield piece
        await self._steps.put(self.name, Result("".join(parts), own.usage))

    def _recalled(self, done: Result) -> Any:
        if done.usage is not None:
            self._counts(done.usage)
        return done.value


def _within(own: Scope, work: Work) -> Awaitable[Any] | AsyncIterable[str]:
    token = scope.set(own)
    try:
        return work()
    finally:
        scope.reset(token)


async def _awaited(own: Scope, working: Awaitable[Any]) -> Any:
    token = scope.set(own)
    try:
        return await working
    finally:
        scope.reset(token)


async def _scoped(own: Scope, working: AsyncIterable[str]) -> AsyncGenerator[str, None]:
    # An asynchronous generator runs in the context of whoever asks it for more, so each time anew.
    pieces = aiter(working)
    try:
        while True:
            token = scope.set(own)
            try:
                piece = await anext(pieces)
            except StopAsyncIteration:
                return
            finally:
                scope.reset(token)
            yield piece
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
