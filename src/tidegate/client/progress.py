"""Owns what is measured of an answer while it comes: how soon, how much, how fast, how evenly."""

from __future__ import annotations

import time
from array import array
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, TypeVar, overload

from tidegate.core.event import End, Text, Thinking, Tool
from tidegate.core.usage import Usage

_Item = TypeVar("_Item")


class StreamProgress:
    """Measures a stream of texts, of this client's events, or of the chunks and events of an official SDK.

    Either hand it what comes (:meth:`update`), or let it look on (:meth:`track`), with what is tracked
    passing through. It is something that rich can print, and :meth:`live` keeps it at the bottom of a
    terminal. Times are seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self.began = monotonic()
        """When it was asked: when this was made, or :meth:`start` was called."""
        self.first: float | None = None
        """When the first delta came."""
        self.last: float | None = None
        """When the last delta came."""
        self.deltas = 0
        self.characters = 0
        self.usage: int | None = None
        """Tokens of the answer as the server counted them."""
        self._gaps = array("f")
        self._waiting = 0.0

    def start(self) -> None:
        """Time runs from now: call it just before the request where this was made much sooner."""
        self.began = self._monotonic()

    def update(self, item: Any) -> None:
        """Count one thing that has come; what holds neither text nor usage counts for nothing."""
        text, tokens = _measured(item)
        if tokens is not None:
            self.usage = tokens
        if not text:
            return
        now = self._monotonic()
        if self.last is None:
            self.first = now
        else:
            self._gaps.append(now - self.last)
        self.last = now
        self.deltas += 1
        self.characters += len(text)

    @overload
    def track(self, items: Iterable[_Item]) -> Iterator[_Item]: ...
    @overload
    def track(self, items: AsyncIterable[_Item]) -> AsyncIterator[_Item]: ...
    def track(self, items: Any) -> Any:
        """The same items, for ``for`` or for ``async for``, measured as they pass."""
        return self._track_async(items) if hasattr(items, "__aiter__") else self._track(items)

    def _track(self, items: Iterable[_Item]) -> Iterator[_Item]:
        for item in items:
            self.update(item)
            yield item

    async def _track_async(self, items: AsyncIterable[_Item]) -> AsyncIterator[_Item]:
        async for item in items:
            self.update(item)
            yield item

    @property
    def ttft(self) -> float | None:
        """Seconds from asking to the first delta."""
        return None if self.first is None else self.first - self.began

    @property
    def tokens(self) -> int:
        """Tokens of the answer: as the server counted them, else a delta counts as one."""
        return self.deltas if self.usage is None else self.usage

    @property
    def estimated(self) -> bool:
        """Whether :attr:`tokens` counts deltas."""
        return self.usage is None

    @property
    def elapsed(self) -> float:
        """Seconds from asking to the last delta; to now before there is one."""
        return (self.last if self.last is not None else self._monotonic()) - self.began

    @property
    def tokens_per_second(self) -> float | None:
        """The rate between the first delta and the last; None for what is too short to measure."""
        if self.first is None or self.last is None or self.tokens < 2 or self.last - self.first < 0.001:
            return None
        return (self.tokens - 1) / (self.last - self.first)

    def itl(self, percentile: float) -> float | None:
        """The gap between two deltas that ``percentile`` per cent of the gaps do not exceed, in seconds."""
        if not self._gaps:
            return None
        ordered = sorted(self._gaps)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percentile / 100))]

    def summary(self) -> str:
        """One line."""
        if self.first is None:
            return f"waiting for the first token · {self.elapsed:.0f} s"
        about = "~" if self.estimated else ""
        parts = [f"{about}{self.tokens} token{'s' if self.tokens != 1 else ''}"]
        rate = self.tokens_per_second
        if rate is not None:
            parts.append(f"{rate:,.1f} tok/s" if rate < 1000 else f"{rate:,.0f} tok/s")
        parts.append(f"first token after {_seconds(self.ttft or 0.0)}")
        middle, high = self.itl(50), self.itl(99)
        if middle is not None and high is not None:
            parts.append(f"gaps {_seconds(middle)} (p99 {_seconds(high)})")
        return " · ".join(parts)

    def live(self, console: Any = None, **options: Any) -> Any:
        """A ``with`` block in which this stands at the bottom of the terminal and changes as it grows.

        What is printed meanwhile goes above it. Options are those of :class:`rich.live.Live`.
        """
        from rich.live import Live  # noqa: PLC0415 - only whoever draws pays for rich

        options = {"refresh_per_second": 8, "transient": False, **options}
        return Live(console=console, get_renderable=self.__rich__, **options)

    def __rich__(self) -> Any:
        from rich.table import Table  # noqa: PLC0415 - as above
        from rich.text import Text as Line  # noqa: PLC0415

        row = Table.grid(padding=(0, 1))
        shades = "▁▂▃▄▅▆▇█"
        recent = self._gaps[-24:]
        highest = max(recent, default=0.0) or 1.0
        bars = "".join(shades[int((len(shades) - 1) * (1 - gap / highest))] for gap in recent)
        row.add_row(Line(bars, style="cyan"), Line(self.summary(), style="dim"))
        return row


def _measured(item: Any) -> tuple[str, int | None]:
    """The text in something that came, and the tokens of the whole answer where it tells them."""
    if isinstance(item, str):
        return item, None
    if isinstance(item, Text | Thinking):
        return item.text, None
    if isinstance(item, Tool):
        return item.arguments, None
    if isinstance(item, End):
        return "", _tokens(item.usage)
    return _chunk_text(item), _tokens(_member(item, "usage"))


def _chunk_text(item: Any) -> str:
    """The text of an SDK's chunk or event, or of the same as plain dictionaries."""
    choices = _member(item, "choices")
    if choices:
        delta = _member(choices[0], "delta")
        text = _member(delta, "content") or _member(delta, "reasoning_content") or _member(choices[0], "text")
        return text if isinstance(text, str) else ""
    delta = _member(item, "delta")
    if isinstance(delta, str):
        return delta
    for name in ("text", "thinking", "partial_json"):
        text = _member(delta, name)
        if isinstance(text, str):
            return text
    return ""


def _tokens(usage: Any) -> int | None:
    if isinstance(usage, Usage):
        return usage.output_tokens
    for name in ("output_tokens", "completion_tokens"):
        tokens = _member(usage, name)
        if isinstance(tokens, int):
            return tokens
    return None


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
