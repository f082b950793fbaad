"""Whatever an upstream's error looks like, the client gets OpenAI's, with the original words."""

from __future__ import annotations

from typing import Any

import pytest
from openai import APIError, APIStatusError, OpenAI, RateLimitError

from tests.chat import chunk, error, frame, frames, plain, stream
from tests.chat_stream import body_for, post_chat, stream_chat
from tests.gateway import Gateway
from tests.script import Close, End, Head, Script, Send
from tests.upstream import Upstream

WORDS = "the model is overloaded"
SHOWN = [chunk("", role="assistant"), *(chunk(f"t{number} ") for number in range(20))]
SHOWN_TEXT = "".join(f"t{number} " for number in range(20))

IN_STREAM: dict[str, bytes] = {
    "OpenAI's envelope": frame({"error": {"message": WORDS, "type": "overloaded_error", "code": "busy"}}),
    "a string": frame({"error": WORDS}),
    "an event named error": frame({"error": {"message": WORDS}}, event="error"),
    "an event named error without the key": frame(
        {"message": WORDS, "type": "overloaded_error"}, event="error"
    ),
    "Anthropic's shape": frame(
        {"type": "error", "error": {"type": "overloaded_error", "message": WORDS}}, event="error"
    ),
    "an error beside choices": frame(chunk(finish="error", error={"message": WORDS, "code": 502})),
    "a numeric code": frame({"error": {"message": WORDS, "code": 503}}),
    "api-for-open-llm's shape": frame({"text": WORDS, "error_code": 50001}),
    "FastChat's shape": frame({"object": "error", "message": WORDS, "code": 50001}),
}


@pytest.mark.parametrize("shape", IN_STREAM)
def test_an_error_after_twenty_tokens(gateway: Gateway, upstream: Upstream, shape: str) -> None:
    """hazards 19, 20, 31: all tokens, then one error with the upstream's words, and no [DONE]."""
    sent = [Send(frame(part)) for part in SHOWN]
    upstream.play([Head(), *sent, Send(IN_STREAM[shape]), Send(b"data: [DONE]\n\n"), End()])
    answer = stream_chat(gateway.address)
    assert answer.text() == SHOWN_TEXT
    assert answer.failed()["message"] == WORDS


@pytest.mark.parametrize(
    "last", [IN_STREAM["OpenAI's envelope"], frame("{no json"), frame(chunk(finish="error"))]
)
def test_tokens_in_one_read_with_their_failure_are_kept(
    gateway: Gateway, upstream: Upstream, last: bytes
) -> None:
    """hazards 1, 19: what stands before the failure in the same packet was said, and is delivered."""
    upstream.play([Head(), Send(frames(SHOWN) + last), End()])
    answer = stream_chat(gateway.address)
    assert answer.text() == SHOWN_TEXT
    assert answer.failed()


@pytest.mark.parametrize("shape", IN_STREAM)
@pytest.mark.parametrize("streamed", [True, False])
def test_an_error_as_the_first_event(
    gateway: Gateway, upstream: Upstream, shape: str, streamed: bool
) -> None:
    """hazards 19, 20: HTTP 200 from the upstream is no success here; the status is that of a failure."""
    upstream.play([Head(), Send(IN_STREAM[shape]), End()])
    response = post_chat(gateway.address, body_for(stream=streamed))
    assert response.status >= 500
    assert response.json["error"]["message"] == WORDS
    assert response.json["error"].keys() >= {"message", "type", "param", "code"}


@pytest.mark.parametrize("shape", IN_STREAM)
def test_the_sdk_raises_with_the_words(
    gateway: Gateway, upstream: Upstream, client: OpenAI, shape: str
) -> None:
    """hazard 20: an APIError whose message is the upstream's, after the tokens that came."""
    upstream.play([Head(), *(Send(frame(part)) for part in SHOWN), Send(IN_STREAM[shape]), End()])
    seen: list[str] = []
    with (
        client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "x"}], stream=True
        ) as answer,
        pytest.raises(APIError, match=WORDS),
    ):
        seen.extend(part.choices[0].delta.content or "" for part in answer)
    assert "".join(seen) == SHOWN_TEXT


def test_type_and_code_are_kept(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 19: so that a client can tell overload from a bug."""
    body = {"message": WORDS, "type": "overloaded_error", "code": "busy", "param": "model"}
    upstream.play(stream([*SHOWN, {"error": body}]))
    assert stream_chat(gateway.address).failed() == body


AS_STATUS: dict[str, tuple[Script, int]] = {
    "400 envelope": (error(400, WORDS), 400),
    "404 envelope": (error(404, WORDS, code="model_not_found"), 404),
    "422 detail": (plain({"detail": WORDS}, 422), 422),
    "429 envelope": (error(429, WORDS, kind="rate_limit_error"), 429),
    "500 envelope": (error(500, WORDS, kind="server_error"), 500),
    "503 string": (plain({"error": WORDS}, 503), 503),
    "503 message": (plain({"object": "error", "message": WORDS, "code": 50301}, 503), 503),
    "400 in a list": (plain(b'[{"error": {"code": 400, "message": "%b"}}]' % WORDS.encode(), 400), 400),
}


@pytest.mark.parametrize("answer", AS_STATUS)
@pytest.mark.parametrize("streamed", [True, False])
def test_a_status_keeps_its_meaning(
    gateway: Gateway, upstream: Upstream, answer: str, streamed: bool
) -> None:
    """hazard 20: the true status before the first byte, with the words in OpenAI's envelope."""
    script, status = AS_STATUS[answer]
    upstream.play(script)
    response = post_chat(gateway.address, body_for(stream=streamed))
    assert response.status == status
    assert (response.head.get("content-type") or "").startswith("application/json")
    assert response.json["error"]["message"] == WORDS
    assert response.json["error"].keys() >= {"message", "type", "param", "code"}
    assert response.head.get("x-request-id")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_not_the_callers(gateway: Gateway, upstream: Upstream, status: int) -> None:
    """hazard 20: told as 502, and the credential is nowhere in it."""
    upstream.play(error(status, "Incorrect API key provided: sk-up", kind="authentication_error"))
    response = post_chat(gateway.address, body_for())
    assert response.status == 502
    assert b"sk-up" not in response.body


NO_ENVELOPE: dict[str, Script] = {
    "HTML": plain(b"<html><body><h1>502 Bad Gateway</h1></body></html>", 502, {"Content-Type": "text/html"}),
    "nothing": plain(b"", 503),
    "text": plain(b"upstream connect error", 503, {"Content-Type": "text/plain"}),
    "a bare list": plain(b"[1, 2]", 500),
    "bytes that are no text": plain(b"\xff\xfe\x00", 500),
    "a body that breaks off": [Head(500, framing="length", length=500), Send(b'{"error": {"mess'), Close()],
    "a streamed error": [Head(500), Send(b'{"error":'), Send(b' {"message": "x"}}'), End()],
}


@pytest.mark.parametrize("shape", NO_ENVELOPE)
def test_an_error_without_an_envelope_gets_one(gateway: Gateway, upstream: Upstream, shape: str) -> None:
    """hazard 20: HTML, nothing or half a body become JSON with a message."""
    upstream.play(NO_ENVELOPE[shape])
    response = post_chat(gateway.address, body_for())
    assert 500 <= response.status < 600
    assert response.json["error"]["message"]
    assert b"<html" not in response.body


NO_ANSWER: dict[str, Script] = {
    "HTML with status 200": plain(b"<html>please log in</html>", 200, {"Content-Type": "text/html"}),
    "nothing with status 200": plain(b"", 200),
    "status 204": [Head(204, framing="length", length=0), End()],
    "a JSON error with status 200": plain({"error": {"message": WORDS}}),
    "MetaGPT's refusal with status 200": plain({"status": 400, "msg": WORDS}),
    "JSON that is no answer": plain({"hello": "world"}),
    "an answer without choices": plain({"object": "chat.completion", "choices": []}),
    "a redirect": plain(b"", 302, {"Location": "/login"}),
    "an event that is no JSON": [Head(), Send(b"data: <oops>\n\n"), End()],
    "an event that is no object": [Head(), Send(b"data: [1]\n\n"), End()],
    "choices that are none": [Head(), Send(frame({"choices": "none"})), End()],
    "choices of the wrong kind": [Head(), Send(frame({"choices": [1, "x", None]})), End()],
    "a delta of the wrong kind": [Head(), Send(frame(chunk(choice={"delta": "text"}))), End()],
    "an index of the wrong kind": [Head(), Send(frame(chunk("x", choice={"index": {}}))), End()],
    "tool calls of the wrong kind": [Head(), Send(frame(chunk(delta={"tool_calls": 7}))), End()],
    "a function of the wrong kind": [
        Head(),
        Send(frame(chunk(delta={"tool_calls": [{"index": 0, "function": "f"}]}))),
        End(),
    ],
}


@pytest.mark.parametrize("shape", NO_ANSWER)
@pytest.mark.parametrize("streamed", [True, False])
def test_nonsense_with_status_200_is_a_failure(
    gateway: Gateway, upstream: Upstream, shape: str, streamed: bool
) -> None:
    """hazards 1, 20: never an empty success, and never a crash."""
    upstream.play(NO_ANSWER[shape])
    response = post_chat(gateway.address, body_for(stream=streamed))
    if response.status == 200:  # what came first could be shown, and then the stream broke
        assert streamed
        assert b'"error"' in response.body
        assert b"[DONE]" not in response.body
    else:
        assert response.status in {400, 502}
        assert response.json["error"]["message"]
    assert stream_chat(gateway.address).succeeded()


def test_an_unknown_end_reason_passes(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 20: `error` is a failure, any other reason is the model's own."""
    upstream.play(stream([chunk("x"), chunk(finish="insufficient_system_resource")]))
    assert stream_chat(gateway.address).succeeded().finishes() == ["insufficient_system_resource"]
    upstream.play(stream([chunk("x"), chunk(finish="error")]))
    assert stream_chat(gateway.address).failed()


def test_retry_after_reaches_the_client(gateway: Gateway, upstream: Upstream, client: OpenAI) -> None:
    """hazard 20: the SDKs heed it."""
    upstream.play(error(429, WORDS, kind="rate_limit_error", headers={"Retry-After": "17"}))
    messages: Any = [{"role": "user", "content": "x"}]
    with pytest.raises(RateLimitError, match=WORDS) as caught:
        client.chat.completions.create(model="m", messages=messages, stream=True)
    assert caught.value.response.headers["retry-after"] == "17"


def test_the_sdk_knows_the_class_of_an_early_error(
    gateway: Gateway, upstream: Upstream, client: OpenAI
) -> None:
    """hazard 19: failing before the 200 gives the client a typed error with the code."""
    upstream.play(error(400, WORDS, code="context_length_exceeded", param="messages"))
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    assert caught.value.status_code == 400
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")
