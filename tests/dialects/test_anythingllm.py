"""AnythingLLM's frames and bodies, byte by byte, and what its requests say."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import pytest

from tests.dialects.recorded import ID, header_for
from tidegate.core.event import (
    AnyEvent,
    End,
    Failure,
    Finish,
    Item,
    Start,
    Text,
    Thinking,
    failure,
    status_extra,
)
from tidegate.core.message import MediaPart, TextPart
from tidegate.core.usage import Usage
from tidegate.dialects import load_dialect, renderer, status_of
from tidegate.dialects.anythingllm import asked
from tidegate.dialects.anythingllm.request import Document
from tidegate.errors import InvalidRequest, NotFound, Unauthenticated

DIALECT = load_dialect("anythingllm")
U = "01234567-89ab-cdef-0123-456789abcdef"
SOURCES = [{"id": "1", "title": "Manual", "text": "T", "score": 0.5}]
OWN = Item(kind="anythingllm", value={"chatId": 12, "metrics": {"total_tokens": 3}, "sources": SOURCES})
STOP = Finish(reason="stop")
DONE = End(outcome="completed", usage=Usage(1, 2))
STREAM_CHAT = "/api/v1/workspace/docs/stream-chat"


def shown(*events: AnyEvent, stream: bool = True) -> bytes:
    rendering = renderer(DIALECT, header_for(DIALECT, stream=stream))
    return b"".join(rendering.render((event,)) for event in events)


def values(body: bytes) -> list[dict[str, Any]]:
    assert body.endswith(b"\n\n")
    frames = body[:-2].split(b"\n\n")
    assert all(frame.startswith(b"data: ") and b"\n" not in frame for frame in frames)
    return [json.loads(frame[6:]) for frame in frames]


def whole(*events: AnyEvent) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(shown(*events, stream=False))
    return answer


def test_an_answer_is_told_as_anythingllm_tells_it() -> None:
    chunk = f'data: {{"uuid":"{U}","sources":[],"type":"textResponseChunk","textResponse":'
    assert shown(Start(), Text(text="tok"), Text(text="世"), OWN, STOP, DONE).decode() == (
        f'{chunk}"tok","close":false,"error":false}}\n\n'
        f'{chunk}"\\u4e16","close":false,"error":false}}\n\n'
        f'{chunk}"","close":true,"error":false}}\n\n'
        f'data: {{"uuid":"{U}","type":"finalizeResponseStream","close":true,"error":false,"chatId":12,'
        '"metrics":{"total_tokens":3},"sources":[{"id":"1","title":"Manual","text":"T","score":0.5}]}\n\n'
    )


def test_an_answer_of_nothing_has_only_its_end() -> None:
    assert shown(Start(), STOP, DONE).decode() == (
        f'data: {{"uuid":"{U}","type":"finalizeResponseStream","close":true,"error":false}}\n\n'
    )


def test_what_no_model_has_said_comes_in_one_frame() -> None:
    own = Item(kind="anythingllm", value={"type": "textResponse", "sources": [], "metrics": {}})
    assert shown(Start(), own, Text(text="No."), STOP, DONE).decode() == (
        f'data: {{"id":"{U}","type":"textResponse","textResponse":"No.","sources":[],"attachments":[],'
        '"close":true,"error":null,"metrics":{}}\n\n'
    )


def test_thinking_stands_in_the_text_between_its_marks() -> None:
    told = values(shown(Thinking(text="a"), Thinking(text="b"), Text(text="c", block=1), STOP, DONE))
    assert [each["textResponse"] for each in told[:-1]] == ["<think>a", "b", "</think>", "c", ""]


def test_progress_is_a_thought_and_a_file_a_download() -> None:
    progress = Thinking(text="Planning\n", extra=status_extra({"text": "Planning"}))
    file = Item(kind="file", value={"name": "a.md", "url": "/download/x/a.md"})
    thought, download, *_ = values(shown(progress, file, Text(text="x", block=1), STOP, DONE))
    assert list(thought) == [
        "id",
        "type",
        "thought",
        "sources",
        "attachments",
        "close",
        "error",
        "animate",
    ]
    assert (thought["type"], thought["thought"]) == ("agentThought", "Planning")
    assert (download["type"], download["fileDownload"]["name"]) == ("fileDownload", "a.md")


@pytest.mark.parametrize("outcome", ["failed", "cancelled", "interrupted"])
def test_an_answer_that_breaks_off_ends_in_one_abort(outcome: Any) -> None:
    told = shown(Text(text="half"), End(outcome=outcome, error=Failure("it broke")))
    abort = f'{{"id":"{U}","type":"abort","textResponse":null,"sources":[],"close":true,"error":"it broke"}}'
    assert told.decode().split("\n\n")[1] == f"data: {abort}"
    assert [each["type"] for each in values(told)] == ["textResponseChunk", "abort"]


def test_a_keep_alive_is_an_empty_line() -> None:
    assert renderer(DIALECT, header_for(DIALECT)).keep_alive() == b"\n"


def test_a_whole_answer() -> None:
    answer = whole(Text(text="a"), Text(text="b"), OWN, STOP, DONE)
    assert answer == {
        "id": U,
        "type": "textResponse",
        "close": True,
        "error": None,
        "chatId": 12,
        "textResponse": "ab",
        "sources": SOURCES,
        "metrics": {"total_tokens": 3},
    }


def test_a_whole_answer_of_an_agent_has_its_thoughts() -> None:
    progress = Thinking(text="Planning\n", extra=status_extra({"text": "Planning"}))
    answer = whole(progress, Text(text="a", block=1), OWN, STOP, DONE)
    assert (answer["thoughts"], answer["outputs"], answer["textResponse"]) == (["Planning"], [], "a")


def test_a_whole_answer_of_nothing_is_an_abort() -> None:
    answer = whole(STOP, DONE)
    assert (answer["type"], answer["textResponse"]) == ("abort", None)
    assert answer["error"] == "No text completion could be completed with this input."


def test_an_answer_of_another_dialect_has_its_citations_and_usage() -> None:
    page = Item(kind="citation", value={"url": "https://a.example", "title": "A"})
    last = values(shown(Text(text="x"), page, STOP, DONE))[-1]
    assert (last["chatId"], last["sources"]) == (None, [{"url": "https://a.example", "title": "A"}])
    assert last["metrics"]["total_tokens"] == 3


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        (STREAM_CHAT, "workspace/docs", True),
        ("/api/v1/workspace/Docs/chat", "workspace/Docs", False),
        ("/api/v1/workspace/a%20b/thread/t-1/stream-chat", "workspace/a b/t-1", True),
        ("/api/v1/workspace/docs/thread/t/chat", "workspace/docs/t", False),
        ("/api/embed/0-1/stream-chat", "embed/0-1", True),
    ],
)
def test_the_path_says_what_is_asked(path: str, model: str, stream: bool) -> None:
    request = DIALECT.read_request(b'{"message":"hi","max_tokens":5,"stream":false}', {}, path)
    assert (request.model, request.stream) == (model, stream)


def test_a_request_with_all_that_it_may_hold() -> None:
    image = "data:image/png;base64,iVBORw0KGgo="
    text = "data:text/plain;base64," + b64encode(b"hello").decode()
    attachments = [
        {"name": "i.png", "mime": "image/png", "contentString": image},
        {"name": "t.txt", "mime": "application/anythingllm-document", "contentString": text},
    ]
    body = {"message": "q", "mode": "query", "sessionId": 7, "userId": 3, "attachments": attachments}
    request = DIALECT.read_request(json.dumps(body).encode(), {}, STREAM_CHAT)
    said = asked(request)
    assert (said.message, said.mode, said.session, said.user, said.reset) == ("q", "query", "7", 3, False)
    assert said.documents == (Document("t.txt", b"hello"),)
    (message,) = DIALECT.read_prompt(request).messages
    picture = MediaPart(kind="image", media_type="image/png", data="iVBORw0KGgo=")
    assert message.parts == (TextPart(text="q"), picture)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "Message is empty"),
        ({"message": "  "}, "Message is empty"),
        ({"message": 7}, "Message is empty"),
        ({"message": "q", "mode": "shout"}, "shout is not a valid mode."),
        ({"message": "q", "mode": 5}, "5 is not a valid mode."),
        ({"message": "q", "attachments": "x"}, "attachments must be a list of {name, mime, contentString}"),
        (
            {"message": "q", "attachments": [{"contentString": "x"}]},
            "attachments[0].contentString must be a data URL in base64: data:TYPE;base64,…",
        ),
    ],
)
def test_what_is_wrong_is_said_in_its_words(body: Any, told: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        DIALECT.read_request(json.dumps(body).encode(), {}, STREAM_CHAT)
    assert raised.value.message == told


def test_history_may_be_reset_without_a_question() -> None:
    assert asked(DIALECT.read_request(b'{"reset":true}', {}, STREAM_CHAT)).reset


def error_body(error: Any) -> tuple[int, bytes]:
    reason = failure(error)
    return status_of(DIALECT, reason), DIALECT.render_error(reason, ID)


def test_errors_are_told_in_its_envelopes() -> None:
    assert error_body(Unauthenticated("x")) == (403, b'{"error":"No valid api key found."}')
    abort = f'{{"id":"{U}","type":"abort","textResponse":null,"sources":[],"close":true,"error":"gone"}}'
    assert error_body(InvalidRequest("gone")) == (400, abort.encode())
    assert error_body(NotFound("gone")) == (404, abort.encode())


def seed_lines(body: bytes) -> Sequence[str]:
    """What the seed's client prints: every line that is not empty, without decoding it."""
    return [line.decode("utf-8") for line in body.split(b"\n") if line]


def test_the_seeds_client_prints_one_event_a_line() -> None:
    keep_alive = renderer(DIALECT, header_for(DIALECT)).keep_alive()
    lines = seed_lines(keep_alive + shown(Text(text="a\n\nb"), OWN, STOP, DONE) + keep_alive)
    assert len(lines) == 3
    assert all(line.startswith("data: {") for line in lines)
