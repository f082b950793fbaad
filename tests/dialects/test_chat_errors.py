"""Errors in every shape that servers have them in, to one of ours and back to OpenAI's envelope."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.chat_frames import DONE, FRAGMENTS, chunk, frame, heard, told
from tests.dialects.recorded import header_for
from tests.properties import examples
from tidegate.core.event import AnyEvent, End, Failure, Start, Text
from tidegate.dialects import load_dialect
from tidegate.errors import Rejected, SourceError

CHAT = load_dialect("openai-chat")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "the words", "type": "t", "param": "p", "code": "c"}}, "the words"),
        ({"error": "the words"}, "the words"),
        ({"error": {"message": "the words"}}, "the words"),
        ({"message": "the words", "code": 20012, "data": None}, "the words"),
        ({"object": "error", "message": "the words", "type": "BadRequestError", "code": 400}, "the words"),
        ({"detail": "the words"}, "the words"),
        ({"detail": {"error": {"message": "the words"}}}, "the words"),
        ({"detail": [{"type": "missing", "loc": ["body", "n"], "msg": "the words"}]}, "body: n: the words"),
        (
            {"detail": [{"loc": ["body", "a"], "msg": "one"}, {"loc": ["body", "b"], "msg": "two"}]},
            "body: a: one; body: b: two",
        ),
        ({"message": {"detail": [{"loc": ["body"], "msg": "the words"}]}}, "body: the words"),
        ({"errors": [{"code": 7003, "message": "the words"}], "success": False}, "the words"),
        ([{"error": {"code": 400, "message": "the words", "status": "INVALID_ARGUMENT"}}], "the words"),
        ({"status": 400, "msg": "the words"}, "the words"),
        ({"statusCode": 404, "message": "the words"}, "the words"),
        ({"error": {"code": "1214", "message": "the words"}}, "the words"),
        ({"error": {"message": {"a": 1}}}, '{"a":1}'),
        ({"error": {}}, "the upstream answered with status 400"),
        ({"error": None}, "the upstream answered with status 400"),
        ({"detail": []}, "the upstream answered with status 400"),
        ({}, "the upstream answered with status 400"),
        ([], "the upstream answered with status 400"),
        ([1], "the upstream answered with status 400"),
        ("text", "the upstream answered with status 400"),
        (None, "the upstream answered with status 400"),
        (5, "the upstream answered with status 400"),
    ],
)
def test_the_upstreams_words_are_found(body: Any, message: str) -> None:
    error = CHAT.read_error(400, json.dumps(body).encode(), None)
    assert isinstance(error, Rejected)
    assert (error.status, error.message) == (400, message)


@pytest.mark.parametrize("body", [b"", b"<html>502</html>", b"\xff\xfe", b"{", b"[" * 100_000, b'"\\ud83d"'])
def test_a_body_that_is_no_json_leaves_the_status(body: bytes) -> None:
    error = CHAT.read_error(503, body, 2.5)
    assert error.message == "the upstream answered with status 503"
    assert (error.status, error.retry_after, error.retryable) == (503, 2.5, True)


def test_type_code_and_param_are_kept() -> None:
    body = {"error": {"message": "m", "type": "t", "code": "c", "param": "p"}}
    error = CHAT.read_error(400, json.dumps(body).encode(), None)
    assert (error.type, error.code, error.param) == ("t", "c", "p")


@pytest.mark.parametrize("odd", [5, [], {}, True])
def test_odd_types_codes_and_params_are_not(odd: Any) -> None:
    body = {"error": {"message": "m", "type": odd, "code": odd, "param": odd}}
    error = CHAT.read_error(429, json.dumps(body).encode(), None)
    assert (error.type, error.code, error.param) == ("rate_limit_error", None, None)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_the_gateways_affair(status: int) -> None:
    """Told as it came, callers would doubt their own key; and it would tell them a part of ours."""
    error = CHAT.read_error(status, b'{"error":{"message":"Incorrect API key provided: sk-ab***yz"}}', None)
    assert (error.status, error.code, error.retryable) == (502, "upstream_authentication", False)
    assert "sk-" not in error.message


@pytest.mark.parametrize(
    ("status", "told_as", "retryable"),
    [
        (400, 400, False),
        (402, 402, False),
        (404, 404, False),
        (408, 408, True),
        (409, 409, True),
        (413, 413, False),
        (422, 422, False),
        (425, 425, True),
        (429, 429, True),
        (500, 500, True),
        (502, 502, True),
        (503, 503, True),
        (504, 504, True),
        (520, 520, True),
        (529, 529, True),
        (599, 599, True),
        (201, 502, False),
        (302, 502, False),
        (600, 502, True),
    ],
)
def test_statuses(status: int, told_as: int, retryable: bool) -> None:
    error = CHAT.read_error(status, b"{}", None)
    assert (error.status, error.retryable) == (told_as, retryable)


def test_very_long_words_are_cut() -> None:
    assert len(CHAT.read_error(400, json.dumps({"error": "x" * 100_000}).encode(), None).message) == 2000


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        ({"error": {"message": "over", "code": 429}}, 429, "over"),
        ({"error": {"message": "over", "type": "overloaded_error"}}, 503, "over"),
        ({"error": {"message": "over", "code": "rate_limit_exceeded"}}, 429, "over"),
        ({"error": {"message": "over"}}, 502, "over"),
        ({"error": {"message": "over", "code": 7}}, 502, "over"),
        ({"error": "over"}, 502, "over"),
        ({"error": ["over"]}, 502, "over"),
        ({"error": {"message": "too long", "type": "exceed_context_size_error"}}, 400, "too long"),
        ({"error": True}, 502, "True"),
        ({"x_groq": {"error": "over"}}, 502, "over"),
        ({"msg": "over", "status": 500}, 500, "over"),
        ({"error_code": 50001, "text": "over"}, 502, "over"),
        ({"object": "error", "message": "over"}, 502, "over"),
        (chunk({}, error={"message": "over"}), 502, "over"),
        (chunk({"content": ""}, finish="error", error={"message": "over", "code": 429}), 429, "over"),
    ],
)
@pytest.mark.parametrize("at", [0, 1, 20])
def test_errors_inside_of_a_stream(sent: Any, status: int, message: str, at: int) -> None:
    """With status 200, at the first event or at the twentieth: what came before is told, then the error."""
    said = [frame(chunk({"content": f"w{number}"})) for number in range(at)]
    events: list[AnyEvent] = []
    with pytest.raises(SourceError) as raised:
        CHAT.decoder(10_000).feed(b"".join([*said, frame(sent), DONE]), events)
    assert (raised.value.status, raised.value.message) == (status, message)
    assert sum(isinstance(event, Text) for event in events) == at


@pytest.mark.parametrize("none", [None, "", [], {}, False, 0])
def test_an_error_that_is_none_is_none(none: Any) -> None:
    events, error = heard(
        CHAT, [frame(chunk({"content": "a"}, error=none)), frame(chunk({}, finish="stop")), DONE]
    )
    assert error == ""
    assert isinstance(events[-1], End)


def test_text_that_looks_like_an_error_is_text() -> None:
    sent = [
        frame(chunk({"content": "x"}, msg="hello", object="error")),
        frame(chunk({}, finish="stop")),
        DONE,
    ]
    assert heard(CHAT, sent)[1] == ""


def test_the_envelope() -> None:
    failure = Failure("世: data: x", type="t", code="c", param="p", status=418, retry_after=3)
    body = CHAT.render_error(failure)
    assert body.isascii()
    assert json.loads(body) == {"error": {"message": "世: data: x", "type": "t", "param": "p", "code": "c"}}
    assert json.loads(CHAT.render_error(Failure("m")))["error"] == {
        "message": "m",
        "type": "internal_error",
        "param": None,
        "code": None,
    }


whole_characters = [each for each in FRAGMENTS if each not in ("\ud83d", "\ude00")]
words = st.lists(st.sampled_from(whole_characters), max_size=3).map("".join)


@examples(100)
@given(message=words, kind=words, code=st.none() | words)
def test_what_is_told_can_be_read_by_another_gateway(message: str, kind: str, code: str | None) -> None:
    """The envelope and the last chunk of a failed stream say the same to whoever calls us."""
    failure = Failure(message + "!", type=kind + "!", code=code, status=429)
    read = CHAT.read_error(429, CHAT.render_error(failure), None)
    renderer = CHAT.renderer(header_for(CHAT))
    body = renderer.render([Start(), Text(text="a"), End(outcome="failed", error=failure)])
    events: list[AnyEvent] = []
    with pytest.raises(SourceError) as raised:
        CHAT.decoder(10_000).feed(body, events)
    assert told(body)[-1]["error"]["code"] == code
    for error in (read, raised.value):
        assert (error.message, error.type) == (failure.message, failure.type)
    assert events[-1] == Text(text="a")
