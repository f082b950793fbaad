"""Answers of workspaces are generations like any other: they outlive the process and are counted once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.chat import chunk, frame, stream, text_stream, tool
from tests.chat_stream import ChatAnswer, parse
from tests.crash.killing import HALF, WHOLE, WORDS, Home, Reading, at_home, crash_config, rest, upto
from tests.gateway import Gateway, eventually
from tests.raw_http import fetch
from tests.script import Head, Script, Send, Stall
from tests.upstream import Request, Upstream
from tests.wire.test_ledger import row_of, rows_of
from tests.workspaces.asking import ANSWER, QUESTION, Desk, DeskReading, answers, frames, said
from tidegate.store.database import Database
from tidegate.store.schema import chats

pytestmark = pytest.mark.timeout(120)

LAST_SHOWN = WORDS[HALF - 1].strip()
PAIR = [("user", QUESTION), ("assistant", WHOLE)]
HALF_PAIR = [("user", QUESTION), ("assistant", "".join(WORDS[:HALF]))]


def config(upstream: Upstream, model: str = "long") -> dict[str, Any]:
    return crash_config(upstream, default_model=model)


def killed_halfway(home: Home, upstream: Upstream, reading: Reading) -> bytes:
    """Kill the gateway when half of an answer was shown, and start it again; what was shown."""
    reading.has(LAST_SHOWN)
    home.kill()
    upstream.answer = rest
    home.start()
    return reading.ended()


def read(gateway: Gateway, reading: Reading, query: str = "") -> bytes:
    response = fetch(gateway.address, "GET", f"/v1/streams/{reading.stream}{query}")
    assert response.status == 200, response.body
    return response.body


def kept(gateway: Gateway) -> list[Any]:
    """The rows of all chats, those too that no model sees."""

    async def main() -> list[Any]:
        database = Database(gateway.folder / "tidegate.db")
        await database.open()
        found = await database.read(lambda connection: list(connection.execute(select(chats))))
        await database.close()
        return found

    return asyncio.run(main())


def test_an_answer_outlives_the_gateway(upstream: Upstream, tmp_path: Path) -> None:
    """Whoever comes back reads all of it, in any dialect and from any place; it is one chat with sources."""
    upstream.answer = upto(HALF)
    with at_home(tmp_path / "home", config(upstream)) as home:
        desk = Desk(home.gateway)
        desk.add()
        reading = DeskReading(home, desk)
        reading.has(LAST_SHOWN)
        first = upstream.requests[-1].json["messages"]
        shown = killed_halfway(home, upstream, reading)
        desk.gateway = home.gateway
        whole = read(home.gateway, reading)
        assert whole.startswith(shown)
        assert len(shown) > 1000

        told = frames(whole)
        assert said(told) == WHOLE
        last = told[-1]
        assert last["type"] == "finalizeResponseStream"
        assert [each["title"] for each in last["sources"]] == ["Harbour guide"]
        *again, begun = upstream.requests[-1].json["messages"]
        assert again == first
        assert (begun["role"], begun["content"]) == ("assistant", "".join(WORDS[:HALF]).strip())
        assert len(upstream.requests) == 2

        assert desk.history() == PAIR
        (chat,) = kept(home.gateway)
        assert (chat.id, chat.stream) == (last["chatId"], reading.stream)

        numbered = read(home.gateway, reading, "?event_ids=1").split(b"\n\n")
        place = numbered[9].partition(b"\n")[0].removeprefix(b"id: ").decode()
        after = read(home.gateway, reading, f"?after={place}")
        assert whole.endswith(after)
        assert len(frames(after)) == len(told) - 10

        as_chat = parse(
            fetch(home.gateway.address, "GET", f"/v1/streams/{reading.stream}?dialect=openai-chat")
        )
        assert as_chat.succeeded().text() == WHOLE
        listed = home.gateway.get("/v1/streams")["data"]
        assert [(each["id"], each["model"]) for each in listed] == [
            (reading.stream, f"workspace/{desk.slug}")
        ]


def test_a_killed_answer_is_counted_once(upstream: Upstream, tmp_path: Path) -> None:
    """A row for what was asked, one for what the model was asked, and that one alone bears the tokens."""
    upstream.answer = upto(HALF)
    with at_home(tmp_path / "home", config(upstream)) as home:
        desk = Desk(home.gateway)
        desk.add()
        reading = DeskReading(home, desk)
        killed_halfway(home, upstream, reading)
        read(home.gateway, reading)
        outer = row_of(home.gateway, reading.stream)
        rows = rows_of(home.gateway).values()
        (inner,) = [row for row in rows if row.parent == reading.stream]
        assert len(rows) == 2
        assert (outer.model, outer.outcome, outer.dialect) == (
            f"workspace/{desk.slug}",
            "completed",
            "anythingllm",
        )
        assert (outer.input_tokens, outer.output_tokens) == (0, 0)
        assert (inner.model, inner.outcome) == ("long", "completed")
        metrics = frames(read(home.gateway, reading))[-1]["metrics"]
        assert metrics["completion_tokens"] == inner.output_tokens > 0


def test_an_answer_in_another_dialect_outlives_the_gateway(upstream: Upstream, tmp_path: Path) -> None:
    upstream.answer = upto(HALF)
    with at_home(tmp_path / "home", config(upstream)) as home:
        desk = Desk(home.gateway)
        desk.add()
        reading = Reading(home, QUESTION, f"workspace/{desk.slug}", {})
        shown = killed_halfway(home, upstream, reading)
        whole = parse(fetch(home.gateway.address, "GET", f"/v1/streams/{reading.stream}")).succeeded()
        assert whole.text() == WHOLE
        assert whole.response.body.startswith(shown)
        assert cited(whole) == ["Harbour guide"]
        desk.gateway = home.gateway
        assert desk.history() == PAIR


def cited(answer: ChatAnswer) -> list[str]:
    found = [each for choice in answer.choices() for each in choice["delta"].get("annotations") or []]
    return [each["url_citation"]["title"] for each in found]


def test_a_model_that_cannot_go_on_is_asked_anew(upstream: Upstream, tmp_path: Path) -> None:
    """It is asked the very same, and nothing of what it repeats is shown twice."""
    upstream.answer = upto(HALF)
    with at_home(tmp_path / "home", config(upstream, "m")) as home:
        desk = Desk(home.gateway)
        desk.add()
        reading = DeskReading(home, desk)
        shown = killed_halfway(home, upstream, reading)
        desk.gateway = home.gateway
        whole = read(home.gateway, reading)
        assert whole.startswith(shown)
        assert said(frames(whole)) == WHOLE
        first, again = upstream.requests
        assert again.json == first.json
        assert desk.history() == PAIR


def test_searches_of_an_agent_are_sources_also_after_a_crash(upstream: Upstream, tmp_path: Path) -> None:
    """A search that has ended is not made again, and what it found is told at the end of the answer."""
    upstream.answer = searching(upto(HALF))
    with at_home(tmp_path / "home", config(upstream)) as home:
        desk = Desk(home.gateway, topN=1, similarityThreshold=0.9)
        desk.add()
        reading = DeskReading(home, desk, message="@agent Look it up.")
        reading.has(LAST_SHOWN)
        home.kill()
        upstream.answer = searching(rest)
        home.start()
        last = frames(read(home.gateway, reading))[-1]
        assert [each["title"] for each in last["sources"]] == ["Harbour guide"]
        assert any("search_documents" in each for each in last["thoughts"])


def searching(then: Callable[[Request], Script]) -> Callable[[Request], Script]:
    """A model that looks something up before it answers."""
    call = tool(0, '{"query": "harbour opens six morning Varn"}', call_id="call_1", name="search_documents")

    def answer(request: Request) -> Script:
        if all(each["role"] != "tool" for each in request.json["messages"]):
            return stream([chunk("", role="assistant"), chunk(tool_calls=[call]), chunk(finish="tool_calls")])
        return then(request)

    return answer


def test_an_answer_that_had_just_ended_stays_as_it_was(upstream: Upstream, tmp_path: Path) -> None:
    """The chat keeps its facts, and a refusal stays out of histories."""
    upstream.answer = answers
    with at_home(tmp_path / "home", config(upstream)) as home:
        desk = Desk(home.gateway)
        desk.ask()
        desk.add()
        told = desk.ask()
        before = [(each.id, each.response, each.include) for each in kept(home.gateway)]
        home.kill_and_start()
        desk.gateway = home.gateway
        assert [(each.id, each.response, each.include) for each in kept(home.gateway)] == before
        assert told[-1]["chatId"] == before[-1][0]
        assert [each[2] for each in before] == [False, True]
        assert desk.history() == [("user", QUESTION), ("assistant", "".join(ANSWER))]


def test_a_client_that_leaves_stops_the_model_and_keeps_what_came(upstream: Upstream, tmp_path: Path) -> None:
    upstream.answer = lambda _: [Head(), *(Send(frame(chunk(word))) for word in WORDS[:HALF]), Stall()]
    with at_home(tmp_path / "home", config(upstream)) as home:
        desk = Desk(home.gateway)
        desk.add()
        reading = DeskReading(home, desk, {"Tidegate-On-Disconnect": "cancel"})
        reading.has(LAST_SHOWN)
        reading.leave()
        upstream.requests[-1].connection.wait_closed(1.0)
        eventually(lambda: desk.history() == HALF_PAIR, "what came is kept")
        (chat,) = kept(home.gateway)
        assert b"Harbour guide" in chat.response
        row = row_of(home.gateway, reading.stream)
        assert row.outcome == "cancelled"


def test_a_stop_keeps_what_came(upstream: Upstream, tmp_path: Path) -> None:
    upstream.answer = upto(HALF)
    with at_home(tmp_path / "home", config(upstream)) as home:
        desk = Desk(home.gateway)
        desk.add()
        reading = DeskReading(home, desk)
        reading.has(LAST_SHOWN)
        stopped = fetch(home.gateway.address, "DELETE", f"/v1/streams/{reading.stream}")
        assert stopped.json["status"] == "cancelled"
        upstream.requests[-1].connection.wait_closed(1.0)
        assert frames(reading.ended())[-1]["type"] == "abort"
        eventually(lambda: desk.history() == HALF_PAIR, "what came is kept")


def test_a_repeated_request_is_one_chat(upstream: Upstream, tmp_path: Path) -> None:
    """Before a crash and after it, the same key is the same answer."""
    upstream.answer = lambda _: text_stream(ANSWER)
    with at_home(tmp_path / "home", config(upstream)) as home:
        desk = Desk(home.gateway)
        desk.add()
        keyed = {"Idempotency-Key": "once"}
        first = DeskReading(home, desk, keyed)
        body = first.ended()
        again = DeskReading(home, desk, keyed)
        assert again.ended() == body
        home.kill_and_start()
        later = DeskReading(home, desk, keyed)
        assert later.ended() == body
        assert {first.stream, again.stream, later.stream} == {first.stream}
        assert len(kept(home.gateway)) == 1
        assert len(upstream.requests) == 1


def test_what_is_not_to_be_stored_is_no_chat(upstream: Upstream, tmp_path: Path) -> None:
    """Neither when it ends nor when its reader leaves."""
    upstream.answer = answers
    with at_home(tmp_path / "home", config(upstream)) as home:
        desk = Desk(home.gateway)
        desk.add()
        last = desk.ask(store=False)[-1]
        assert (last["chatId"], [each["title"] for each in last["sources"]]) == (None, ["Harbour guide"])
        upstream.answer = upto(HALF)
        reading = Reading(
            home, QUESTION, f"workspace/{desk.slug}", {"Tidegate-On-Disconnect": "cancel"}, store=False
        )
        reading.has(LAST_SHOWN)
        reading.leave()
        eventually(lambda: row_of(home.gateway, reading.stream).outcome == "cancelled", "it has ended")
        upstream.answer = answers
        desk.ask("And now?", mode="chat")
        assert [each.prompt for each in kept(home.gateway)] == ["And now?"]
        assert len(upstream.requests[-1].json["messages"]) == 2
