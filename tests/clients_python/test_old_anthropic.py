"""The oldest anthropic SDK with Messages outside of a beta reads what the newest reads.

OLD_ANTHROPIC_PATH names a folder that it was installed into:
pip install --target FOLDER anthropic==0.16.0 'httpx<0.28'"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chat import broken_off, error, text_chunks, text_stream
from tests.clients_python.tasks import Tasks
from tests.gateway import Gateway
from tests.script import Pause
from tests.upstream import Upstream

INSTALLED = Path(__file__).resolve().parents[2] / ".venv" / "anthropic-0.16.0"
FOLDER = os.environ.get("OLD_ANTHROPIC_PATH") or (str(INSTALLED) if INSTALLED.is_dir() else "")
PROGRAM = Path(__file__).with_name("old_anthropic_program.py")
PIECES = ["Hello 世界", " \u2028\u0085", " data: x"]
WHOLE = "".join(PIECES)

pytestmark = pytest.mark.skipif(
    not (FOLDER and Path(FOLDER, "anthropic").is_dir()),
    reason="OLD_ANTHROPIC_PATH names no folder with an old anthropic SDK",
)


@pytest.fixture(scope="module")
def program() -> Iterator[Tasks]:
    with Tasks(PROGRAM, FOLDER) as running:
        yield running


def test_it_is_an_old_one(program: Tasks, gateway: Gateway) -> None:
    assert program.do("version", gateway.url).startswith("0.")


@pytest.mark.parametrize("task", ["helper", "asynchronous"])
def test_it_reads_a_streamed_answer_through_silence(
    program: Tasks, eager_gateway: Gateway, upstream: Upstream, task: str
) -> None:
    upstream.play([Pause(0.6), *text_stream(PIECES)])
    assert program.do(task, eager_gateway.url) == [WHOLE, WHOLE, "end_turn"]


def test_it_reads_an_answer_in_one_piece(program: Tasks, gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(text_stream(PIECES))
    assert program.do("whole", gateway.url) == [WHOLE, "end_turn"]


def test_it_raises_on_a_break(program: Tasks, gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(broken_off(text_chunks(["Hel"], finish=None)))
    text, problem = program.do("blocking", gateway.url)
    assert text.startswith("Hel")
    assert "in mid-answer" in text
    assert problem.startswith("API")


def test_it_knows_an_early_error(program: Tasks, gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(error(429, "slow down", kind="rate_limit_error"))
    assert program.do("blocking", gateway.url)[1] == "RateLimitError"
