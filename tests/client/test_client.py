"""Both clients: every event once and in order whatever happens to the connection, and errors that help."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from tests.client.readers import ASKED, Awaiting, Blocking
from tests.client.scripted import STREAM, TEXT, Framed, Refusal, ScriptedGateway, events_of, frames_of
from tests.cutting_proxy import Cut, CuttingProxy
from tidegate.client import (
    AsyncClient,
    End,
    GatewayUnreachable,
    Patience,
    RequestRefused,
    StreamFailed,
    StreamInterrupted,
    StreamUnavailable,
    Text,
    Thinking,
    Tool,
    ToolCall,
)
from tidegate.core.event import AnyEvent, Failure

BOTH = pytest.mark.parametrize("kind", [Blocking, Awaiting])
Kind = type[Blocking] | type[Awaiting]
WHOLE = "".join(TEXT)
HASTY = Patience(give_up=0.3, first=0.01, longest=0.05, silence=5.0)


def ask(client: Any) -> Any:
    return client.stream(**ASKED)


def resume(client: Any, after: str | None = None) -> Any:
    return client.resume(STREAM, after=after)


def comparable(events: list[AnyEvent]) -> list[AnyEvent]:
    """Events without what depends on the dialect and on where reading began: the number of their block,
    the usage in an upstream's own words."""
    plain: list[AnyEvent] = []
    for event in events:
        if isinstance(event, Text | Thinking | Tool):
            event = replace(event, block=0)  # noqa: PLW2901
        if isinstance(event, End) and event.usage is not None:
            event = replace(event, usage=replace(event.usage, extra=None))  # noqa: PLW2901
        plain.append(event)
    return plain


def answer(dialect: str = "openai-chat", **options: Any) -> list[Framed]:
    return frames_of(dialect, events_of(tools=True), usage=True, **options)


@pytest.fixture
def scripted() -> Iterator[ScriptedGateway]:
    with ScriptedGateway(answer(), answer("events", keep_alive=True)) as server:
        yield server


@pytest.fixture
def proxy(scripted: ScriptedGateway) -> Iterator[CuttingProxy]:
    with CuttingProxy(scripted.address) as between:
        yield between


@BOTH
def test_events_text_and_the_whole_answer(scripted: ScriptedGateway, kind: Kind) -> None:
    reader = kind(scripted.url)
    read = reader.read(ask)
    assert read.error is None
    assert "".join(event.text for event in read.events if isinstance(event, Text)) == WHOLE
    assert isinstance(read.events[-1], End)
    assert read.answer.text == WHOLE
    assert read.answer.thinking == "Hm. "
    assert read.answer.tools == [ToolCall("call_1", "look", '{"q": 1}')]
    assert (read.answer.finish, read.answer.stream_id) == ("tool_calls", STREAM)
    assert read.answer.usage is not None
    assert read.answer.usage.output_tokens == 5
    assert "".join(reader.text(ask)) == WHOLE
    assert reader.call(lambda client: client.collect(**ASKED)) == read.answer


@BOTH
def test_cut_anywhere_the_events_are_the_same(
    scripted: ScriptedGateway, proxy: CuttingProxy, kind: Kind
) -> None:
    scripted.frames = answer(keep_alive=True)
    reader = kind(proxy.url)
    whole = reader.read(ask)
    size = proxy.links[-1].received
    for number, at in enumerate(range(0, size, 41)):
        proxy.plan(Cut(at, "reset" if number % 2 else "close"))
        read = reader.read(ask)
        assert read == whole, f"cut after {at} bytes"
    assert scripted.of("DELETE") == []


@BOTH
def test_a_gateway_that_is_away_for_too_long_is_an_error_to_go_on_from(
    scripted: ScriptedGateway, proxy: CuttingProxy, kind: Kind
) -> None:
    whole = kind(proxy.url).read(ask)
    proxy.plan(Cut(1200))
    scripted.refusals += [Refusal(503)] * 1000
    read = kind(proxy.url, HASTY).read(ask)
    scripted.refusals.clear()
    error = read.error
    assert isinstance(error, StreamInterrupted)
    assert error.stream_id == STREAM
    assert error.text
    assert WHOLE.startswith(error.text)
    assert f"resume({STREAM!r}, after={error.cursor!r})" in str(error)
    rest = kind(proxy.url).read(lambda client: client.resume(error.stream_id, after=error.cursor))
    assert comparable(read.events + rest.events) == comparable(whole.events)
    assert scripted.of("DELETE") == []


@BOTH
def test_resuming_from_any_event_yields_the_rest(scripted: ScriptedGateway, kind: Kind) -> None:
    reader = kind(scripted.url)
    whole = reader.read(ask).events
    for most in range(1, len(whole)):
        begun = reader.read(ask, most, "leave_running")
        rest = reader.read(partial(resume, after=begun.cursor))
        assert comparable(begun.events + rest.events) == comparable(whole), begun.cursor
    assert comparable(reader.read(resume).events) == comparable(whole)
    # A cursor within an event is one of frames: here behind the usage, before the end.
    last = scripted.frames[-2].cursor
    assert last is not None
    assert "-" in last
    assert [type(event) for event in reader.read(partial(resume, after=last)).events] == [End]
    assert {seen.query["dialect"] for seen in scripted.of("GET")} == {"openai-chat", "events"}


@BOTH
def test_resuming_behind_the_end_yields_nothing(scripted: ScriptedGateway, kind: Kind) -> None:
    reader = kind(scripted.url)
    cursor = reader.read(ask).cursor
    rest = reader.read(partial(resume, after=cursor))
    assert (rest.events, rest.error) == ([], None)


@BOTH
def test_silence_is_a_loss(scripted: ScriptedGateway, proxy: CuttingProxy, kind: Kind) -> None:
    whole = kind(proxy.url).read(ask)
    proxy.plan(Cut(1200, "stall"), Cut(0, "stall"))
    assert kind(proxy.url, Patience(give_up=5, first=0.01, longest=0.05, silence=0.2)).read(ask) == whole


@BOTH
def test_a_lost_head_is_asked_for_again_with_the_same_key(
    scripted: ScriptedGateway, proxy: CuttingProxy, kind: Kind
) -> None:
    proxy.plan(Cut(0), Cut(15, "reset"))
    assert kind(proxy.url).read(ask).answer.text == WHOLE
    assert (len(scripted.of("POST")), len(scripted.keys)) == (3, 1)


@BOTH
def test_a_busy_gateway_is_asked_again_when_it_says(scripted: ScriptedGateway, kind: Kind) -> None:
    scripted.post_refusals += [Refusal(503, {"Retry-After": "1"}), Refusal(429)]
    assert kind(scripted.url).read(ask).answer.text == WHOLE
    full = Refusal(503, {"Retry-After": "77"}, {"error": {"message": "full", "type": "overloaded_error"}})
    scripted.post_refusals.append(full)
    error = kind(scripted.url).read(ask).error
    assert isinstance(error, RequestRefused)
    assert (error.status, error.type, error.retry_after, str(error)) == (503, "overloaded_error", 77, "full")


@BOTH
def test_a_failure_keeps_what_came(scripted: ScriptedGateway, kind: Kind) -> None:
    failed = Failure("the model has gone away", type="upstream_error", code="gone")
    scripted.frames = frames_of("openai-chat", events_of(error=failed))
    read = kind(scripted.url).read(ask)
    error = read.error
    assert isinstance(error, StreamFailed)
    assert (str(error), error.type, error.code) == ("the model has gone away", "upstream_error", "gone")
    assert (error.text, error.stream_id) == (WHOLE, STREAM)
    assert "".join(event.text for event in read.events if isinstance(event, Text)) == WHOLE
    assert scripted.of("DELETE") == []


@BOTH
@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_stream_that_is_not_given_out(
    scripted: ScriptedGateway, proxy: CuttingProxy, kind: Kind, status: int
) -> None:
    refusal = Refusal(status, {}, {"error": {"message": "not for you", "type": "x"}})
    scripted.refusals += [refusal, refusal]
    asked = kind(scripted.url).read(lambda client: client.resume(STREAM, after=3)).error
    assert isinstance(asked, StreamUnavailable)
    assert (asked.status, str(asked)) == (status, "not for you")
    proxy.plan(Cut(1200))
    lost = kind(proxy.url).read(ask).error
    assert isinstance(lost, StreamUnavailable)
    assert (lost.status, lost.stream_id, bool(lost.text)) == (status, STREAM, True)
    assert "cannot be resumed: not for you" in str(lost)


@BOTH
def test_an_error_before_the_answer_is_the_gateways_own(scripted: ScriptedGateway, kind: Kind) -> None:
    told = {"error": {"message": "there is no model 'm' here", "type": "not_found_error", "param": "model"}}
    scripted.post_refusals.append(Refusal(404, {}, told))
    error = kind(scripted.url).read(ask).error
    assert isinstance(error, RequestRefused)
    assert (error.status, error.param, str(error)) == (404, "model", "there is no model 'm' here")


@BOTH
def test_nobody_there_is_told_at_once(proxy: CuttingProxy, kind: Kind) -> None:
    with proxy.refusing():
        error = kind(proxy.url).read(ask).error
    assert isinstance(error, GatewayUnreachable)
    assert proxy.url in str(error)


@BOTH
def test_leaving_early_cancels_unless_told_otherwise(scripted: ScriptedGateway, kind: Kind) -> None:
    scripted.hold = 5
    reader = kind(scripted.url, key="k")
    read = reader.read(ask, 2, "leave_running")
    assert read.stream_id == STREAM
    reader.read(lambda client: client.stream(**ASKED, keep_running=True), 2)
    reader.read(lambda client: client.resume(STREAM), 2)
    assert scripted.of("DELETE") == []
    reader.read(ask, 2)
    [cancelled] = scripted.of("DELETE")
    assert (cancelled.path, cancelled.headers["authorization"]) == (f"/v1/streams/{STREAM}", "Bearer k")


@BOTH
def test_cancelling_by_name(scripted: ScriptedGateway, kind: Kind) -> None:
    kind(scripted.url).call(lambda client: client.cancel(STREAM))
    assert scripted.cancelled.is_set()


@BOTH
def test_the_address_may_have_what_people_copy_along(scripted: ScriptedGateway, kind: Kind) -> None:
    assert kind(f"{scripted.url}/v1/").read(ask).error is None


@BOTH
def test_a_gateway_below_a_path(scripted: ScriptedGateway, proxy: CuttingProxy, kind: Kind) -> None:
    scripted.hold = 5
    kind(f"{scripted.url}/llm/v1").read(ask, 2)
    assert [seen.path for seen in scripted.seen] == [
        "/llm/v1/chat/completions",
        f"/llm/v1/streams/{STREAM}",
    ]


def test_cancelling_before_anything_came_cancels(scripted: ScriptedGateway) -> None:
    scripted.silent = True

    async def leave() -> None:
        task = asyncio.create_task(AsyncClient(scripted.url).collect(**ASKED))
        await asyncio.to_thread(scripted.asked.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    [cancelled] = scripted.of("DELETE")
    assert cancelled.query == {"idempotency_key": scripted.of("POST")[0].headers["idempotency-key"]}


def test_importing_it_imports_no_server() -> None:
    heavy = "sqlalchemy uvloop starlette uvicorn httpx httpx2 click rich alembic prometheus_client openai"
    program = (
        "import sys\nimport tidegate.client\n"
        f"print([name for name in {heavy.split()!r} if name in sys.modules])\n"
        "print([name for name in sys.modules if name.startswith(('tidegate.server', 'tidegate.streams'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"
