"""The official SDKs, unmodified, deliver the same answer however often their connections are lost."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from tests.client.scripted import PATHS, STREAM, Refusal, ScriptedGateway, events_of, frames_of
from tests.client.sdks import (
    MESSAGES,
    anthropic_client,
    async_openai,
    deliver,
    deliver_async,
    openai_client,
)
from tests.cutting_proxy import Cut, CuttingProxy
from tidegate.client import Patience
from tidegate.core.event import Failure

DIALECTS = list(PATHS)
HASTY = Patience(give_up=0.3, first=0.01, longest=0.05, silence=5.0)


@pytest.fixture
def scripted() -> Iterator[ScriptedGateway]:
    with ScriptedGateway() as server:
        yield server


@pytest.fixture
def proxy(scripted: ScriptedGateway) -> Iterator[CuttingProxy]:
    with CuttingProxy(scripted.address) as between:
        yield between


def size_of_answer(proxy: CuttingProxy) -> int:
    """Bytes of the answer that just went through, head and framing included."""
    return proxy.links[-1].received


@pytest.mark.parametrize("ids", [True, False], ids=["with ids", "counted"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_cut_anywhere_the_answer_is_the_same(
    scripted: ScriptedGateway, proxy: CuttingProxy, dialect: str, ids: bool
) -> None:
    scripted.frames, scripted.ids = frames_of(dialect, events_of(tools=True)), ids
    whole = deliver(dialect, proxy.url)
    size = size_of_answer(proxy)
    for number, at in enumerate(range(0, size, size // (24 if ids else 12))):
        proxy.plan(Cut(at, "reset" if number % 2 else "close"))
        assert deliver(dialect, proxy.url) == whole, f"cut after {at} bytes"
    assert len(scripted.keys) == len(scripted.of("POST")) - sum(cut_before_head(scripted))
    assert scripted.of("DELETE") == []


def cut_before_head(scripted: ScriptedGateway) -> list[bool]:
    """For each request but the first of a key: it is a repeat."""
    seen: set[str] = set()
    repeats = []
    for post in scripted.of("POST"):
        key = post.headers["idempotency-key"]
        repeats.append(key in seen)
        seen.add(key)
    return repeats


@pytest.mark.parametrize("dialect", DIALECTS)
def test_asynchronously_too(scripted: ScriptedGateway, proxy: CuttingProxy, dialect: str) -> None:
    scripted.frames = frames_of(dialect, events_of(tools=True), keep_alive=False)
    whole = deliver(dialect, proxy.url)
    size = size_of_answer(proxy)

    async def all_of_them() -> None:
        for number, at in enumerate(range(0, size, size // 8)):
            proxy.plan(Cut(at, "reset" if number % 2 else "close"))
            assert await deliver_async(dialect, proxy.url) == whole, f"cut after {at} bytes"

    asyncio.run(all_of_them())


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_cut_at_every_byte(scripted: ScriptedGateway, proxy: CuttingProxy, dialect: str) -> None:
    scripted.frames = frames_of(dialect, events_of())
    whole = deliver(dialect, proxy.url)
    for at in range(size_of_answer(proxy)):
        proxy.plan(Cut(at, "reset" if at % 2 else "close"))
        assert deliver(dialect, proxy.url) == whole, f"cut after {at} bytes"


def test_many_cuts_in_one_answer(scripted: ScriptedGateway, proxy: CuttingProxy) -> None:
    scripted.frames = frames_of("openai-chat", events_of([f"{number} " for number in range(200)]))
    whole = deliver("openai-chat", proxy.url)
    proxy.plan(*[Cut(700 + 31 * number) for number in range(40)])
    assert deliver("openai-chat", proxy.url) == whole
    assert len(scripted.of("GET")) == 40


def test_silence_is_a_loss(scripted: ScriptedGateway, proxy: CuttingProxy) -> None:
    scripted.frames = frames_of("openai-chat", events_of())
    whole = deliver("openai-chat", proxy.url)
    proxy.plan(Cut(900, "stall"), Cut(500, "stall"))
    impatient = Patience(give_up=5, first=0.01, longest=0.05, silence=0.2)
    assert deliver("openai-chat", proxy.url, patience=impatient) == whole


def test_a_gateway_that_is_away_for_a_while_is_waited_for(
    scripted: ScriptedGateway, proxy: CuttingProxy
) -> None:
    scripted.frames = frames_of("openai-chat", events_of())
    whole = deliver("openai-chat", proxy.url)
    with openai_client(proxy.url) as client:
        proxy.plan(Cut(900))
        stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        with proxy.refusing():
            back = threading.Timer(0.3, lambda: None)
            back.start()
            items = iter(stream)
            first = next(items)
            back.join()
        told = [json.dumps(item.model_dump(mode="json"), sort_keys=True) for item in [first, *items]]
    assert told == whole


def test_retry_after_is_honoured_and_busy_statuses_are_not_the_end(
    scripted: ScriptedGateway, proxy: CuttingProxy
) -> None:
    scripted.frames = frames_of("openai-chat", events_of())
    whole = deliver("openai-chat", proxy.url)
    scripted.refusals += [Refusal(503, {"Retry-After": "1"}), Refusal(502), Refusal(429)]
    proxy.plan(Cut(900))
    assert deliver("openai-chat", proxy.url) == whole
    assert not scripted.refusals
    hasty = Patience(give_up=0.5, first=0.01, longest=0.05)
    scripted.refusals.append(Refusal(503, {"Retry-After": "1"}))
    proxy.plan(Cut(900))
    with pytest.raises(openai.APIConnectionError) as raised:
        deliver("openai-chat", proxy.url, patience=hasty)
    assert "status 503" in str(raised.value.__cause__)


def test_a_lost_head_is_asked_for_again_with_the_same_key(
    scripted: ScriptedGateway, proxy: CuttingProxy
) -> None:
    scripted.frames = frames_of("openai-chat", events_of())
    whole = deliver("openai-chat", proxy.url)
    scripted.forget()
    proxy.plan(Cut(0), Cut(20, "reset"))
    assert deliver("openai-chat", proxy.url) == whole
    assert (len(scripted.of("POST")), len(scripted.keys), scripted.of("GET")) == (3, 1, [])


def test_a_whole_answer_survives_too(scripted: ScriptedGateway, proxy: CuttingProxy) -> None:
    answer = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
    scripted.whole = json.dumps({**answer, "system_fingerprint": "y" * 3000}).encode()
    proxy.plan(Cut(0), Cut(100), Cut(1500, "reset"))
    with openai_client(proxy.url) as client:
        read = client.chat.completions.create(model="m", messages=MESSAGES)
    assert read.system_fingerprint == "y" * 3000
    assert (len(scripted.of("POST")), len(scripted.keys)) == (4, 1)


@pytest.mark.parametrize(
    ("status", "message"),
    [(404, "there is no stream"), (403, "belongs to another caller"), (410, "is not kept any more")],
)
def test_a_stream_that_is_not_there_any_more_is_an_error_that_says_so(
    scripted: ScriptedGateway, proxy: CuttingProxy, status: int, message: str
) -> None:
    scripted.frames = frames_of("openai-chat", events_of())
    scripted.refusals.append(Refusal(status, {}, {"error": {"message": message}}))
    proxy.plan(Cut(900))
    with pytest.raises(openai.APIConnectionError) as raised:
        deliver("openai-chat", proxy.url)
    assert f"{STREAM} after" in str(raised.value.__cause__)
    assert f"answers {status} {message}" in str(raised.value.__cause__)
    assert scripted.of("DELETE") == []


def test_giving_up_leaves_the_stream_to_whoever_comes_later(
    scripted: ScriptedGateway, proxy: CuttingProxy
) -> None:
    scripted.frames = frames_of("openai-chat", events_of())
    with openai_client(proxy.url, HASTY) as client:
        proxy.plan(Cut(900))
        stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        with proxy.refusing(), pytest.raises(openai.APIConnectionError) as raised:
            list(stream)
    assert f"stream {STREAM} after" in str(raised.value.__cause__)
    assert scripted.of("DELETE") == []


def test_nobody_there_is_told_at_once(proxy: CuttingProxy) -> None:
    with proxy.refusing(), openai_client(proxy.url) as client, pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="m", messages=MESSAGES, stream=True)


def test_an_error_keeps_its_status_and_is_not_tried_again(
    scripted: ScriptedGateway, proxy: CuttingProxy
) -> None:
    scripted.post_refusals.append(Refusal(429, {"Retry-After": "1"}, {"error": {"message": "slow down"}}))
    with openai_client(proxy.url) as client, pytest.raises(openai.RateLimitError, match="slow down"):
        client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    assert len(scripted.of("POST")) == 1


def test_an_error_terminal_is_the_end(scripted: ScriptedGateway, proxy: CuttingProxy) -> None:
    scripted.frames = frames_of("openai-chat", events_of(error=Failure("the model has gone away")))
    with pytest.raises(openai.APIError, match="the model has gone away"):
        deliver("openai-chat", proxy.url)
    assert (scripted.of("GET"), scripted.of("DELETE")) == ([], [])


def test_leaving_early_cancels(scripted: ScriptedGateway, proxy: CuttingProxy) -> None:
    scripted.frames, scripted.hold = frames_of("openai-chat", events_of()), 4
    with openai_client(proxy.url) as client:
        stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        next(iter(stream))
        stream.close()
    assert scripted.cancelled.is_set()
    [cancelled] = scripted.of("DELETE")
    assert cancelled.path == f"/v1/streams/{STREAM}"
    assert cancelled.headers["authorization"] == "Bearer k"


def test_leaving_a_messages_stream_early_cancels(scripted: ScriptedGateway, proxy: CuttingProxy) -> None:
    scripted.frames, scripted.hold = frames_of("anthropic-messages", events_of()), 5
    with (
        anthropic_client(proxy.url) as client,
        client.messages.stream(model="m", max_tokens=9, messages=MESSAGES) as stream,
    ):
        next(iter(stream))
    assert scripted.cancelled.is_set()


def test_cancelling_the_task_cancels(scripted: ScriptedGateway, proxy: CuttingProxy) -> None:
    scripted.frames, scripted.hold = frames_of("openai-chat", events_of()), 4

    async def leave() -> None:
        reading = asyncio.Event()

        async def read(client: openai.AsyncOpenAI) -> None:
            stream: Any = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            async for _ in stream:
                reading.set()

        async with async_openai(proxy.url) as client:
            task = asyncio.create_task(read(client))
            await reading.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(leave())
    assert scripted.cancelled.is_set()


@pytest.mark.parametrize("streamed", [True, False])
def test_cancelling_before_anything_came_cancels(scripted: ScriptedGateway, streamed: bool) -> None:
    """Nothing has told the stream's id yet: the key of the request stands for it."""
    scripted.frames, scripted.silent = frames_of("openai-chat", events_of()), True

    async def leave() -> None:
        async with async_openai(scripted.url) as client:
            asked: Any = client.chat.completions.create(model="m", messages=MESSAGES, stream=streamed)
            task = asyncio.ensure_future(asked)
            await asyncio.to_thread(scripted.asked.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(leave())
    [cancelled] = scripted.of("DELETE")
    assert cancelled.path.startswith("/v1/streams?")
    assert {cancelled.query["idempotency_key"]} == {scripted.of("POST")[0].headers["idempotency-key"]}


def test_interrupting_before_anything_came_cancels() -> None:
    """What Ctrl-C does in a program that blocks."""
    sent: list[httpx2.Request] = []

    class Interrupted(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            sent.append(request)
            if request.method == "POST":
                raise KeyboardInterrupt
            return httpx2.Response(200)

    interrupted = openai_client("http://gateway.example", transport=Interrupted())
    with interrupted as client, pytest.raises(KeyboardInterrupt):
        client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    asked, cancelled = sent
    key = asked.headers["idempotency-key"]
    assert (cancelled.method, str(cancelled.url)) == (
        "DELETE",
        f"http://gateway.example/v1/streams?idempotency_key={key}",
    )


def test_other_requests_pass_as_they_are(scripted: ScriptedGateway, proxy: CuttingProxy) -> None:
    scripted.refusals.append(Refusal(200, {}, {"object": "list", "data": []}))
    with openai_client(proxy.url) as client:
        assert client.models.list().data == []
    [seen] = scripted.seen
    assert "idempotency-key" not in seen.headers
    assert "tidegate-event-ids" not in seen.headers


def test_a_key_of_the_caller_is_kept(scripted: ScriptedGateway, proxy: CuttingProxy) -> None:
    scripted.frames = frames_of("openai-chat", events_of())
    with openai_client(proxy.url) as client:
        stream = client.chat.completions.create(
            model="m", messages=MESSAGES, stream=True, extra_headers={"Idempotency-Key": "mine"}
        )
        list(stream)
    assert scripted.keys == {"mine"}
