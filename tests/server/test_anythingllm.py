"""AnythingLLM's chats over HTTP: paths, keys, errors, and streams that cross to this dialect and from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.chat import text_stream
from tests.gateway import Gateway, gateway_config
from tests.raw_http import RawConnection, Response, fetch, request_bytes
from tests.resuming.asking import IDS, RICH, WAYS, Sse, numbered, plain, stream_id
from tests.script import End, Gate, Head, Reset, Script, Send, WaitFor
from tests.upstream import Upstream
from tidegate.server.urls import CHAT_POSTS, generation_at

KEY = "2MGNV8Q-A2B4HZT-JKN9E2D-5Q3FGWX"
OTHER = "sk-other"
ASK = {"message": "Say hello.", "mode": "chat"}
CHATS = "/api/v1/workspace/docs"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def served(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = gateway_config(
        _shared_upstream.url,
        server={"header_hold": "100ms", "keep_alive": "150ms"},
        auth={"list": [KEY, OTHER]},
    )
    running = Gateway(tmp_path_factory.mktemp("anythingllm"), config)
    for path, body in (("new", {"name": "docs"}), ("docs/thread/new", {"name": "t", "slug": "t"})):
        made = fetch(running.address, "POST", f"/api/v1/workspace/{path}", body, AUTHORIZED)
        assert made.status == 200, made.body
    yield running
    running.stop()


def ask(
    gateway: Gateway, path: str = f"{CHATS}/stream-chat", body: Any = ASK, headers: Any = AUTHORIZED
) -> Response:
    return fetch(gateway.address, "POST", path, body, headers)


def events(response: Response) -> list[Any]:
    assert response.status == 200, response.body
    lines = [line for line in response.body.decode().split("\n") if line]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def words(response: Response) -> str:
    return "".join(each["textResponse"] for each in events(response) if "textResponse" in each)


@pytest.mark.parametrize(
    "path",
    [
        f"{CHATS}/stream-chat",
        f"/{CHATS}//stream-chat/",
        f"{CHATS}/stream-chat?x=1",
        "/api/v1/workspace/d%6fcs/stream-chat",
        f"{CHATS}/thread/t/stream-chat",
    ],
)
def test_a_chat_is_streamed_at_every_spelling_of_its_path(
    served: Gateway, upstream: Upstream, path: str
) -> None:
    upstream.play(text_stream())
    response = ask(served, path)
    assert words(response) == "Hello world"
    assert events(response)[-1]["type"] == "finalizeResponseStream"
    assert response.head.get("content-type") == "text/event-stream"
    assert response.head.get("tidegate-stream")


def test_a_chat_is_answered_whole(served: Gateway, upstream: Upstream) -> None:
    upstream.play(text_stream(), text_stream())
    told = ask(served, f"{CHATS}/chat").json
    assert (told["type"], told["textResponse"], told["error"]) == ("textResponse", "Hello world", None)
    # Its clients also send JSON as plain text.
    thread = ask(served, f"{CHATS}/thread/t/chat", headers={**AUTHORIZED, "Content-Type": "text/plain"})
    assert thread.json["textResponse"] == "Hello world"


def test_the_plainest_client_prints_every_line(served: Gateway, upstream: Upstream) -> None:
    """It prints whatever line is not empty, and stops when the connection does."""
    upstream.play(text_stream())
    printed: list[str] = []
    body = {**ASK, "max_tokens": 100, "stream": True}
    headers = {"accept": "text/event-stream", **AUTHORIZED}
    with requests.post(
        f"{served.url}{CHATS}/stream-chat", json=body, headers=headers, stream=True, timeout=20
    ) as response:
        if response.status_code == 200:
            printed += [line.decode("utf-8") for line in response.iter_lines() if line]
    assert [line[:7] for line in printed] == ["data: {"] * len(printed)
    assert [json.loads(line[6:])["type"] for line in printed] == [
        "textResponseChunk",
        "textResponseChunk",
        "textResponseChunk",
        "finalizeResponseStream",
    ]


def test_silence_is_filled_with_empty_lines(served: Gateway, upstream: Upstream) -> None:
    held = Gate()
    upstream.play([WaitFor(held), *text_stream()])
    with RawConnection(served.address) as connection:
        connection.send(
            request_bytes("POST", f"{CHATS}/stream-chat", ASK, {**AUTHORIZED, "Host": "localhost"})
        )
        assert connection.read_head().status == 200
        assert [connection.read_chunk() for _ in range(3)] == [b"\n"] * 3
        held.open()
        rest = b"".join(connection.chunks())
    assert rest.lstrip(b"\n").startswith(b"data: {")
    assert rest.endswith(b"}\n\n")


def broken() -> Script:
    sent = b'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'
    return [Head(), Send(sent), Reset()]


def test_what_breaks_off_ends_in_an_abort(served: Gateway, upstream: Upstream) -> None:
    upstream.play(broken())
    found = events(ask(served))
    assert [each["type"] for each in found] == ["textResponseChunk", "abort"]
    assert found[-1]["close"] is True
    upstream.play([Head(500), End()], [Head(500), End()])
    for path in ("stream-chat", "chat"):
        refused = ask(served, f"{CHATS}/{path}")
        assert refused.status >= 500
        assert refused.json["type"] == "abort"


# Keys.


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"Token {KEY}"},
        {"Authorization": KEY},
        {"x-api-key": KEY},
    ],
)
def test_a_key_may_come_behind_any_word(served: Gateway, upstream: Upstream, headers: dict[str, str]) -> None:
    upstream.play(text_stream())
    assert ask(served, headers=headers).status == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer no"}, {"Authorization": "Bearer"}])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", f"{CHATS}/stream-chat"), ("POST", f"{CHATS}/chat"), ("GET", "/api/v1/nothing")],
)
def test_without_a_key_it_is_403(served: Gateway, headers: dict[str, str], method: str, path: str) -> None:
    refused = fetch(served.address, method, path, ASK if method == "POST" else None, headers)
    assert (refused.status, refused.body) == (403, b'{"error":"No valid api key found."}')


# What is wrong.


@pytest.mark.parametrize(
    ("body", "says"),
    [({"message": ""}, "Message is empty"), ({**ASK, "mode": "x"}, "x is not a valid mode.")],
)
def test_a_request_that_is_wrong_is_an_abort(served: Gateway, body: Any, says: str) -> None:
    for path in ("stream-chat", "chat"):
        refused = ask(served, f"{CHATS}/{path}", body)
        assert refused.status == 400
        assert {**refused.json, "id": ""} == {
            "id": "",
            "type": "abort",
            "textResponse": None,
            "sources": [],
            "close": True,
            "error": says,
        }
    assert ask(served, body=b"{").json["type"] == "abort"


def test_other_methods_and_paths_are_told_in_one_sentence(served: Gateway) -> None:
    for each in CHAT_POSTS[:4]:
        path = each.replace("{slug}", "docs").replace("{thread}", "t")
        wrong = fetch(served.address, "GET", path, headers=AUTHORIZED)
        assert (wrong.status, wrong.head.get("allow")) == (405, "POST, OPTIONS")
        assert "takes POST" in wrong.json["error"]
        assert generation_at(path) == ("anythingllm", path)
    missing = fetch(served.address, "POST", "/api/v1/workspace/docs/stream", ASK, AUTHORIZED)
    assert missing.status == 404
    assert "/docs" in missing.json["error"]


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("no/stream-chat", 400, "Workspace no is not a valid workspace."),
        ("no/chat", 400, "Workspace no is not a valid workspace."),
        ("DOCS/chat", 400, "Workspace DOCS is not a valid workspace."),
        ("docs/thread/no/stream-chat", 400, "Workspace docs or thread no is not valid."),
        ("docs/thread/no/chat", 404, "Thread no not found."),
        ("docs%2Ft/chat", 400, "Workspace docs/t is not a valid workspace."),
    ],
)
def test_a_workspace_that_there_is_not_is_named(served: Gateway, path: str, status: int, says: str) -> None:
    missing = ask(served, f"/api/v1/workspace/{path}")
    assert (missing.status, missing.json["type"], missing.json["error"]) == (status, "abort", says)


def test_without_documents_a_query_is_refused_in_one_frame(served: Gateway, upstream: Upstream) -> None:
    query = {"message": "Why?", "mode": "query", "max_tokens": 100, "stream": True}
    [frame] = events(ask(served, body=query))
    refusal = "There is no relevant information in this workspace to answer your query."
    assert (frame["type"], frame["textResponse"], frame["sources"]) == ("textResponse", refusal, [])
    whole = ask(served, f"{CHATS}/chat", query).json
    assert (whole["textResponse"], whole["metrics"]) == (refusal, {})
    [reset] = events(ask(served, body={"reset": True}))
    assert reset["textResponse"] == "Chat history was reset!"
    assert upstream.requests == []


def test_a_limit_reaches_the_model(served: Gateway, upstream: Upstream) -> None:
    upstream.play(text_stream())
    assert ask(served, body={**ASK, "max_tokens": 7}).status == 200
    assert upstream.requests[0].json["max_tokens"] == 7


# Other dialects.


def test_a_chat_is_read_on_from_every_place(served: Gateway, upstream: Upstream) -> None:
    upstream.play(WAYS["chat"].upstream)
    first = ask(served, headers=AUTHORIZED | IDS)
    frames = numbered(first.body)
    name = stream_id(first)
    for each in range(frames[-1].seq):
        rest = read_on(served, f"{name}?after={each}")
        assert rest.body == plain([frame for frame in frames if frame.seq > each])
    for count in range(len(frames)):
        assert read_on(served, f"{name}?skip={count}").body == plain(frames[count:])
    said = words(read_on(served, name))
    assert said.startswith("<think>Let me see.</think>One 世界 data: three")
    assert len(Sse().frames(plain(frames))) == len(frames)
    for way in WAYS.values():
        other = read_on(served, f"{name}?dialect={way.dialect}")
        assert other.status == 200
        assert b"three" in other.body
    told = read_on(served, f"{name}?stream=false")
    assert told.json["textResponse"] == said
    assert len(RICH) > 3


@pytest.mark.parametrize("way", [way for way in WAYS.values() if way.counted], ids=lambda way: way.dialect)
def test_a_stream_of_any_dialect_is_read_as_a_chat(served: Gateway, upstream: Upstream, way: Any) -> None:
    upstream.play(way.upstream)
    first = fetch(served.address, "POST", way.path, way.body, AUTHORIZED)
    whole = read_on(served, f"{stream_id(first)}?dialect=anythingllm", IDS)
    frames = numbered(whole.body)
    assert json.loads(frames[-1].frame[6:])["type"] == "finalizeResponseStream"
    for count in range(len(frames)):
        rest = read_on(served, f"{stream_id(first)}?dialect=anythingllm&skip={count}")
        assert rest.body == plain(frames[count:])


def read_on(gateway: Gateway, what: str, headers: Any = None) -> Response:
    return fetch(gateway.address, "GET", f"/v1/streams/{what}", headers=AUTHORIZED | (headers or {}))


def test_anothers_chat_cannot_be_read(served: Gateway, upstream: Upstream) -> None:
    upstream.play(text_stream())
    name = stream_id(ask(served))
    other = {"Authorization": f"Bearer {OTHER}"}
    assert fetch(served.address, "GET", f"/v1/streams/{name}", headers=other).status == 403


def test_the_same_key_of_a_request_is_the_same_chat(served: Gateway, upstream: Upstream) -> None:
    upstream.play(text_stream())
    once = AUTHORIZED | {"Idempotency-Key": "chat-once"}
    first, again = ask(served, headers=once), ask(served, headers=once)
    assert (again.body, stream_id(again)) == (first.body, stream_id(first))
    assert ask(served, f"{CHATS}/thread/t/stream-chat", headers=once).status == 409
