"""AnythingLLM's chats: the exact bytes that its clients get, and what of their requests is read."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.recorded import header_for
from tests.dialects.test_crossing import answers, facts
from tests.dialects.test_skipping import streams
from tests.properties import examples
from tidegate.core.event import (
    SEAMS,
    AnyEvent,
    End,
    Failure,
    Finish,
    Item,
    Start,
    Text,
    Thinking,
    Tool,
    failure,
    status_extra,
)
from tidegate.core.message import MediaPart, TextPart
from tidegate.core.request import Request
from tidegate.core.usage import Usage
from tidegate.dialects import load_dialect, status_of, translate
from tidegate.dialects.anythingllm import asked
from tidegate.dialects.anythingllm.errors import uuid_of
from tidegate.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    Rejected,
    RequestError,
    TidegateError,
    Unauthenticated,
    Unsupported,
)

DIALECT = load_dialect("anythingllm")
U = "01234567-89ab-4def-8123-456789abcdef"
"""The UUID of the streams that the tests of dialects render."""
CHAT = "/api/v1/workspace/docs/stream-chat"
FINISH = Finish(reason="stop")
END = End(outcome="completed", usage=Usage(3, 2))
KEPT = Item(kind="anythingllm", value={"chatId": 12, "metrics": {"outputTps": 4.2}, "sources": [{"id": "1"}]})
ALONE = Item(kind="anythingllm", value={"type": "textResponse", "sources": [], "metrics": {}})


def streamed(*events: AnyEvent) -> bytes:
    return DIALECT.renderer(header_for(DIALECT)).render(events)


def frames(*events: AnyEvent) -> list[Any]:
    """The values of all frames, of which each is one line."""
    body = streamed(*events)
    assert body.isascii()
    lines = [line for line in body.decode().split("\n") if line]
    assert body == "".join(f"{line}\n\n" for line in lines).encode()
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def whole(*events: AnyEvent) -> Any:
    body = DIALECT.renderer(header_for(DIALECT, stream=False)).render(events)
    return json.loads(body) if body else None


def texts(found: list[Any]) -> str:
    return "".join(each["textResponse"] for each in found if each["type"] == "textResponseChunk")


def reading(body: Any = None, path: str = CHAT, **fields: Any) -> Request:
    fields = {"message": "Hi", **fields} if body is None else body
    return DIALECT.read_request(json.dumps(fields).encode(), {}, path)


# Streams.


def test_an_answer_is_chunks_an_empty_one_and_what_is_known_of_it() -> None:
    body = streamed(Start(), Text(text="Hello"), Text(text=" 世\n"), KEPT, FINISH, END)
    chunk = f'data: {{"uuid":"{U}","sources":[],"type":"textResponseChunk","textResponse":'
    assert body.decode() == (
        f'{chunk}"Hello","close":false,"error":false}}\n\n'
        f'{chunk}" \\u4e16\\n","close":false,"error":false}}\n\n'
        f'{chunk}"","close":true,"error":false}}\n\n'
        f'data: {{"uuid":"{U}","type":"finalizeResponseStream","close":true,"error":false,"chatId":12,'
        '"metrics":{"outputTps":4.2},"sources":[{"id":"1"}]}\n\n'
    )


def test_without_its_item_the_end_tells_what_is_known_of_any_stream() -> None:
    page = Item(kind="citation", value={"url": "https://x.example", "title": "X"})
    last = frames(Text(text="a"), page, END)[-1]
    assert last["chatId"] is None
    assert last["metrics"] == {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "model": "asked",
    }
    assert last["sources"] == [{"url": "https://x.example", "title": "X"}]


def test_nothing_said_ends_in_the_shortest_frame() -> None:
    body = streamed(Start(), FINISH, END)
    assert body.decode() == (
        f'data: {{"uuid":"{U}","type":"finalizeResponseStream","close":true,"error":false}}\n\n'
    )


def test_thinking_stands_in_the_text_and_is_closed_in_a_chunk_of_its_own() -> None:
    found = frames(Thinking(text="Let me"), Thinking(text=" see"), Text(text="One", block=1), FINISH, END)
    told = [each["textResponse"] for each in found[:-1]]
    assert told == ["<think>Let me", " see", "</think>", "One", ""]
    assert [each["close"] for each in found] == [False, False, False, False, True, True]
    alone = frames(Thinking(text="hm"), FINISH, END)
    assert texts(alone) == "<think>hm</think>"


def test_lines_of_progress_are_thoughts() -> None:
    working = Thinking(text="Looking it up\n", extra=status_extra({"text": "Looking it up"}))
    body = streamed(working, Text(text="One", block=1), END).decode()
    assert body.startswith(
        f'data: {{"id":"{U}","type":"agentThought","thought":"Looking it up","sources":[],"attachments":[],'
        '"close":false,"error":null,"animate":true}\n\n'
    )
    found = frames(working, Text(text="One", block=1), END)
    assert texts(found) == "One"
    assert (found[-1]["thoughts"], found[-1]["outputs"]) == (["Looking it up"], [])


def test_files_are_downloads_and_questions_stand_where_clients_look_past_them() -> None:
    file = {"id": "file-1", "name": "a.md", "url": "/download/file-1/a.md", "size": 3, "media_type": "t"}
    question = {"id": "q", "question": "Sure?"}
    found = frames(
        Item(kind="file", value=file), Item(kind="input_required", value=question), Text(text="a"), END
    )
    card = {"filename": "a.md", "storageFilename": "file-1", "fileSize": 3, **file}
    assert found[0] == {
        "id": U,
        "type": "fileDownload",
        "fileDownload": card,
        "close": False,
        "error": None,
    }
    assert found[1]["textResponse"] == ""
    assert found[1]["tidegate"] == {"kind": "input_required", "value": question}
    assert found[-1]["outputs"] == [card]


def test_what_no_model_said_is_one_frame() -> None:
    body = streamed(
        Start(), ALONE, Text(text="There is no relevant "), Text(text="information."), FINISH, END
    )
    assert body.decode() == (
        f'data: {{"id":"{U}","type":"textResponse","textResponse":"There is no relevant information.",'
        '"sources":[],"attachments":[],"close":true,"error":null,"metrics":{}}\n\n'
    )


@pytest.mark.parametrize("before", [[], [Text(text="a")], [ALONE, Text(text="a")], [Text(text="a"), FINISH]])
def test_a_failure_ends_in_an_abort_and_nothing_after_it(before: list[AnyEvent]) -> None:
    body = streamed(*before, End(outcome="failed", error=Failure("the upstream broke off")))
    assert body.endswith(
        b'data: {"uuid":"%b","type":"abort","textResponse":null,"sources":[],"close":true,'
        b'"error":"the upstream broke off"}\n\n' % U.encode()
    )
    assert b"finalizeResponseStream" not in body
    assert b'"type":"textResponse"' not in body


def test_thinking_that_broke_off_is_not_closed() -> None:
    found = frames(Thinking(text="hm"), End(outcome="interrupted", error=Failure("no")))
    assert texts(found) == "<think>hm"


def test_a_keep_alive_is_an_empty_line() -> None:
    assert DIALECT.renderer(header_for(DIALECT)).keep_alive() == b"\n"


def test_only_the_first_choice_is_shown_and_no_call() -> None:
    found = frames(
        Text(text="b", choice=1),
        Tool(arguments="{}", call_id="c", name="f"),
        Text(text="a", block=1),
        Finish(reason="stop", choice=1),
        FINISH,
        END,
    )
    assert texts(found) == "a"
    assert [each["close"] for each in found] == [False, True, True]
    assert frames(Text(text="b", choice=1), END)[-1]["type"] == "finalizeResponseStream"


def test_a_seam_is_told_where_clients_look_past_it() -> None:
    seam = {SEAMS: {"seams": [{"at": 1}]}}
    found = frames(Text(text="a"), Finish(reason="stop", extra=seam), End(outcome="completed", extra=seam))
    assert [each.get("tidegate") for each in found] == [None, seam[SEAMS], seam[SEAMS]]
    told = whole(Text(text="a"), Finish(reason="stop", extra=seam), End(outcome="completed", extra=seam))
    assert told["tidegate"] == seam[SEAMS]


# Whole answers.


def test_a_whole_answer_has_the_members_in_their_order() -> None:
    body = DIALECT.renderer(header_for(DIALECT, stream=False)).render(
        [Thinking(text="hm"), Text(text="Hello", block=1), KEPT, FINISH, END]
    )
    assert body.decode() == (
        f'{{"id":"{U}","type":"textResponse","close":true,"error":null,"chatId":12,'
        '"textResponse":"<think>hm</think>Hello","sources":[{"id":"1"}],"metrics":{"outputTps":4.2}}'
    )


def test_a_whole_refusal_has_no_chat() -> None:
    assert list(whole(ALONE, Text(text="Nothing."), FINISH, END).items()) == [
        ("id", U),
        ("type", "textResponse"),
        ("sources", []),
        ("close", True),
        ("error", None),
        ("textResponse", "Nothing."),
        ("metrics", {}),
    ]


def test_a_whole_answer_of_an_agent_tells_its_thoughts_and_files() -> None:
    told = whole(
        Thinking(text="Looking\n", extra=status_extra({"text": "Looking"})),
        Item(kind="file", value={"id": "f", "name": "n"}),
        Item(kind="input_required", value={"id": "q"}),
        Text(text="Done", block=1),
        FINISH,
        END,
    )
    assert (told["textResponse"], told["thoughts"]) == ("Done", ["Looking"])
    assert told["outputs"] == [{"filename": "n", "storageFilename": "f", "id": "f", "name": "n"}]
    assert told["tidegate"]["items"] == [{"kind": "input_required", "value": {"id": "q"}}]
    assert list(told)[:8] == [
        "id",
        "type",
        "sources",
        "close",
        "error",
        "textResponse",
        "thoughts",
        "outputs",
    ]


def test_a_whole_answer_without_a_word_is_an_abort() -> None:
    told = whole(Start(), FINISH, END)
    assert (told["type"], told["textResponse"]) == ("abort", None)
    assert told["error"] == "No text completion could be completed with this input."
    assert told["metrics"]["total_tokens"] == 5


def test_a_whole_answer_that_failed_is_told_as_an_error() -> None:
    assert whole(Text(text="a"), End(outcome="failed", error=Failure("no"))) is None


# Any stream.


@examples(100)
@given(events=answers(), batch=st.integers(1, 5))
def test_text_and_thinking_of_any_answer_arrive_streamed_and_whole(
    events: list[AnyEvent], batch: int
) -> None:
    renderer = DIALECT.renderer(header_for(DIALECT))
    body = b"".join(renderer.render(events[at : at + batch]) for at in range(0, len(events), batch))
    assert body == streamed(*events)
    found = frames(*events)
    said = facts(events)
    assert texts(found).replace("<think>", "").replace("</think>", "") == "".join(
        event.text for event in events if isinstance(event, (Text, Thinking))
    ).replace("<think>", "").replace("</think>", "")
    told = whole(*events)
    assert (told["textResponse"] or "") == texts(found)
    assert said.outcome == "completed"


@examples(100)
@given(events=streams())
def test_every_stream_has_one_end(events: list[AnyEvent]) -> None:
    found = frames(*events)
    ends = [each["type"] for each in found if each["type"] not in ("textResponseChunk", "agentThought")]
    ends = [each for each in ends if each != "fileDownload"]
    completed = isinstance(events[-1], End) and events[-1].outcome == "completed"
    assert ends == [found[-1]["type"]]
    assert (ends == ["abort"]) is not completed


# Requests.


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        ("/api/v1/workspace/docs/stream-chat", "workspace/docs", True),
        ("/api/v1/workspace/docs/chat", "workspace/docs", False),
        ("/api/v1/workspace/DOCS/chat", "workspace/DOCS", False),
        ("/api/v1/workspace/b%20c/chat", "workspace/b c", False),
        ("/api/v1/workspace/docs/thread/t-1/stream-chat", "workspace/docs/t-1", True),
        ("/api/v1/workspace/docs/thread/t-1/chat", "workspace/docs/t-1", False),
        (f"/api/embed/{U}/stream-chat", f"embed/{U}", True),
    ],
)
def test_the_path_names_the_workspace(path: str, model: str, stream: bool) -> None:
    request = reading(path=path)
    assert (request.model, request.stream) == (model, stream)


@pytest.mark.parametrize("path", ["/api/v1/workspace/a%2Fb/chat", "/api/embed/a%2Fb/stream-chat"])
def test_a_slash_is_in_no_name(path: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a valid"):
        reading(path=path)
    with pytest.raises(NotFound):
        reading(path="/api/v1/workspaces")


def test_everything_is_read_that_is_known_and_nothing_else_hurts() -> None:
    said = asked(
        reading(
            mode="query",
            sessionId="s",
            userId="7",
            reset=False,
            attachments=[
                {"name": "a.png", "mime": "image/png", "contentString": "data:image/png;base64,AAAA"},
                {
                    "name": "a.txt",
                    "mime": "application/anythingllm-document",
                    "contentString": "data:text/plain;base64,aGk=",
                },
                {"name": 5, "mime": "Application/AnythingLLM-Document", "contentString": "aGk="},
            ],
            max_tokens=9,
            stream=True,
            surprise={"x": 1},
        )
    )
    assert (said.message, said.mode, said.session, said.user, said.reset) == ("Hi", "query", "s", 7, False)
    assert said.images == ("data:image/png;base64,AAAA",)
    assert [(each.name, each.media_type, each.data) for each in said.documents] == [
        ("a.txt", "text/plain", b"hi"),
        ("attachment", "", b"hi"),
    ]
    assert len(said.attachments) == 3
    assert said.max_tokens == 9


def test_what_other_sources_are_asked_is_the_message_and_its_images() -> None:
    image = {"name": "a.png", "mime": "image/png", "contentString": "data:image/png;base64,AAAA"}
    request = reading(attachments=[image], max_tokens=9)
    [message] = DIALECT.read_prompt(request).messages
    assert message.parts == (
        TextPart(text="Hi"),
        MediaPart(kind="image", media_type="image/png", data="AAAA"),
    )
    body, dropped = translate(request, load_dialect("openai-chat"), "theirs", frozenset())
    assert json.loads(body)["messages"][0]["content"][0] == {"type": "text", "text": "Hi"}
    assert json.loads(body)["max_tokens"] == 9
    assert dropped == ()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "Message is empty"),
        ({"message": ""}, "Message is empty"),
        ({"message": " \n"}, "Message is empty"),
        ({"message": None}, "Message is empty"),
        ({"message": ["Hi"]}, "Message is empty"),
        ({"message": "Hi", "mode": "agent"}, "agent is not a valid mode."),
        ({"message": "Hi", "mode": 5}, "5 is not a valid mode."),
        ({"message": "Hi", "mode": ["chat"]}, '["chat"] is not a valid mode.'),
    ],
)
def test_what_is_wrong_is_said_in_anythingllms_words(body: Any, says: str) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        reading(body)
    assert wrong.value.message == says
    body = DIALECT.render_error(failure(wrong.value), "0" * 32)
    assert body.decode() == (
        '{"id":"00000000-0000-4000-8000-000000000000","type":"abort","textResponse":null,"sources":[],'
        f'"close":true,"error":{json.dumps(says)}}}'
    )


@pytest.mark.parametrize(
    "attachments",
    [
        "a",
        ["a"],
        [{"name": "a"}],
        [{"contentString": ""}],
        [{"mime": "image/png", "contentString": "AAAA"}],
        [{"mime": "image/png", "contentString": "file:///etc/passwd"}],
        [{"mime": "image/png", "contentString": "data:image/png,AAAA"}],
    ],
)
def test_attachments_that_cannot_be_read_are_named(attachments: Any) -> None:
    with pytest.raises(InvalidRequest, match="attachments"):
        reading(attachments=attachments)


def test_a_document_that_is_not_in_base64_is_named() -> None:
    broken = {"name": "a.txt", "mime": "application/anythingllm-document", "contentString": "a"}
    [document] = asked(reading(attachments=[broken])).documents
    with pytest.raises(InvalidRequest, match=r"a\.txt"):
        _ = document.data
    assert base64.b64encode(b"hi") == b"aGk="


def test_a_reset_needs_no_message() -> None:
    said = asked(reading({"reset": True}))
    assert (said.message, said.reset) == ("", True)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        DIALECT.read_request(body, {}, CHAT)


# Errors.


def told(error: TidegateError, request: str = "0" * 32) -> tuple[int, Any]:
    reason = failure(error)
    return status_of(DIALECT, reason), json.loads(DIALECT.render_error(reason, request))


def test_a_missing_key_is_403_and_an_upstream_in_trouble_what_it_is() -> None:
    assert told(Unauthenticated("who?")) == (403, {"error": "No valid api key found."})
    assert told(Forbidden("not yours")) == (403, {"error": "not yours"})
    status, body = told(Rejected("full", status=529))
    assert (status, body["type"], body["error"]) == (529, "abort", "full")
    status, body = told(NotFound("Workspace x is not a valid workspace.", status=400), "mine")
    assert (status, body["error"]) == (400, "Workspace x is not a valid workspace.")
    assert UUID(body["id"]).version == 4
    status, body = told(RequestError("A quota.", status=429, type="rate_limit_error"))
    assert (status, body["error"], body["errorMsg"]) == (429, "Rate limit exceeded", "A quota.")


def test_it_is_spoken_by_callers_alone() -> None:
    with pytest.raises(Unsupported):
        DIALECT.decoder(1)
    with pytest.raises(Unsupported):
        DIALECT.target("m")


@examples(200)
@given(st.one_of(st.text(), st.binary(min_size=16, max_size=16).map(bytes.hex)))
def test_every_name_becomes_a_uuid_of_version_4(name: str) -> None:
    made = UUID(uuid_of(name))
    assert (made.version, made.variant) == (4, "specified in RFC 4122")
    assert uuid_of(name) == uuid_of(name) == str(made)
