"""Working ahead: several texts are written at once, and shown in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Protocol


class Pieces(Protocol):
    """A text that comes in pieces: a question to a model, or a step."""

    def pieces(self) -> AsyncGenerator[str, None]: ...


class Ahead:
    """Texts of which ``most`` at a time are written; iterate over it, and over each of what that yields."""

    def __init__(self, texts: Sequence[Pieces], most: int, begins: Callable[[], None]) -> None:
        self._room = asyncio.Semaphore(most)
        self._begins = begins
        self._queues: list[asyncio.Queue[str | BaseException | None]] = [asyncio.Queue() for _ in texts]
        self._tasks = [
            asyncio.create_task(self._pump(text, queue))
            for text, queue in zip(texts, self._queues, strict=True)
        ]

    async def __aiter__(self) -> AsyncGenerator[AsyncIterator[str], None]:
        try:
            for queue in self._queues:
                yield self._shown(queue)
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop what is not written yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pump(self, text: Pieces, queue: asyncio.Queue[str | BaseException | None]) -> None:
        try:
            async with self._room, aclosing(text.pieces()) as pieces:
                async for piece in pieces:
                    queue.put_nowait(piece)
            queue.put_nowait(None)
        except (Exception, SystemExit) as error:  # told where the text is shown, when its turn has come
            queue.put_nowait(error)

    async def _shown(self, queue: asyncio.Queue[str | BaseException | None]) -> AsyncGenerator[str, None]:
        self._begins()
        while (piece := await queue.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece
