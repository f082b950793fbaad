"""An upstream that breaks off must never look like one that has finished."""

from __future__ import annotations

import asyncio

import pytest
from openai import APIError, AsyncOpenAI, OpenAI

from tests.chat import DONE, broken_off, chunk, frame, frames, text_chunks, tool
from tests.chat_stream import LiveAnswer, body_for, post_chat, stream_chat
from tests.gateway import Gateway
from tests.script import Close, CutChunk, End, Gate, Head, Reset, Send, Step, WaitFor
from tests.upstream import Upstream

FORTY = [f"t{number} " for number in range(40)]
BEGINNING = text_chunks(FORTY, finish=None)

WAYS_TO_BREAK: dict[str, list[Step]] = {
    "reset": [Reset()],
    "clean FIN inside of a chunked body": [Close()],
    "cut chunk": [CutChunk()],
    "half a frame and the proper end of the body": [Send(frame(chunk("lost"))[:-20]), End()],
    "the proper end of the body": [End()],
    "[DONE] without a finish": [Send(DONE), End()],
}


@pytest.mark.parametrize("way", WAYS_TO_BREAK)
def test_a_break_after_forty_tokens_is_told_once(gateway: Gateway, upstream: Upstream, way: str) -> None:
    """hazard 1: all that came is delivered, then exactly one error terminal and no [DONE]."""
    received = Gate()
    upstream.play([Head(), Send(frames(BEGINNING)), WaitFor(received), *WAYS_TO_BREAK[way]])
    with LiveAnswer(gateway.address, body_for()) as live:
        live.read_past("t39 ")
        received.open()
        answer = live.rest()
    assert answer.text() == "".join(FORTY)
    assert answer.failed()["type"]


@pytest.mark.parametrize("framing", ["close", "length"])
def test_a_short_body_of_any_framing_is_a_break(gateway: Gateway, upstream: Upstream, framing: str) -> None:
    """hazard 1: a body that ends with the connection, and one shorter than its Content-Length."""
    head = Head(framing="close") if framing == "close" else Head(framing="length", length=10**6)
    upstream.play([head, Send(frames(BEGINNING)), Close()])
    answer = stream_chat(gateway.address)
    assert answer.text() == "".join(FORTY)
    assert answer.failed()


@pytest.mark.parametrize("way", WAYS_TO_BREAK)
def test_a_break_is_no_answer_without_streaming(gateway: Gateway, upstream: Upstream, way: str) -> None:
    """hazard 1: half an answer is never returned as a whole one."""
    upstream.play(broken_off(BEGINNING, *WAYS_TO_BREAK[way]))
    response = post_chat(gateway.address, body_for(stream=False))
    assert response.status == 502
    assert response.json["error"]["message"]


def test_both_sdks_raise_on_a_break(gateway: Gateway, upstream: Upstream, client: OpenAI) -> None:
    """hazard 1: the loop over the answer ends in an exception, after every token that came."""
    upstream.answer = lambda request: broken_off(BEGINNING)
    seen: list[str] = []
    with (
        client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "x"}], stream=True
        ) as answer,
        pytest.raises(APIError),
    ):
        seen.extend(part.choices[0].delta.content or "" for part in answer)
    assert "".join(seen) == "".join(FORTY)

    async def read() -> str:
        text = ""
        async with AsyncOpenAI(base_url=gateway.base_url, api_key="k", max_retries=0) as sdk:
            stream = await sdk.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "x"}], stream=True
            )
            with pytest.raises(APIError):  # noqa: PT012 - the loop is what raises, and its text is wanted
                async for part in stream:
                    text += part.choices[0].delta.content or ""
        return text

    assert asyncio.run(read()) == "".join(FORTY)


def test_a_finish_without_an_end_mark_is_a_success(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 1, the other way round: upstreams that never send [DONE] are complete with their finish."""
    upstream.play([Head(framing="close"), Send(frames(text_chunks(["Hello"]))), End()])
    answer = stream_chat(gateway.address).succeeded()
    assert (answer.text(), answer.finishes()) == ("Hello", ["stop"])


def test_a_cut_after_the_finish_loses_nothing(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 1: the answer was whole before its connection broke."""
    upstream.play([Head(), Send(frames(text_chunks(["Hello"]))), Send(DONE), Close()])
    assert stream_chat(gateway.address).succeeded().text() == "Hello"


def test_an_unfinished_choice_is_a_break(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 1: one choice of two has finished when the upstream ends."""
    parts = [chunk("a", index=0), chunk("b", index=1), chunk(finish="stop", index=0)]
    upstream.play([Head(), Send(frames(parts)), Send(DONE), End()])
    answer = stream_chat(gateway.address, n=2)
    assert not answer.done
    assert answer.error is not None


def test_a_cut_tool_call_names_its_tool(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 35: no finish invites the client to run half a call, and the error says which tool it was."""
    opening = tool(0, "", call_id="call_1", name="delete_rows")
    parts = [chunk(tool_calls=[opening]), chunk(tool_calls=[tool(0, '{"table": "use')])]
    upstream.play(broken_off(parts, End()), broken_off(parts, End()))
    answer = stream_chat(gateway.address)
    assert answer.arguments() == {0: '{"table": "use'}
    assert answer.finishes() == ["error"]
    assert "delete_rows" in answer.failed()["message"]
    whole = post_chat(gateway.address, body_for(stream=False))
    assert whole.status == 502
    assert "delete_rows" in whole.json["error"]["message"]
