"""The clients and the official SDKs against the real gateway: cut off and killed, they read every token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.chat import chunk, frame, stream, text_chunks, text_stream, tool
from tests.client.readers import ASKED, Awaiting, Blocking
from tests.client.sdks import MESSAGES, QUICK, TLS, anthropic_client, async_openai, openai_client
from tests.cutting_proxy import Cut, CuttingProxy
from tests.gateway import Gateway, eventually, gateway_config
from tests.hazards.test_buffering import free_port
from tests.raw_http import fetch
from tests.script import Gate, Head, Pause, Script, Send, Stall, WaitFor
from tests.upstream import Upstream
from tidegate.client import Client, Patience, StreamFailed, Text, resilient

PIECES = ["Tides ", "turn 世界", " 🌊", " data: x\n\n", "end", "."]
WHOLE = "".join(PIECES)
BOTH = pytest.mark.parametrize("kind", [Blocking, Awaiting])
Kind = type[Blocking] | type[Awaiting]
Deliver = Callable[..., list[str]]
PROXIED = Patience(give_up=20.0, first=0.02, longest=0.3, silence=5.0)


@pytest.fixture
def proxy(gateway: Gateway) -> Iterator[CuttingProxy]:
    with CuttingProxy(gateway.address) as between:
        yield between


def chat(client: openai.OpenAI, **options: Any) -> list[str]:
    items: Any = client.chat.completions.create(model="m", messages=MESSAGES, stream=True, **options)
    return [item.model_dump_json() for item in items]


def responses(client: openai.OpenAI, **options: Any) -> list[str]:
    items: Any = client.responses.create(model="m", input="x", stream=True, **options)
    return [item.model_dump_json() for item in items]


def messages(client: anthropic.Anthropic, **options: Any) -> list[str]:
    items: Any = client.messages.create(model="m", max_tokens=99, messages=MESSAGES, stream=True, **options)
    return [item.model_dump_json() for item in items]


def answer_with_tools() -> Script:
    calls = [
        chunk(tool_calls=[tool(0, '{"q":', call_id="call_1", name="look")]),
        chunk(tool_calls=[tool(0, ' "世界"}')]),
    ]
    text = text_chunks(PIECES, finish=None)
    return stream([text[0], chunk(reasoning="Hm. "), *text[1:], *calls, chunk(finish="tool_calls")])


SDKS = pytest.mark.parametrize("deliver", [chat, responses, messages])


def check_cuts(proxy: CuttingProxy, upstream: Upstream, deliver: Deliver, most: int) -> None:
    """Cut one stream at about ``most`` places; what is delivered is the same, even ids and times."""
    upstream.play(answer_with_tools())
    make: Any = anthropic_client if deliver is messages else openai_client
    same = {"extra_headers": {"Idempotency-Key": f"cut-{deliver.__name__}-{proxy.url}"}}
    with make(proxy.url) as client:
        whole = deliver(client, **same)
    size = proxy.links[0].received
    for number, at in enumerate(range(0, size, max(size // most, 1))):
        with make(proxy.url) as client:
            proxy.plan(Cut(at, "reset" if number % 2 else "close"))
            assert deliver(client, **same) == whole, f"cut after {at} bytes"
    assert len(upstream.requests) == 1


@SDKS
def test_cut_anywhere_the_sdk_delivers_the_same_stream(
    gateway: Gateway, proxy: CuttingProxy, upstream: Upstream, deliver: Deliver
) -> None:
    check_cuts(proxy, upstream, deliver, 12)


@pytest.mark.soak
@pytest.mark.timeout(0)
@SDKS
def test_cut_at_every_byte_the_sdk_delivers_the_same_stream(
    gateway: Gateway, proxy: CuttingProxy, upstream: Upstream, deliver: Deliver
) -> None:
    check_cuts(proxy, upstream, deliver, 10**9)


def paced(pieces: list[str]) -> Script:
    """An answer that comes while it is read."""
    steps: list[Any] = [Head()]
    for value in text_chunks(pieces):
        steps += [Send(frame(value)), Pause(0.01)]
    return [*steps, Send(b"data: [DONE]\n\n")]


def told(items: list[str]) -> str:
    """The text in what an SDK delivered, whichever it was."""
    text = ""
    for item in map(json.loads, items):
        if item.get("choices"):
            text += item["choices"][0]["delta"].get("content") or ""
        elif item.get("type") == "response.output_text.delta":
            text += item["delta"]
        elif item.get("type") == "content_block_delta":
            text += item["delta"]["text"]
    return text


@pytest.mark.soak
@pytest.mark.timeout(0)
@SDKS
def test_cut_at_every_event_while_it_comes_the_sdk_reads_every_token(
    gateway: Gateway, proxy: CuttingProxy, upstream: Upstream, deliver: Deliver
) -> None:
    """Behind each event and within it: every stream is cut once, at another place."""
    pieces = [f"{number} 世 " for number in range(40)]
    upstream.answer = lambda _: paced(pieces)
    make: Any = anthropic_client if deliver is messages else openai_client
    with make(proxy.url) as client:
        assert told(deliver(client)) == "".join(pieces)
    size = proxy.links[0].received
    cuts = range(0, size, size // (3 * len(pieces)))
    for number, at in enumerate(cuts):
        proxy.plan(Cut(at, "reset" if number % 2 else "close"))
        with make(proxy.url) as client:
            assert told(deliver(client)) == "".join(pieces), f"cut after {at} bytes"
    assert len(upstream.requests) == 1 + len(cuts)


@BOTH
def test_cut_while_it_comes_the_client_reads_every_token(
    gateway: Gateway, proxy: CuttingProxy, upstream: Upstream, kind: Kind
) -> None:
    pieces = [f"{number} " for number in range(60)]
    upstream.play(paced(pieces))
    proxy.plan(*[Cut(600 + 300 * number) for number in range(8)])
    read = kind(proxy.url, PROXIED).read(lambda client: client.stream(**ASKED))
    assert read.error is None
    assert [event.text for event in read.events if isinstance(event, Text)] == pieces
    assert len(proxy.links) >= 8
    assert len(upstream.requests) == 1


def test_cut_while_it_comes_the_sdk_reads_every_token(
    gateway: Gateway, proxy: CuttingProxy, upstream: Upstream
) -> None:
    pieces = [f"{number} " for number in range(60)]
    upstream.play(paced(pieces))
    proxy.plan(*[Cut(600 + 300 * number) for number in range(8)])

    async def read() -> str:
        async with async_openai(proxy.url) as client:
            items: Any = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            return "".join([item.choices[0].delta.content or "" async for item in items])

    assert asyncio.run(read()) == "".join(pieces)
    assert len(upstream.requests) == 1


@BOTH
def test_leaving_early_closes_the_upstream(gateway: Gateway, upstream: Upstream, kind: Kind) -> None:
    upstream.play([Head(), *map(Send, map(frame, text_chunks(PIECES, finish=None))), Stall()])
    read = kind(gateway.url).read(lambda client: client.stream(**ASKED), 3)
    assert read.error is None
    upstream.request().connection.wait_closed()


def test_closing_the_sdks_stream_closes_the_upstream(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play([Head(), *map(Send, map(frame, text_chunks(PIECES, finish=None))), Stall()])
    with openai_client(gateway.url) as client:
        items: Any = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        next(iter(items))
        items.close()
        upstream.request().connection.wait_closed()


@pytest.mark.parametrize("streamed", [True, False])
def test_cancelling_before_anything_came_closes_the_upstream(
    gateway: Gateway, upstream: Upstream, streamed: bool
) -> None:
    upstream.play([Stall()])

    async def leave() -> None:
        async with async_openai(gateway.url) as client:
            asked: Any = client.chat.completions.create(model="m", messages=MESSAGES, stream=streamed)
            task = asyncio.ensure_future(asked)
            await asyncio.to_thread(upstream.request)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(leave())
    upstream.request().connection.wait_closed()


@BOTH
def test_left_running_it_is_read_by_somebody_else(gateway: Gateway, upstream: Upstream, kind: Kind) -> None:
    more = Gate()
    head, *rest = text_chunks(PIECES)
    upstream.play(
        [
            Head(),
            Send(frame(head)),
            *map(Send, map(frame, rest[:2])),
            WaitFor(more),
            *map(Send, map(frame, rest[2:])),
            Send(b"data: [DONE]\n\n"),
        ]
    )
    reader = kind(gateway.url)
    begun = reader.read(lambda client: client.stream(**ASKED, keep_running=True), 2)
    more.open()
    rest_of_it = reader.read(lambda client: client.resume(begun.stream_id, after=begun.cursor))
    told = [event.text for event in begun.events + rest_of_it.events if isinstance(event, Text)]
    assert "".join(told) == WHOLE
    assert begun.stream_id in [each["id"] for each in reader.call(lambda client: client.streams())]
    state = reader.call(lambda client: client.state(begun.stream_id))
    assert (state["status"], state["text"]) == ("completed", WHOLE)


@BOTH
def test_a_stream_that_somebody_cancels_ends_in_an_error_with_what_came(
    gateway: Gateway, upstream: Upstream, kind: Kind
) -> None:
    upstream.play([Head(), *map(Send, map(frame, text_chunks(PIECES, finish=None))), Stall()])
    begun = kind(gateway.url).read(lambda client: client.stream(**ASKED, keep_running=True), 2)
    Client(gateway.url).cancel(str(begun.stream_id))
    read = kind(gateway.url).read(lambda client: client.resume(begun.stream_id))
    assert isinstance(read.error, StreamFailed)
    assert read.error.type == "cancelled"
    assert WHOLE.startswith(read.error.text)


def test_a_killed_gateway_that_comes_back_is_gone_on_with(upstream: Upstream, tmp_path: Path) -> None:
    """The client is cut off in the middle of an answer that the gateway has all of; then that is killed."""
    arguments = ("--port", str(free_port()))
    upstream.play(text_stream([f"{number} " for number in range(300)]))
    gateway = Gateway(tmp_path, gateway_config(upstream.url), arguments)
    try:
        with CuttingProxy(gateway.address) as proxy:
            proxy.plan(Cut(5000, "stall"))
            stream_of = Client(proxy.url, patience=Patience(20.0, 0.02, 0.3, silence=0.3))
            with stream_of.stream(**ASKED) as answer:
                text = next(answer.text())
                eventually(
                    lambda: Client(gateway.url).state(str(answer.stream_id))["status"] == "completed",
                    "the gateway has the whole answer",
                )
                gateway.kill()
                gateway = Gateway(tmp_path, gateway_config(upstream.url), arguments)
                text += "".join(answer.text())
    finally:
        gateway.kill()
    assert text == "".join(f"{number} " for number in range(300))
    assert len(upstream.requests) == 1


def test_a_lost_response_is_not_bought_again(
    gateway: Gateway, proxy: CuttingProxy, upstream: Upstream
) -> None:
    upstream.answer = lambda _: text_stream(PIECES)
    proxy.plan(Cut(0), Cut(40, "reset"))
    with openai_client(proxy.url) as client:
        whole = client.chat.completions.create(model="m", messages=MESSAGES)
    assert whole.choices[0].message.content == WHOLE
    assert len(upstream.requests) == 1


def test_other_servers_pass_as_they_are(upstream: Upstream) -> None:
    """The transport may stay where a gateway is not: nothing of the answer is touched."""
    upstream.play(text_stream(PIECES))
    http = resilient(patience=QUICK, verify=TLS)
    with openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0, http_client=http) as client:
        items: Any = client.chat.completions.create(model="mock", messages=MESSAGES, stream=True)
        text = "".join(item.choices[0].delta.content or "" for item in items if item.choices)
    assert text == WHOLE


def test_stopping_without_saying_what_is_refused(gateway: Gateway) -> None:
    nothing = fetch(gateway.address, "DELETE", "/v1/streams")
    assert (nothing.status, nothing.json["error"]["param"]) == (400, "idempotency_key")
    unknown = fetch(gateway.address, "DELETE", "/v1/streams?idempotency_key=never-sent")
    assert (unknown.status, unknown.json["error"]["code"]) == (404, "stream_not_found")
