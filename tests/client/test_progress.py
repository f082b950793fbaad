"""What is measured of an answer while it comes, whoever brings it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk
from rich.console import Console

from tidegate.client import End, StreamProgress, Text, Thinking, Tool, Usage


class Clock:
    """Moves by what is added to it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def measured(*steps: tuple[float, Any]) -> StreamProgress:
    """A progress to which each thing has come so many seconds after the one before."""
    clock = Clock()
    progress = StreamProgress(clock)
    for seconds, item in steps:
        clock.now += seconds
        progress.update(item)
    return progress


def test_times_and_rates() -> None:
    progress = measured((0.5, "a"), *[(0.01, "b")] * 99, (0.06, "c"))
    assert progress.ttft == pytest.approx(0.5)
    assert (progress.tokens, progress.estimated, progress.characters) == (101, True, 101)
    assert progress.tokens_per_second == pytest.approx(100 / 1.05)
    assert progress.itl(50) == pytest.approx(0.01)
    assert progress.itl(99) == pytest.approx(0.06)
    assert progress.elapsed == pytest.approx(1.55)
    assert progress.summary() == (
        "~101 tokens · 95.2 tok/s · first token after 500 ms · gaps 10 ms (p99 60 ms)"
    )


def test_nothing_yet_is_told_as_that() -> None:
    progress = measured((2.0, ""))
    assert (progress.ttft, progress.tokens_per_second, progress.itl(50)) == (None, None, None)
    assert progress.summary() == "waiting for the first token · 2 s"


def test_usage_counts_where_there_is_one() -> None:
    usage = Usage(input_tokens=3, output_tokens=50)
    progress = measured((0.1, Thinking(text="Hm")), (1.0, Text(text="x")), (0, End("completed", usage=usage)))
    assert (progress.tokens, progress.estimated) == (50, False)
    assert progress.tokens_per_second == pytest.approx(49)
    assert progress.summary().startswith("50 tokens · ")


def chunk(**fields: Any) -> ChatCompletionChunk:
    base = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return ChatCompletionChunk.model_validate({**base, "choices": [], **fields})


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("Hello", "Hello"),
        (Tool(arguments='{"a"'), '{"a"'),
        (chunk(choices=[{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}]), "Hello"),
        (chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]), ""),
        ({"choices": [{"delta": {"content": "Hello"}}]}, "Hello"),
        ({"choices": [{"text": "Hello"}]}, "Hello"),
        ({"type": "response.output_text.delta", "delta": "Hello"}, "Hello"),
        ({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hello"}}, "Hello"),
        ({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "Hm"}}, "Hm"),
        ({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}, ""),
        (object(), ""),
        (None, ""),
    ],
)
def test_chunks_of_anybody_are_understood(item: Any, text: str) -> None:
    progress = measured((0.1, item))
    assert (progress.characters, progress.deltas) == (len(text), 1 if text else 0)


def test_usage_in_chunks_of_others_counts() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 9, "total_tokens": 10}
    assert measured((0.1, "a"), (0.1, chunk(usage=usage))).tokens == 9
    assert measured((0.1, "a"), (0.1, {"delta": {}, "usage": {"output_tokens": 7}})).tokens == 7


def test_what_is_tracked_passes_through() -> None:
    async def texts() -> AsyncIterator[str]:
        for text in "abc":
            yield text

    async def read(progress: StreamProgress) -> list[str]:
        return [text async for text in progress.track(texts())]

    progress = StreamProgress()
    assert list(progress.track(["a", "b"])) == ["a", "b"]
    assert asyncio.run(read(progress)) == ["a", "b", "c"]
    assert progress.deltas == 5


def test_it_stands_below_what_is_printed() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    progress = measured((0.5, "a"), (0.25, "b"))
    with progress.live(console):
        console.print("the answer")
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "the answer" in shown
    assert "first token after 500 ms" in shown
