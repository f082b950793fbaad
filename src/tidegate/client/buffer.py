"""Owns gathering small pieces of text into larger ones: by count, by time, by sentence."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Final, overload

_SENTENCE: Final = re.compile(
    r"""[.!?…]+["'”’»)\]]*\s+   # the end of a sentence, which space follows
      | [。！？｡]+["'”’»)\]」』）】》〉]*(?=[^"'”’»)\]」』）】》〉。！？｡])   # of one that none follows
      | \n+""",
    re.VERBOSE,
)
"""What ends a sentence. A bracket or a full stop may still follow, so the next character is waited for."""


class StreamBuffer:
    """Gathers texts, and gives them on when there are enough: nothing is lost, doubled or reordered.

    ``count`` gives on when so many texts have come, ``seconds`` when the oldest has waited so long, and
    ``sentences`` at the end of one, in English as in Chinese and Japanese. Each that is set is enough alone.
    ``None`` turns one off. Use :meth:`over` for a whole stream, or :meth:`add` and :meth:`flush` by hand.
    """

    def __init__(
        self,
        count: int | None = 10,
        seconds: float | None = 0.1,
        *,
        sentences: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if count is not None and count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        if seconds is not None and seconds < 0:
            raise ValueError(f"seconds must not be negative, as {seconds} is")
        self._count = count
        self._seconds = seconds
        self._sentences = sentences
        self._monotonic = monotonic
        self._parts: list[str] = []
        self._since = 0.0

    @classmethod
    def by_sentence(cls) -> StreamBuffer:
        """One that gives on whole sentences, and nothing else."""
        return cls(None, None, sentences=True)

    def add(self, text: str) -> list[str]:
        """Take a text; what is to be given on now, in order."""
        if not text:
            return self._late()
        if not self._parts:
            self._since = self._monotonic()
        self._parts.append(text)
        given = self._whole_sentences() if self._sentences else []
        if self._parts and self._count is not None and len(self._parts) >= self._count:
            return [*given, *self.flush()]
        return [*given, *self._late()]

    def flush(self) -> list[str]:
        """What is left, whether it is enough or not."""
        text = "".join(self._parts)
        self._parts = []
        return [text] if text else []

    @property
    def due(self) -> float | None:
        """Seconds until what waits has waited long enough; None when nothing does, or for no time."""
        if not self._parts or self._seconds is None:
            return None
        return max(0.0, self._since + self._seconds - self._monotonic())

    @overload
    def over(self, texts: Iterable[str]) -> Iterator[str]: ...
    @overload
    def over(self, texts: AsyncIterable[str]) -> AsyncIterator[str]: ...
    def over(self, texts: Any) -> Any:
        """A stream of texts in larger pieces, for ``for`` or ``async for``.

        A blocking stream cannot be interrupted: time is looked at when a text comes. An asynchronous one is
        given on in time also while nothing comes.
        """
        return self._over_async(texts) if hasattr(texts, "__aiter__") else self._over(texts)

    def _over(self, texts: Iterable[str]) -> Iterator[str]:
        try:
            for text in texts:
                yield from self.add(text)
        except Exception:
            yield from self.flush()  # what came belongs to whoever reads, also when the rest does not come
            raise
        yield from self.flush()

    async def _over_async(self, texts: AsyncIterable[str]) -> AsyncIterator[str]:
        coming = aiter(texts)
        next_text: asyncio.Future[str] | None = None
        try:
            while True:
                if next_text is None:
                    next_text = asyncio.ensure_future(_next(coming))
                done, _ = await asyncio.wait([next_text], timeout=self.due)
                if not done:
                    for piece in self.flush():
                        yield piece
                    continue
                try:
                    text = next_text.result()
                except StopAsyncIteration:
                    break
                except Exception:
                    for piece in self.flush():  # as above
                        yield piece
                    raise
                finally:
                    next_text = None
                for piece in self.add(text):
                    yield piece
            for piece in self.flush():
                yield piece
        finally:
            if next_text is not None:
                next_text.cancel()

    def _late(self) -> list[str]:
        return self.flush() if self.due == 0 else []

    def _whole_sentences(self) -> list[str]:
        text = "".join(self._parts)
        ends = [found.end() for found in _SENTENCE.finditer(text)]
        if not ends:
            return []
        given = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        rest = text[ends[-1] :]
        self._parts = [rest] if rest else []
        self._since = self._monotonic()
        return given


async def _next(texts: AsyncIterator[str]) -> str:
    return await anext(texts)
