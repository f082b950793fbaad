"""Owns the models and the engines that the tests of this folder run, and stops every engine at its end."""

from __future__ import annotations

import asyncio
import importlib.util
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.engines.http import Client
from tests.tiny_gguf import TinyModel, shared_tiny_gguf
from tidegate.engines import Engine, EngineSettings

MakeModel = Callable[..., Path]
LONG_PROMPT = "the quick brown fox jumps over the lazy dog " * 2300  # about 30,000 tokens
HELLO = "Hello from a tiny local model. Every word of this answer is known beforehand."

needs_engine = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="needs xllamacpp: pip install 'tidegate[local]'"
)


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """Makes models by the fields of TinyModel, each once for the whole run."""

    def make(**fields: Any) -> Path:
        return shared_tiny_gguf(tmp_path_factory, TinyModel(**fields))

    return make


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder of this test's own whose path is short enough for sockets, as tmp_path is not."""
    with tempfile.TemporaryDirectory(prefix="tidegate-test-") as folder:
        yield Path(folder)


@pytest.fixture
def hello(tiny_gguf: MakeModel) -> Path:
    """A model that always answers HELLO."""
    return tiny_gguf(script=HELLO)


@pytest.fixture
def slow(tiny_gguf: MakeModel) -> Path:
    """A model that works on LONG_PROMPT for ten seconds and more, most of it in attention."""
    return tiny_gguf(script="one two three. ", loop=True, dim=256, layers=4, feed_forward=512, context=32768)


@pytest.fixture
def endless(tiny_gguf: MakeModel) -> Path:
    """A model that never stops by itself, and has room to go on for many seconds."""
    return tiny_gguf(script="one two three four five six seven. ", loop=True, context=262144)


def settings(
    path: Path,
    *,
    slots: int = 1,
    context: int | None = None,
    batch: int | None = None,
    autostart: bool = False,
    load_timeout: float = 60.0,
) -> EngineSettings:
    """What tests run with: one thread, for several would spin against those of other tests."""
    return EngineSettings(
        name="tiny",
        path=path,
        slots=slots,
        threads=1,
        context=context,
        batch=batch,
        autostart=autostart,
        load_timeout=load_timeout,
    )


@asynccontextmanager
async def running(
    path: Path, *, slots: int = 1, context: int | None = None, batch: int | None = None
) -> AsyncIterator[tuple[Engine, Client]]:
    """An engine that is ready, and one connection to it."""
    engine = Engine(settings(path, slots=slots, context=context, batch=batch))
    try:
        async with await Client.connect(await engine.ready()) as client:
            yield engine, client
    finally:
        await engine.stop()


async def eventually(condition: Callable[[], Awaitable[bool]], within: float) -> float:
    """Ask until ``condition`` holds and return how many seconds that took; AssertionError if longer."""
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < within, f"not within {within} s"
        await asyncio.sleep(0.01)
    return time.monotonic() - began
