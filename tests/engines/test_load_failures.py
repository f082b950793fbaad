"""Models that cannot be served, machines that cannot serve: one clear sentence each, and nothing left."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.engines.conftest import needs_engine, settings
from tidegate.engines import Engine, EngineUnavailable
from tidegate.engines.directory import EngineDirectory


def failure(
    path: Path, folder: Path, *, python: tuple[str, ...] = (sys.executable,), context: int | None = None
) -> str:
    """The sentence with which an engine refuses to start; its folder must be gone afterwards."""
    folder.mkdir()

    async def run() -> str:
        engine = Engine(
            settings(path, context=context), python=python, make_directory=lambda: EngineDirectory(folder)
        )
        try:
            with pytest.raises(EngineUnavailable) as error:
                await engine.ready()
        finally:
            await engine.stop()
        return str(error.value)

    sentence = asyncio.run(run())
    assert list(folder.iterdir()) == []
    return sentence


def without(change: str) -> tuple[str, ...]:
    """An interpreter in which ``change`` was made before the child's program runs."""
    program = "import sys, runpy; sys.argv = sys.argv[1:]; " + change
    return (sys.executable, "-c", program + "; runpy.run_module(sys.argv[1], run_name='__main__')")


@needs_engine
def test_missing_file(short_path: Path) -> None:
    path = short_path / "none.gguf"
    assert failure(path, short_path / "run") == (
        f"engine tiny cannot start: {path} does not exist: check the path of this model"
    )


@needs_engine
def test_file_that_is_no_gguf(short_path: Path) -> None:
    path = short_path / "page.gguf"
    path.write_text("<!DOCTYPE html><title>404</title>")
    assert "is not a GGUF file: it is a web page" in failure(path, short_path / "run")


@needs_engine
def test_download_that_broke_off(hello: Path, short_path: Path) -> None:
    path = short_path / "half.gguf"
    path.write_bytes(hello.read_bytes()[:300_000])
    assert "is incomplete, about " in failure(path, short_path / "run")


@needs_engine
def test_architecture_that_llama_cpp_does_not_know(hello: Path, short_path: Path) -> None:
    path = short_path / "new.gguf"
    path.write_bytes(hello.read_bytes().replace(b"llama", b"lxama"))
    assert failure(path, short_path / "run").endswith("cannot be loaded: unknown model architecture: 'lxama'")


@needs_engine
def test_context_that_no_memory_can_hold(hello: Path, short_path: Path) -> None:
    sentence = failure(hello, short_path / "run", context=2_000_000_000)
    assert "for its key-value cache and this machine has" in sentence
    assert sentence.endswith("lower `context` or `slots`")


@needs_engine
def test_python_that_cannot_be_run(hello: Path, short_path: Path) -> None:
    assert "No such file" in failure(hello, short_path / "run", python=("/nowhere/python",))


def test_engine_that_is_not_installed(short_path: Path) -> None:
    sentence = failure(
        short_path / "x.gguf", short_path / "run", python=without("sys.modules['xllamacpp'] = None")
    )
    assert sentence == (
        "engine tiny cannot start: the local engine is not installed: pip install 'tidegate[local]'"
    )


def test_processor_without_the_instructions(short_path: Path) -> None:
    change = "import platform; platform.machine = lambda: 'x86_64'; import tidegate.engines.machine as m; "
    python = without(change + "m._processor_flags = lambda: {'sse2', 'avx'}")
    sentence = failure(short_path / "x.gguf", short_path / "run", python=python)
    assert "this processor has no AVX2, which the local engine needs" in sentence


def test_child_that_dies_before_it_says_anything(short_path: Path) -> None:
    assert failure(short_path / "x.gguf", short_path / "run", python=without("sys.exit(3)")) == (
        "engine tiny ended unexpectedly (exit code 3) while it was loading"
    )


def test_child_that_aborts_tells_its_last_words(short_path: Path) -> None:
    change = "import os; os.write(2, b'x.cpp:12: GGML_ASSERT(n > 0) failed\\n'); os.abort()"
    assert failure(short_path / "x.gguf", short_path / "run", python=without(change)) == (
        "engine tiny crashed (signal 6): x.cpp:12: GGML_ASSERT(n > 0) failed while it was loading"
    )


def test_child_that_talks_nonsense(short_path: Path) -> None:
    sentence = failure(
        short_path / "x.gguf", short_path / "run", python=without("print('hello', flush=True)")
    )
    assert "said something that is not an answer" in sentence
