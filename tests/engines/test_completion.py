"""How an engine's answer ends when things go wrong in it, with scripted calls over a real socket."""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engines.http import Client, Json
from tidegate.engines.completion import Call, Callback, Completions
from tidegate.engines.prompt_size import PromptLimit
from tidegate.engines.slot_gate import SlotGate
from tidegate.engines.unix_server import UnixServer

TEXT = b'{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}'
END = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
PROGRESS = b'{"choices":[],"prompt_progress":{"processed":1}}'
ERROR = b'{"error":{"code":503,"type":"unavailable_error","message":"no"}}'


@contextmanager
def serving(call: Call, gate: SlotGate | None = None) -> Iterator[tuple[str, Completions]]:
    """A server that answers everything with ``call``."""
    completions = Completions(gate or SlotGate(1, longest_queue=8), PromptLimit(100, 100))
    with tempfile.TemporaryDirectory(prefix="tidegate-test-") as folder:
        path = Path(folder) / "s"
        server = UnixServer(
            path, lambda connection, request: completions.serve(call, connection, request.body)
        )
        server.start()
        yield str(path), completions
        server.close()


def saying(*chunks: bytes, then: Exception | None = None) -> Call:
    def call(_: bytes, callback: Callback) -> None:
        for chunk in chunks:
            if callback(chunk):
                return
        if then is not None:
            raise then

    return call


def streamed(call: Call, body: Json | None = None) -> tuple[int, list[str], Json]:
    """Status, events and (when there are none) the whole answer to a streaming request."""

    async def run(socket: str) -> tuple[int, list[str], Json]:
        async with await Client.connect(socket) as client:
            await client.open_stream(body or {})
            status = client.status
            events = [event async for event in client.events()] if status == 200 else []
            error = await client.rest() if status != 200 else {}
            await client.open_stream({})  # the connection and the slot can be used again
            return status, events, error

    with serving(call) as (socket, _):
        return asyncio.run(run(socket))


def test_success_ends_in_done() -> None:
    status, events, _ = streamed(saying(PROGRESS, TEXT, END))
    assert (status, events) == (200, [TEXT.decode(), END.decode(), "[DONE]"])


def test_error_before_the_first_token_is_a_status() -> None:
    status, _, error = streamed(saying(PROGRESS, ERROR))
    assert (status, error) == (503, json.loads(ERROR))


def test_error_after_the_first_token_is_the_last_event() -> None:
    _, events, _ = streamed(saying(TEXT, ERROR, TEXT))
    assert events[:2] == [TEXT.decode(), ERROR.decode()]
    assert "[DONE]" not in events


def test_exceptions_of_the_engine_are_told() -> None:
    status, _, error = streamed(saying(then=ValueError("bad field")))
    assert (status, error["error"]["message"]) == (400, "bad field")
    status, _, error = streamed(saying(PROGRESS, then=RuntimeError("broken")))
    assert (status, error["error"]["type"]) == (500, "server_error")
    _, events, _ = streamed(saying(TEXT, then=RuntimeError("broken")))
    assert json.loads(events[-1])["error"]["message"] == "broken"


def test_answer_without_its_end_is_no_success() -> None:
    _, events, _ = streamed(saying(TEXT))
    assert "stopped before the end" in json.loads(events[-1])["error"]["message"]
    _, events, _ = streamed(saying(TEXT, END), {"n": 2})
    assert "stopped before the end" in json.loads(events[-1])["error"]["message"]
    status, _, error = streamed(saying(PROGRESS))
    assert (status, error["error"]["type"]) == (500, "server_error")


def test_full_queue_is_refused_at_once() -> None:
    async def run(socket: str) -> None:
        async with await Client.connect(socket) as client:
            await client.post({})
            assert (client.status, client.fields["retry-after"]) == (503, "5")

    with serving(saying(TEXT, END), SlotGate(1, longest_queue=0)) as (socket, _):
        asyncio.run(run(socket))


def test_silence_is_measured_while_the_engine_is_waited_for() -> None:
    in_call, go_on = threading.Event(), threading.Event()

    def call(_: bytes, callback: Callback) -> None:
        in_call.set()
        go_on.wait(10)
        callback(TEXT)
        callback(END)

    async def run(socket: str, completions: Completions) -> None:
        assert completions.silent_for == 0
        async with await Client.connect(socket) as client:
            await client.send("POST", "/", b'{"stream": true}')
            await asyncio.to_thread(in_call.wait, 10)
            assert completions.silent_for > 0
            go_on.set()
            await client.head()
            assert [event async for event in client.events()][-1] == "[DONE]"
        assert completions.silent_for == 0

    with serving(call) as (socket, completions):
        asyncio.run(run(socket, completions))
