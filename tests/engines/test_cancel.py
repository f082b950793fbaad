"""A closed connection ends its request, wherever the request is.

A second is what is promised; a machine that runs other tests beside these gets three. What is cancelled
here would otherwise go on for ten seconds to minutes.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from tests.engines.conftest import LONG_PROMPT, eventually, needs_engine, running
from tests.engines.http import Client, Json, user
from tidegate.engines import Engine

pytestmark = needs_engine

SOON = 3.0  # seconds
ROOM = 262144  # tokens, minutes of answer


async def health(engine: Engine) -> Json:
    async with await Client.connect(await engine.ready()) as client:
        return await client.get("/health")


async def seconds_until_idle(engine: Engine) -> float:
    async def idle() -> bool:
        state = await health(engine)
        return (state["running"], state["queued"]) == (0, 0)

    return await eventually(idle, within=20)


async def seconds_until_first_token(engine: Engine) -> float:
    """How long another request has to wait for its slot and its first token."""
    began = time.monotonic()
    async with await Client.connect(await engine.ready()) as client:
        await client.stream(user("hi") | {"max_tokens": 1})
    return time.monotonic() - began


def test_cancel_while_decoding_frees_the_slot(endless: Path) -> None:
    async def run() -> None:
        async with running(endless, context=ROOM) as (engine, client):
            await client.open_stream(user("count"))
            events = client.events()
            for _ in range(20):
                await anext(events)
            assert (await health(engine))["running"] == 1
            client.close()
            assert await seconds_until_idle(engine) < SOON
            assert await seconds_until_first_token(engine) < SOON

    asyncio.run(run())


def test_cancel_while_the_reader_is_slow_frees_the_slot(endless: Path) -> None:
    async def run() -> None:
        async with running(endless, context=ROOM) as (engine, client):
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(
                "POST", "/v1/chat/completions", json.dumps(user("count") | {"stream": True}).encode()
            )
            await eventually(lambda: _running(engine), within=20)
            client.close()
            assert await seconds_until_idle(engine) < SOON

    asyncio.run(run())


async def _running(engine: Engine) -> bool:
    return bool((await health(engine))["running"])


def test_cancel_during_prefill_frees_the_slot(slow: Path) -> None:
    async def run() -> None:
        async with running(slow, context=32768) as (engine, client):
            await client.open_stream(user(LONG_PROMPT) | {"return_progress": True})
            async for event in client.events():
                progress = json.loads(event)["prompt_progress"]
                if progress["processed"]:
                    break
            assert progress["processed"] < progress["total"] / 10, "this prompt is too short for the test"
            client.close()
            assert await seconds_until_idle(engine) < SOON
            assert await seconds_until_first_token(engine) < SOON

    asyncio.run(run())


def test_cancel_during_prefill_is_seen_without_progress_events(slow: Path) -> None:
    async def run() -> None:
        async with running(slow, context=32768) as (engine, client):
            body = user(LONG_PROMPT) | {"stream": True}
            await client.send("POST", "/v1/chat/completions", json.dumps(body).encode())
            await eventually(lambda: _running(engine), within=20)
            client.close()
            assert await seconds_until_idle(engine) < SOON
            assert await seconds_until_first_token(engine) < SOON

    asyncio.run(run())


def test_cancel_in_the_queue_leaves_it_and_disturbs_nobody(endless: Path) -> None:
    async def run() -> None:
        async with running(endless, context=ROOM) as (engine, client):
            await client.open_stream(user("count"))
            events = client.events()
            await anext(events)
            await _cancel_in_queue(engine)
            for _ in range(20):
                await anext(events)

    asyncio.run(run())


def test_cancel_while_another_prompt_is_computed_leaves_the_queue(slow: Path) -> None:
    async def run() -> None:
        async with running(slow, slots=2, context=32768) as (engine, client):
            await client.open_stream(user(LONG_PROMPT) | {"return_progress": True})
            events = client.events()
            await anext(events)
            await _cancel_in_queue(engine)
            assert "prompt_progress" in json.loads(await anext(events)), "the long prompt is still under way"

    asyncio.run(run())


async def _cancel_in_queue(engine: Engine) -> None:
    """Let one request join the queue and hang up; nothing of it may stay, and nothing of it may run."""

    async def queued() -> bool:
        return bool((await health(engine))["queued"])

    async def gone() -> bool:
        return not await queued()

    async with await Client.connect(await engine.ready()) as waiting:
        await waiting.send("POST", "/v1/chat/completions", json.dumps(user("hi") | {"stream": True}).encode())
        await eventually(queued, within=20)
    assert await eventually(gone, within=20) < SOON
    assert (await health(engine))["running"] == 1
