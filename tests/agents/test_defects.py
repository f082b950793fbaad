"""Agents with defects: each ends its own answer honestly, and the gateway goes on."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import dedent

import pytest

from tests.chat import text_stream
from tests.chat_stream import ChatAnswer, body_for, parse, post_chat
from tests.gateway import Gateway, eventually, gateway_config
from tests.raw_http import RawConnection, fetch, request_bytes
from tests.upstream import Upstream

AGENTS = dedent(
    '''
    import asyncio
    import sys

    from tidegate.agents import agent, tool


    @tool
    def leave() -> str:
        """Ends the process."""
        sys.exit(3)


    async def broken():
        yield "first"
        sys.exit(3)


    @agent("nothing")
    async def nothing(request, context):
        if request.text == "never":
            yield ""


    @agent("number")
    async def number(request, context):
        yield "one"
        yield 2


    @agent("raises")
    async def raises(request, context):
        yield "before"
        raise RuntimeError("the key is sk-secret")


    @agent("exits")
    async def exits(request, context):
        yield "before"
        sys.exit(3)


    @agent("exits-in-a-step")
    async def exits_in_a_step(request, context):
        yield "before"
        async for piece in context.step("s", broken):
            yield ""


    @agent("exits-ahead")
    async def exits_ahead(request, context):
        yield "before"
        async for text in context.ahead([context.step("s", broken)]):
            async for piece in text:
                yield ""


    @agent("exits-in-a-tool")
    async def exits_in_a_tool(request, context):
        yield await context.tool(leave)


    @agent("no-json")
    async def no_json(request, context):
        async def work():
            return object()

        yield "before"
        await context.step("s", work)


    @agent("same-step")
    async def same_step(request, context):
        async def work():
            return 1

        yield "before"
        await context.step("s", work)
        await context.step("s", work)


    @agent("asks-itself")
    async def asks_itself(request, context):
        yield await context.ask("asks-itself", "again")


    @agent("unread")
    async def unread(request, context):
        context.ask(None, "never read")
        context.ahead([context.ask(None, "begun and never read")])
        yield "done"


    @agent("never-waits")
    async def never_waits(request, context):
        while True:
            yield request.text


    @agent("half")
    async def half(request, context):
        yield "a\\ud83d"
        yield "\\ude00b"
    '''
)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, _shared_upstream: Upstream) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "agents").mkdir()
    (folder / "agents" / "odd.py").write_text(AGENTS, encoding="utf-8")
    running = Gateway(folder, gateway_config(_shared_upstream.url))
    yield running
    running.stop()


def ask(gateway: Gateway, model: str) -> ChatAnswer:
    return parse(post_chat(gateway.address, body_for("q", model=model)))


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("number", "failed with TypeError"),
        ("raises", "failed with RuntimeError"),
        ("exits", "failed with SystemExit"),
        ("exits-in-a-step", "failed with SystemExit"),
        ("exits-ahead", "failed with SystemExit"),
        ("no-json", "failed with TypeError"),
        ("same-step", "failed with ValueError"),
    ],
)
def test_a_defect_ends_its_own_answer_and_no_other(odd: Gateway, model: str, told: str) -> None:
    answer = ask(odd, model)
    assert answer.text() in ("before", "one")
    assert told in answer.failed()["message"]
    assert "sk-secret" not in str(answer.response.body)
    assert ask(odd, "nothing").succeeded().text() == ""


def test_a_tool_that_exits_is_an_error_of_its_own(odd: Gateway) -> None:
    assert ask(odd, "exits-in-a-tool").succeeded().text() == "Error: SystemExit: 3"


def test_agents_that_ask_one_another_without_end_are_stopped(odd: Gateway) -> None:
    response = post_chat(odd.address, body_for("q", model="asks-itself", stream=False))
    assert "asked one another 8 times over" in response.json["error"]["message"]


def test_what_is_begun_and_never_read_is_let_go(odd: Gateway, upstream: Upstream) -> None:
    upstream.answer = lambda _: text_stream()
    assert ask(odd, "unread").succeeded().text() == "done"


def test_half_a_character_is_what_it_was(odd: Gateway) -> None:
    assert ask(odd, "half").succeeded().text() == "a\ud83d\ude00b"


@pytest.mark.parametrize("text", ["", "word"])
@pytest.mark.timeout(30)
def test_an_agent_that_never_waits_lets_others_have_their_turn(odd: Gateway, text: str) -> None:
    body = body_for(text, model="never-waits")
    headers = {"Idempotency-Key": f"never-{text}"}
    connection = RawConnection(odd.address)
    connection.send(request_bytes("POST", "/v1/chat/completions", body, headers))
    eventually(lambda: odd.get("/v1/streams?status=running")["data"], "it runs")
    assert ask(odd, "nothing").succeeded().text() == ""
    response = fetch(odd.address, "DELETE", f"/v1/streams?idempotency_key=never-{text}")
    assert response.json["status"] == "cancelled"
    connection.close()
