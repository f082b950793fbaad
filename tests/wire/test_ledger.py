"""The ledger of a running gateway: one row for each generation, whatever became of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from sqlalchemy import select

from tests import messages
from tests.chat import broken_off, chunk, error, frame, plain, text_chunks, text_stream
from tests.chat_stream import body_for, post_chat, start_chat
from tests.fixtures import StartGateway
from tests.gateway import Gateway, eventually, gateway_config
from tests.raw_http import Response, fetch
from tests.script import End, Head, Script, Send, Stall
from tests.upstream import Upstream
from tidegate.store.database import Database
from tidegate.store.schema import generations, streams


def rows_of(gateway: Gateway) -> dict[str, Any]:
    """The rows of its ledger, by stream."""

    async def main() -> dict[str, Any]:
        database = Database(gateway.folder / "tidegate.db")
        await database.open()
        found = await database.read(lambda connection: list(connection.execute(select(generations))))
        await database.close()
        return {row.stream: row for row in found}

    return asyncio.run(main())


def row_of(gateway: Gateway, stream: str | None) -> Any:
    """The row of a stream, once it is there."""
    assert stream is not None
    found: dict[str, Any] = {}

    def written() -> bool:
        found.update(rows_of(gateway))
        return stream in found

    eventually(written, "the generation is in the ledger")
    return found[stream]


def stream_of(response: Response) -> str | None:
    return response.head.get("tidegate-stream")


@pytest.fixture(scope="module")
def _counted(tmp_path_factory: pytest.TempPathFactory, _shared_upstream: Upstream) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("counted"), gateway_config(_shared_upstream.url))
    yield running
    running.stop()


@pytest.fixture
def counted(_counted: Gateway, upstream: Upstream) -> Gateway:
    """A gateway whose ledger these tests read."""
    return _counted


@pytest.mark.parametrize("stream", [True, False])
def test_a_completed_answer(counted: Gateway, upstream: Upstream, stream: bool) -> None:
    upstream.play(text_stream())
    response = post_chat(counted.address, body_for(stream=stream))
    row = row_of(counted, stream_of(response))
    assert (row.caller, row.model, row.dialect, row.outcome) == ("open", "m", "openai-chat", "completed")
    assert (row.input_tokens, row.output_tokens, row.estimated, row.error) == (11, 7, False, None)
    assert 0 <= row.first_ms <= row.total_ms < 10_000
    (attempt,) = row.attempts
    assert (attempt["deployment"], attempt["outcome"], attempt["deltas"]) == ("up/mock", "completed", 2)
    assert attempt["usage"]["output_tokens"] == 7


def test_an_upstream_that_counts_nothing(counted: Gateway, upstream: Upstream) -> None:
    upstream.play(text_stream(["One", " two", " three"], usage=None))
    row = row_of(counted, stream_of(post_chat(counted.address, body_for())))
    assert (row.output_tokens, row.estimated) == (3, True)
    assert 3 < row.input_tokens < 20


def test_counts_and_words_that_make_no_sense_keep_nothing_from_the_store(
    counted: Gateway, upstream: Upstream
) -> None:
    """Neither their own answers nor those that ended at the same time."""
    usage = {"prompt_tokens": 10**18 * 9, "completion_tokens": 2**62, "half": "\ud800"}
    begun: Script = [Head(), *(Send(each) for each in pieces(["One"]))]
    last = frame(json.dumps(chunk(finish="stop", usage=usage)))
    upstream.play([*begun, Send(last), Send(b"data: [DONE]\n\n"), End()])
    upstream.play([*begun, Send(frame(json.dumps(HALF))), End()])
    names = [stream_of(post_chat(counted.address, body_for())) for _ in range(3)]
    row = row_of(counted, names[0])
    assert (row.input_tokens, row.output_tokens, row.estimated) == (2**31 - 1, 2**31 - 1, False)
    assert row_of(counted, names[1]).error == "?half"
    eventually(lambda: set(names) <= kept(counted), "they are kept")
    assert "Traceback" not in counted.output()


HALF = {"error": {"message": "half \ud800", "type": "\ud800", "code": "\ud800half"}}


def kept(gateway: Gateway) -> set[str]:
    """The streams that are in the store."""

    async def main() -> set[str]:
        database = Database(gateway.folder / "tidegate.db")
        await database.open()
        found = await database.read(lambda connection: list(connection.execute(select(streams.c.id))))
        await database.close()
        return {row.id for row in found}

    return asyncio.run(main())


def test_a_client_that_hangs_up(counted: Gateway, upstream: Upstream) -> None:
    """What it was shown is counted; what it was not shown is not."""
    upstream.play([Head(), *(Send(each) for each in pieces(["One", " two"])), Stall()])
    with start_chat(counted.address, body_for()) as connection:
        name = connection.read_head().get("tidegate-stream")
        connection.read_until(b"two")
    row = row_of(counted, name)
    assert (row.outcome, row.error) == ("cancelled", "cancelled")
    assert (row.output_tokens, row.estimated) == (2, True)
    assert row.input_tokens > 0


def test_what_was_told_before_the_answer_broke_off(counted: Gateway, upstream: Upstream) -> None:
    """Anthropic counts the input at the start."""
    begun = [messages.message_start(usage={"input_tokens": 321, "output_tokens": 1})]
    said = messages.text(0, ["One", " two"])[:-1]
    upstream.play([Head(), *(Send(messages.event(each)) for each in [*begun, *said]), Stall()])
    with start_chat(counted.address, body_for(model="c")) as connection:
        name = connection.read_head().get("tidegate-stream")
        connection.read_until(b"two")
    row = row_of(counted, name)
    assert (row.input_tokens, row.output_tokens, row.outcome) == (321, 2, "cancelled")


def test_an_answer_that_breaks_off(counted: Gateway, upstream: Upstream) -> None:
    upstream.play(broken_off(text_chunks(["One", " two"], finish=None)))
    row = row_of(counted, stream_of(post_chat(counted.address, body_for())))
    assert (row.outcome, row.output_tokens, row.estimated) == ("failed", 2, True)
    assert row.error == "upstream_error"


def test_a_refusal_costs_nothing(counted: Gateway, upstream: Upstream) -> None:
    upstream.play(error(400, code="bad"))
    response = post_chat(counted.address, body_for())
    assert response.status == 400
    (row,) = rows_when(counted, lambda row: row.error == "bad")
    assert (row.outcome, row.input_tokens, row.output_tokens, row.first_ms) == ("failed", 0, 0, None)


def test_every_attempt_is_told_and_the_generation_counts_once(counted: Gateway, upstream: Upstream) -> None:
    upstream.play(error(500), text_stream())
    row = row_of(counted, stream_of(post_chat(counted.address, body_for(model="again"))))
    assert [each["outcome"] for each in row.attempts] == ["failed", "completed"]
    assert (row.outcome, row.input_tokens, row.output_tokens) == ("completed", 11, 7)


def test_the_model_that_answered_is_told(counted: Gateway, upstream: Upstream) -> None:
    upstream.play(error(500), text_stream())
    body = body_for(fallback_models=["again"])
    row = row_of(counted, stream_of(post_chat(counted.address, body)))
    assert (row.model, row.answered) == ("m", "again")


def test_a_generation_that_a_killed_process_had_begun_counts_once(tmp_path: Path, upstream: Upstream) -> None:
    """Whatever became of it, the next process writes its row."""
    upstream.play([Head(), *(Send(each) for each in pieces(["One", " two"])), Stall()])
    gateway = Gateway(tmp_path, gateway_config(upstream.url))
    headers = {"Tidegate-On-Disconnect": "detach"}
    with start_chat(gateway.address, body_for(), headers) as connection:
        name = connection.read_head().get("tidegate-stream")
        connection.read_until(b"two")
        gateway.kill()
    (tmp_path / "server.json").unlink()
    again = Gateway(tmp_path, gateway_config(upstream.url))
    try:
        row = row_of(again, name)
        assert row.outcome in ("interrupted", "completed", "failed")
        assert row.output_tokens >= 2
        assert row.estimated
        assert row.first_ms is None or row.outcome == "completed"
        assert list(rows_of(again)) == [name]
    finally:
        again.stop()


def test_a_stop_loses_no_row(start_gateway: StartGateway, upstream: Upstream) -> None:
    """Also those that still collect."""
    gateway = start_gateway(gateway_config(upstream.url))
    with OpenAI(base_url=gateway.base_url, api_key="k", max_retries=0) as client:
        for _ in range(20):
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        gateway.stop()
    assert len(rows_of(gateway)) == 20


def pieces(texts: list[str]) -> Iterator[bytes]:
    """The frames of an answer that has not ended."""
    return (frame(value) for value in text_chunks(texts, finish=None))


def rows_when(gateway: Gateway, wanted: Callable[[Any], bool]) -> list[Any]:
    """The rows that are wanted, once there is one."""
    found: list[Any] = []

    def written() -> bool:
        found[:] = [row for row in rows_of(gateway).values() if wanted(row)]
        return bool(found)

    eventually(written, "such a generation is in the ledger")
    return found


def test_a_call_of_another_kind_is_a_row_too(counted: Gateway, upstream: Upstream) -> None:
    """With the tokens that it told, in the names of either API, whatever became of it."""
    vectors = {"object": "list", "model": "e", "data": [{"index": 0, "embedding": [0.5]}]}
    image = {"data": [{"b64_json": "A" * 400_000}], "usage": {"input_tokens": 11, "output_tokens": 13}}
    upstream.play(plain({**vectors, "usage": {"prompt_tokens": 7, "total_tokens": 7}}))
    upstream.play(plain(image))
    upstream.play(plain(b"\xff\xfb\x00", headers={"Content-Type": "audio/mpeg"}))
    upstream.play(error(400, "no"))
    before = set(rows_of(counted))
    asked = [
        ("/v1/embeddings", {"model": "m", "input": "hi"}),
        ("/v1/images/generations", {"model": "m", "prompt": "p"}),
        ("/v1/audio/speech", {"model": "m", "input": "hi", "voice": "v"}),
        ("/v1/moderations", {"model": "m", "input": "hi"}),
    ]
    assert [fetch(counted.address, "POST", *each).status for each in asked] == [200, 200, 200, 400]
    found: list[Any] = []

    def written() -> bool:
        found[:] = [row for name, row in rows_of(counted).items() if name not in before]
        return len(found) == len(asked)

    eventually(written, "all of them are in the ledger")
    rows = {row.dialect: (row.outcome, row.input_tokens, row.output_tokens) for row in found}
    assert rows == {
        "embeddings": ("completed", 7, 0),
        "images/generations": ("completed", 11, 13),
        "audio/speech": ("completed", 0, 0),
        "moderations": ("failed", 0, 0),
    }
    assert {(row.model, row.caller, row.estimated) for row in found} == {("m", "open", False)}
    assert all(row.total_ms is not None for row in found)


def test_a_call_that_is_asked_in_two_forms_is_one_row(counted: Gateway, upstream: Upstream) -> None:
    before = set(rows_of(counted))
    vectors = {"object": "list", "model": "e", "data": [{"index": 0, "embedding": [0.5]}]}
    upstream.play(error(400, "no such encoding_format", param="encoding_format"))
    upstream.play(plain({**vectors, "usage": {"prompt_tokens": 5}}))
    body = {"model": "m", "input": "hi", "encoding_format": "base64"}
    assert fetch(counted.address, "POST", "/v1/embeddings", body).status == 200
    found: list[Any] = []

    def written() -> bool:
        found[:] = [row for name, row in rows_of(counted).items() if name not in before]
        return any(row.outcome == "completed" for row in found)

    eventually(written, "it is in the ledger")
    assert [(row.outcome, row.input_tokens) for row in found] == [("completed", 5)]
