"""A silent upstream must leave no client waiting in silence, and no client may stumble over what fills it."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest
import requests
from openai import AsyncOpenAI, OpenAI

from tests.chat import DONE, chunk, frames, text_chunks, text_stream
from tests.chat_stream import LiveAnswer, body_for, is_keep_alive, stream_chat
from tests.fixtures import OpenClient, StartGateway
from tests.gateway import Gateway, gateway_config
from tests.script import End, Gate, Head, Pause, Script, Send, WaitFor
from tests.upstream import Upstream

KEEP_ALIVE = 0.15
LONGEST_GAP = KEEP_ALIVE + 0.35
"""The keep-alive of the eager gateway, and what a busy machine may add to it."""


def silent_stream(seconds: float = 0.5) -> Script:
    """Silence before the first token and again in the middle, as models that think have it."""
    beginning = frames(text_chunks(["Hel"], finish=None))
    rest = frames([chunk("lo"), chunk(finish="stop")]) + DONE
    return [Pause(seconds), Head(), Send(beginning), Pause(seconds), Send(rest), End()]


def test_no_silence_exceeds_the_keep_alive(eager_gateway: Gateway, upstream: Upstream) -> None:
    """hazard 3: before the first token and in mid-stream, bytes keep coming."""
    upstream.play(silent_stream(1.0))
    with LiveAnswer(eager_gateway.address, body_for()) as live:
        answer = live.rest().succeeded()
    assert answer.text() == "Hello"
    gaps = [later - earlier for earlier, later in itertools.pairwise([live.sent_at, *live.at])]
    assert max(gaps) < LONGEST_GAP
    assert sum(map(is_keep_alive, answer.chunks)) >= 6


def test_a_keep_alive_is_a_chunk_with_an_empty_delta(eager_gateway: Gateway, upstream: Upstream) -> None:
    """hazards 3, 9: the one form that every client takes, after the role chunk and never before it."""
    upstream.play(silent_stream())
    answer = stream_chat(eager_gateway.address).succeeded()
    beats = [value for value in answer.chunks if is_keep_alive(value)]
    assert beats
    for value in beats:
        assert value["choices"] == [{"index": 0, "delta": {}, "finish_reason": None}]
    assert answer.chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}


def test_headers_are_committed_before_the_first_token(eager_gateway: Gateway, upstream: Upstream) -> None:
    """hazard 3: status and role chunk do not wait for the model."""
    held = Gate()
    upstream.play([WaitFor(held), *text_stream()])
    with LiveAnswer(eager_gateway.address, body_for()) as live:
        live.read_past("assistant")
        held.open()
        assert live.rest().succeeded().text() == "Hello world"


def test_a_lively_stream_has_no_keep_alive(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 3: nobody pays for keep-alives that are not needed."""
    answer = stream_chat(gateway.address).succeeded()
    assert not any(map(is_keep_alive, answer.chunks))


def test_the_blocking_sdk_lives_through_silence(
    eager_gateway: Gateway, upstream: Upstream, open_client: OpenClient
) -> None:
    """hazard 9: no exception, and no chunk without choices."""
    upstream.play(silent_stream(1.0))
    with open_client(eager_gateway).chat.completions.create(
        model="m", messages=[{"role": "user", "content": "x"}], stream=True
    ) as answer:
        parts = list(answer)
    assert "".join(part.choices[0].delta.content or "" for part in parts) == "Hello"
    assert len(parts) > 8


def test_the_async_sdk_lives_through_silence(eager_gateway: Gateway, upstream: Upstream) -> None:
    """hazard 9: the same without blocking."""
    upstream.play(silent_stream())

    async def read() -> str:
        async with AsyncOpenAI(base_url=eager_gateway.base_url, api_key="k", max_retries=0) as sdk:
            answer = await sdk.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "x"}], stream=True
            )
            return "".join([part.choices[0].delta.content or "" async for part in answer])

    assert asyncio.run(read()) == "Hello"


def test_the_sdk_accumulator_lives_through_silence(
    eager_gateway: Gateway, upstream: Upstream, open_client: OpenClient
) -> None:
    """hazard 9: the helper that folds chunks into a message."""
    upstream.play(silent_stream())
    with open_client(eager_gateway).chat.completions.stream(
        model="m", messages=[{"role": "user", "content": "x"}]
    ) as answer:
        message = answer.get_final_completion().choices[0].message
    assert message.content == "Hello"


def test_line_readers_live_through_silence(eager_gateway: Gateway, upstream: Upstream) -> None:
    """hazard 9: a reader that takes every non-empty line for JSON."""
    upstream.play(silent_stream())
    text = ""
    with requests.post(
        f"{eager_gateway.base_url}/chat/completions", json=body_for(), stream=True, timeout=20
    ) as response:
        for line in response.iter_lines():
            if line and line != b"data: [DONE]":
                data = json.loads(line.decode().replace("data: ", ""))
                text += data["choices"][0].get("delta", {}).get("content") or ""
    assert text == "Hello"


def test_a_whole_answer_waits_through_silence(
    eager_gateway: Gateway, upstream: Upstream, open_client: OpenClient
) -> None:
    """hazard 3: a call without streaming gets its JSON whole, however long it takes."""
    upstream.play(silent_stream())
    answer = open_client(eager_gateway).chat.completions.create(
        model="m", messages=[{"role": "user", "content": "x"}]
    )
    assert answer.choices[0].message.content == "Hello"


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_ninety_seconds_of_silence_with_the_usual_settings(
    upstream: Upstream, start_gateway: StartGateway
) -> None:
    """hazards 3, 9: at full length, first token and middle, with the timeouts raised above it."""
    patient = gateway_config(upstream.url)
    del patient["server"]
    patient["models"]["m"]["timeouts"] = {"first_token": "120s", "idle": "120s"}
    gateway = start_gateway(patient)
    upstream.play(silent_stream(90))
    with (
        OpenAI(base_url=gateway.base_url, api_key="k", max_retries=0, timeout=15) as sdk,
        sdk.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "x"}], stream=True
        ) as answer,
    ):
        assert "".join(part.choices[0].delta.content or "" for part in answer) == "Hello"
