"""The oldest openai SDK of the 1.x line that installs reads what the newest reads.

OLD_OPENAI_PATH names a folder that it was installed into:
pip install --target FOLDER openai==1.6.1 'httpx<0.28'"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chat import broken_off, chunk, error, stream, text_chunks, text_stream, tool
from tests.clients_python import old_openai_program
from tests.clients_python.tasks import Tasks
from tests.cutting_proxy import Cut, CuttingProxy
from tests.gateway import Gateway
from tests.script import Pause
from tests.upstream import Upstream

INSTALLED = Path(__file__).resolve().parents[2] / ".venv" / "openai-1.6.1"
FOLDER = os.environ.get("OLD_OPENAI_PATH") or (str(INSTALLED) if INSTALLED.is_dir() else "")
PROGRAM = Path(old_openai_program.__file__)
WHOLE = "Hello 世界 \u2028\u0085 data: x"

pytestmark = pytest.mark.skipif(
    not (FOLDER and Path(FOLDER, "openai").is_dir()),
    reason="OLD_OPENAI_PATH names no folder with an old openai SDK",
)


@pytest.fixture(scope="module")
def program() -> Iterator[Tasks]:
    with Tasks(PROGRAM, FOLDER) as running:
        yield running


def test_it_is_an_old_one(program: Tasks, gateway: Gateway) -> None:
    assert program.do("version", gateway.base_url)[0].startswith("1.")


@pytest.mark.parametrize("task", ["blocking", "asynchronous", "whole"])
def test_it_reads_a_whole_answer(program: Tasks, gateway: Gateway, upstream: Upstream, task: str) -> None:
    upstream.play(text_stream(["Hello 世界", " \u2028\u0085", " data: x"]))
    assert program.do(task, gateway.base_url)[0] == WHOLE


@pytest.mark.parametrize("task", ["blocking", "asynchronous"])
def test_it_lives_through_silence(
    program: Tasks, eager_gateway: Gateway, upstream: Upstream, task: str
) -> None:
    upstream.play([Pause(0.6), *text_stream(["Hello"])])
    assert program.do(task, eager_gateway.base_url)[0] == "Hello"


@pytest.mark.parametrize("task", ["blocking", "asynchronous"])
def test_it_raises_on_a_break(program: Tasks, gateway: Gateway, upstream: Upstream, task: str) -> None:
    upstream.play(broken_off(text_chunks(["Hel"], finish=None)))
    assert program.do(task, gateway.base_url) == ["Hel", "APIError"]


def test_it_knows_an_early_error(program: Tasks, gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(error(429, "slow down", kind="rate_limit_error"))
    assert program.do("blocking", gateway.base_url) == ["", "RateLimitError"]


def test_it_reads_tool_calls(program: Tasks, gateway: Gateway, upstream: Upstream) -> None:
    opening = tool(0, "", call_id="call_1", name="look")
    parts = [chunk(tool_calls=[opening]), chunk(tool_calls=[tool(0, '{"q": 1}')])]
    upstream.play(stream([*parts, chunk(finish="tool_calls")]))
    assert program.do("tools", gateway.base_url) == ["look", '{"q": 1}']


@pytest.mark.parametrize("task", ["resilient", "resilient-async"])
def test_it_survives_lost_connections(
    program: Tasks, gateway: Gateway, upstream: Upstream, task: str
) -> None:
    pieces = [f"{number} " for number in range(60)]
    upstream.play(text_stream(pieces))
    with CuttingProxy(gateway.address) as proxy:
        proxy.plan(*[Cut(600 + 300 * number, "reset") for number in range(6)])
        assert program.do(task, f"{proxy.url}/v1") == ["".join(pieces)]
    assert len(upstream.requests) == 1
