"""Answers in Gemini's dialect: what reaches a client of its own, however cut, and in every form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.feeding import feed
from tests.dialects.recorded import header_for
from tests.properties import examples
from tidegate.core.event import AnyEvent, End, Failure, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.usage import Usage
from tidegate.dialects import load_dialect
from tidegate.dialects.gemini.render import ARRAY
from tidegate.errors import Broken, SourceError

GEMINI, CHAT = load_dialect("gemini"), load_dialect("openai-chat")
LIMIT = 1 << 20
USAGE = {"promptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 12}
Json = dict[str, Any]


def chunk(*parts: Json, index: int = 0, usage: Json | None = None, **candidate: Any) -> Json:
    value: Json = {"content": {"parts": list(parts), "role": "model"}, "index": index, **candidate}
    told = {} if usage is None else {"usageMetadata": usage}
    return {"candidates": [value], **told, "modelVersion": "mock", "responseId": "r"}


def framed(value: Json, end: str = "\r\n\r\n") -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}{end}".encode()


def heard(pieces: Iterable[bytes]) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    decoder = GEMINI.decoder(LIMIT)
    for piece in pieces:
        feed(decoder, piece, events)
    decoder.finish(events)
    return events


def shown(events: Sequence[AnyEvent], **asked: Any) -> list[Json]:
    """The chunks that a client of streamGenerateContent gets."""
    body = GEMINI.renderer(header_for(GEMINI, **asked)).render(events).decode("ascii")
    return [json.loads(block.removeprefix("data: ")) for block in body.split("\n\n")[:-1]]


parts = st.one_of(
    st.text(min_size=1, max_size=8).map(lambda text: {"text": text}),
    st.text(min_size=1, max_size=8).map(lambda text: {"text": text, "thought": True}),
    st.just({"functionCall": {"name": "f", "args": {"é": [1]}}, "thoughtSignature": "c2ln+/=="}),
    st.just({"text": "signed", "thoughtSignature": "c2ln"}),
    st.just({"text": "", "thoughtSignature": "YWxvbmU="}),
    st.just({"functionCall": {"id": "x", "name": "g", "args": {}}, "partMetadata": {"a": 1}}),
    st.just({"inlineData": {"mimeType": "image/png", "data": "aW1n"}, "xUnknown": None}),
    st.just({"executableCode": {"language": "PYTHON", "code": "1"}}),
)


@st.composite
def answers(draw: st.DrawFn) -> list[Json]:
    """Chunks of one part each, as a client gets them, with the finish on a chunk of its own."""
    said = []
    for number, part in enumerate(draw(st.lists(parts, max_size=8))):
        value = chunk(part, usage={"promptTokenCount": 5, "candidatesTokenCount": number})
        if draw(st.booleans()):
            value["candidates"][0]["safetyRatings"] = [draw(st.sampled_from(["LOW", "HIGH"]))]
        if draw(st.booleans()):
            value["xChunk"] = draw(st.sampled_from([None, 1, "x"]))
        said.append(value)
    reason = draw(st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "MALFORMED_FUNCTION_CALL"]))
    return [*said, chunk({"text": ""}, usage=USAGE, finishReason=reason, finishMessage="why")]


def normalised(value: Json, *, last: bool) -> Json:
    """What is documented to change: our id, and token counts on the last chunk only."""
    kept = {name: member for name, member in value.items() if name != "usageMetadata" or last}
    return {**kept, "responseId": header_for(GEMINI).id}


@examples(150)
@given(sent=answers(), step=st.integers(1, 300), end=st.sampled_from(["\n\n", "\r\n\r\n"]))
def test_every_chunk_reaches_a_client_of_the_same_dialect_equal(
    sent: list[Json], step: int, end: str
) -> None:
    body = b"".join(framed(value, end) for value in sent)
    events = heard(framed(value, end) for value in sent)
    assert heard(body[at : at + step] for at in range(0, len(body), step)) == events
    expected = [normalised(value, last=value is sent[-1]) for value in sent]
    assert shown(events) == expected


@examples(100)
@given(sent=answers())
def test_the_form_does_not_change_what_is_said(sent: list[Json]) -> None:
    events = heard(framed(value) for value in sent)
    renderer = GEMINI.renderer(header_for(GEMINI, form=ARRAY))
    array = b"".join(renderer.render([event]) for event in events)
    assert renderer.content_type.startswith(b"application/json")
    assert json.loads(array) == shown(events)
    whole = GEMINI.renderer(header_for(GEMINI, stream=False)).render(events)
    [candidate] = json.loads(whole)["candidates"]
    said = [part for value in sent for part in value["candidates"][0]["content"]["parts"]]
    for kind in (True, None):  # the words of either kind are all there, in order
        texts = [
            "".join(p.get("text", "") for p in each if p.get("thought") is kind)
            for each in (said, candidate["content"]["parts"])
        ]
        assert texts[0] == texts[1]
    others = [[p for p in each if "text" not in p] for each in (said, candidate["content"]["parts"])]
    assert others[0] == others[1]


def test_a_chunk_like_the_one_before_is_recognised() -> None:
    """The text and the token counts are all that is read of it; anything else is read in full."""
    decoder = GEMINI.decoder(LIMIT)
    events: list[AnyEvent] = []
    for number, text in enumerate(["one", " two", ' "three"', " \u2028四"]):
        feed(decoder, framed(chunk({"text": text}, usage={"candidatesTokenCount": number})), events)
    late = chunk({"text": "!"}, usage={"candidatesTokenCount": 9}, finishReason="STOP")
    feed(decoder, framed(chunk({"text": "x"}, usage={}) | {"late": 1}), events)
    feed(decoder, framed(late), events)
    decoder.finish(events)
    assert [event.text for event in events if isinstance(event, Text)] == [
        "one",
        " two",
        ' "three"',
        " \u2028四",
        "x",
        "!",
    ]
    assert [event.extra for event in events if isinstance(event, Text)][4] == {
        "gemini": {"chunk": {"late": 1}}
    }
    last = events[-1]
    assert isinstance(last, End)
    assert last.usage is not None
    assert last.usage.output_tokens == 9


def test_calls_are_whole_however_their_pieces_come() -> None:
    events: list[AnyEvent] = [
        Tool(arguments="", call_id="a", name="f"),
        Tool(arguments='{"x"', block=0),
        Tool(arguments='{"y":', call_id="b", name="g", block=1),
        Tool(arguments=": 1}", block=0),
        Text(text="and", block=2),
        Tool(arguments="2}", block=1),
        Finish(reason="tool_calls"),
        End(outcome="completed"),
    ]
    said = [part for value in shown(events) for part in value["candidates"][0]["content"]["parts"]]
    assert said == [
        {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}},
        {"functionCall": {"id": "b", "name": "g", "args": {"y": 2}}},
        {"text": "and"},
        {"text": ""},
    ]


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("stop", "STOP"),
        ("length", "MAX_TOKENS"),
        ("content_filter", "SAFETY"),
        ("model_context_window_exceeded", "MAX_TOKENS"),
        ("malformed_function_call", "MALFORMED_FUNCTION_CALL"),
        ("something_new", "OTHER"),
    ],
)
def test_why_an_answer_ended(reason: str, word: str) -> None:
    last = shown([Text(text="x"), Finish(reason=reason), End(outcome="completed", usage=Usage(3, 4, 1, 2))])[
        -1
    ]
    assert last["candidates"][0]["finishReason"] == word
    assert last["usageMetadata"] == {
        "promptTokenCount": 3,
        "candidatesTokenCount": 2,
        "totalTokenCount": 7,
        "cachedContentTokenCount": 1,
        "thoughtsTokenCount": 2,
    }


@pytest.mark.parametrize("form", ["", ARRAY])
@pytest.mark.parametrize("said", [[], [Text(text="Hi")], [Text(text="Hi"), Finish(reason="stop")]])
def test_a_failure_is_one_error_and_no_finish(form: str, said: list[AnyEvent]) -> None:
    failure = Failure("too slow", "timeout_error", code="idle", status=504, retry_after=1.5)
    body = GEMINI.renderer(header_for(GEMINI, form=form)).render(
        [*said, End(outcome="failed", error=failure)]
    )
    expected = {
        "error": {
            "code": 504,
            "message": "too slow",
            "status": "DEADLINE_EXCEEDED",
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}],
        }
    }
    assert b"finishReason" not in body
    if form == ARRAY:
        assert json.loads(body)[-1] == expected
        return
    *_, event, unframed = body.split(b"\n\n")
    assert json.loads(event.removeprefix(b"data: ")) == expected
    assert event.startswith(b'data: {"error":')
    assert json.loads(unframed) == expected
    with pytest.raises(SourceError, match="too slow") as raised:
        heard([body])
    assert (raised.value.status, raised.value.retry_after) == (504, 1.5)


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (429, {"status": "RESOURCE_EXHAUSTED", "message": "slow"}, (429, "rate_limit_error", "slow", True)),
        (400, {"status": "INVALID_ARGUMENT", "message": "bad"}, (400, "invalid_request_error", "bad", False)),
        (500, {"message": ""}, (500, "upstream_error", "the upstream answered with status 500", True)),
        (
            403,
            {"message": "no"},
            (502, "upstream_error", "the upstream refused the gateway's credential (status 403)", False),
        ),
        (
            400,
            {"message": "API key not valid.", "details": [{"reason": "API_KEY_INVALID"}]},
            (502, "upstream_error", "the upstream refused the gateway's credential (status 400)", False),
        ),
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_errors_of_an_upstream(status: int, error: Json, expected: tuple[Any, ...], listed: bool) -> None:
    body: Any = {"error": {"code": status, **error}}
    told = GEMINI.read_error(status, msgspec.json.encode([body] if listed else body), None)
    assert (told.status, told.type, told.message, told.retryable) == expected


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"data: nonsense\n\n",
        b"data: [1]\n\n",
        b'data: {"candidates":[{"index":"x"}]}\n\n',
        b'data: {"candidates":[{"content":{"parts":5}}]}\n\n',
        framed(chunk({"text": "x"})),
        framed(chunk({"text": "x"}, finishReason="STOP")) + framed(chunk({"text": "y"})),
    ],
)
def test_what_is_no_answer_is_broken(sent: bytes) -> None:
    with pytest.raises(Broken):
        heard([sent])


def test_keep_alives_are_chunks_and_say_nothing() -> None:
    events: list[AnyEvent] = [
        Start(model="mock"),
        Text(text="x"),
        Finish(reason="stop"),
        End(outcome="completed"),
    ]
    renderer = GEMINI.renderer(header_for(GEMINI))
    beat = renderer.keep_alive()
    body = beat + renderer.render(events[:2]) + renderer.keep_alive() + renderer.render(events[2:])
    assert heard([body])[1:-1] == events[1:-1]
    assert json.loads(beat.removeprefix(b"data: "))["candidates"][0]["content"]["parts"] == [{"text": ""}]
    assert GEMINI.renderer(header_for(GEMINI, form=ARRAY)).keep_alive().isspace()


def test_what_others_signed_is_marked_and_what_they_alone_show_is_not_shown() -> None:
    events: list[AnyEvent] = [
        Thinking(text="Hm"),
        Thinking(text="", signature="ErQB", origin="anthropic-messages"),
        Item(kind="anthropic-messages", value={"type": "server_tool_use"}, block=1),
        Item(kind="openai-responses", value={"type": "x"}),
        Text(text="Yes", block=2),
        Finish(reason="stop"),
        End(outcome="completed"),
    ]
    again = [
        event for event in heard(framed(value) for value in shown(events)) if not isinstance(event, Start)
    ]
    assert again[:2] == events[:2]
    assert again[2] == Text(text="Yes", block=1)


def test_a_chat_client_gives_signatures_back_where_they_stood() -> None:
    """A text, then the signed call: the signature is the call's, on its way through Chat's messages too."""
    thoughts: list[list[Json]] = [[], [{"text": "Hm", "thought": True}]]
    for thought in thoughts:
        call: Json = {"functionCall": {"id": "c1", "name": "f", "args": {}}, "thoughtSignature": "c2ln+/=="}
        sent = [chunk(part) for part in [*thought, {"text": "Let me."}, call]]
        sent.append(chunk({"text": ""}, finishReason="STOP"))
        events = heard(framed(value) for value in sent)
        answer = CHAT.renderer(header_for(CHAT, stream=False)).render(events)
        message = json.loads(answer)["choices"][0]["message"]
        body = {"messages": [{"role": "user", "content": "Hi"}, message]}
        prompt = CHAT.read_prompt(CHAT.read_request(msgspec.json.encode(body)))
        back = msgspec.json.decode(GEMINI.write_prompt(prompt, "gemini-3-pro", frozenset()))
        assert back["contents"][1]["parts"] == [{"text": "Let me."}, call]


def test_the_newest_token_counts_count_however_they_came() -> None:
    """Those of chunks like the one before are read once, at the end."""
    counts = [{**USAGE, "candidatesTokenCount": 7 + 100 * number} for number in range(4)]
    texts = [framed(chunk({"text": f"w{number}"}, usage=each)) for number, each in enumerate(counts)]
    last = framed(chunk({"text": ""}, finishReason="STOP"))
    end = heard([*texts, last])[-1]
    assert isinstance(end, End)
    assert end.usage is not None
    assert end.usage.output_tokens == 307
    further = framed(chunk({"text": ""}, finishReason="STOP", usage={**USAGE, "candidatesTokenCount": 1}))
    end = heard([*texts, further])[-1]
    assert isinstance(end, End)
    assert end.usage is not None
    assert end.usage.output_tokens == 1


def test_token_counts_that_are_no_json_end_the_answer_in_an_error() -> None:
    texts = [framed(chunk({"text": f"w{number}"}, usage=USAGE)) for number in range(4)]
    texts[3] = texts[3].replace(b": 12}", b": }")
    with pytest.raises(Broken):
        heard([*texts, framed(chunk({"text": ""}, finishReason="STOP"))])


# Calls that are not whole.


def called(arguments: str, reason: str, **tool: Any) -> list[AnyEvent]:
    return [
        Start(),
        Text(text="let me see"),
        Tool(arguments="", block=1, call_id="c", name="f", **tool),
        Tool(arguments=arguments, block=1, **tool),
        Finish(reason=reason),
        End(outcome="completed"),
    ]


def calls_and_reason(events: list[AnyEvent], *, stream: bool) -> tuple[list[Any], str]:
    if stream:
        candidates = [each["candidates"][0] for each in shown(events)]
    else:
        renderer = GEMINI.renderer(header_for(GEMINI, stream=False))
        candidates = json.loads(renderer.render(events))["candidates"]
    parts = [part for each in candidates for part in each["content"]["parts"]]
    return [part["functionCall"]["args"] for part in parts if "functionCall" in part], candidates[-1][
        "finishReason"
    ]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("arguments", "reason", "expected"),
    [
        ('{"city":"Par', "length", ([], "MAX_TOKENS")),
        ("", "length", ([], "MAX_TOKENS")),
        ('{"city":"Paris"}', "length", ([{"city": "Paris"}], "MAX_TOKENS")),
        ('{"city":"Par', "tool_calls", ([], "MALFORMED_FUNCTION_CALL")),
        ("", "tool_calls", ([{}], "STOP")),
    ],
)
def test_only_whole_calls_are_shown(arguments: str, reason: str, expected: Any, stream: bool) -> None:
    """A client runs what it is shown, and half of the arguments may be valid in themselves."""
    assert calls_and_reason(called(arguments, reason), stream=stream) == expected
