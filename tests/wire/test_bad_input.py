"""Requests that are wrong, odd, huge or slow: one clear answer each, nothing hung, nothing leaked."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.chat import DONE, Json, text_stream
from tests.chat_stream import body_for, post_chat, stream_chat
from tests.fixtures import StartGateway
from tests.gateway import Gateway, eventually, gateway_config
from tests.raw_http import RawConnection, Response, fetch, request_bytes
from tests.upstream import Upstream

CHAT = "/v1/chat/completions"


def envelope(response: Response, status: int) -> Json:
    """Checks for OpenAI's error envelope under the status and returns what is in it."""
    assert response.status == status, response.body
    assert (response.head.get("content-type") or "").startswith("application/json")
    error: Json = response.json["error"]
    assert error.keys() >= {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    return error


@pytest.fixture(autouse=True)
def still_well(gateway: Gateway) -> Iterator[None]:
    """After every bad request a good one must be answered."""
    yield
    assert stream_chat(gateway.address).succeeded()


NOT_JSON: dict[str, bytes] = {
    "nothing": b"",
    "half an object": b'{"model": "m", "messages": [',
    "a form": b"model=m&stream=true",
    "a text": b'"hello"',
    "a number": b"42",
    "null": b"null",
    "a list": b"[]",
    "bytes that are no text": b"\xff\xfe{}",
    "two objects": b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}{}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "fifty thousand brackets": b'{"x": ' + b"[" * 50_000,
    "NaN": b'{"model": "m", "messages": [{"role": "user", "content": NaN}]}',
    "a trailing comma": b'{"model": "m", "messages": [],}',
    "single quotes": b"{'model': 'm'}",
}


@pytest.mark.parametrize("kind", NOT_JSON)
def test_bodies_that_are_no_json_object(gateway: Gateway, kind: str) -> None:
    """The message says what was expected instead."""
    error = envelope(fetch(gateway.address, "POST", CHAT, NOT_JSON[kind]), 400)
    assert error["type"] == "invalid_request_error"
    assert "JSON" in error["message"]


USER = [{"role": "user", "content": "x"}]
WRONG_FIELDS: dict[str, tuple[Json, str]] = {
    "no messages": ({"model": "m"}, "messages"),
    "messages of null": ({"model": "m", "messages": None}, "messages"),
    "messages as text": ({"model": "m", "messages": "hello"}, "messages"),
    "messages as an object": ({"model": "m", "messages": {"role": "user"}}, "messages"),
    "no message at all": ({"model": "m", "messages": []}, "messages"),
    "messages of texts": ({"model": "m", "messages": ["hello"]}, "messages"),
    "a message without a role": ({"model": "m", "messages": [{"content": "x"}]}, "messages"),
    "a role of the wrong kind": ({"model": "m", "messages": [{"role": 7, "content": "x"}]}, "messages"),
    "a model of the wrong kind": ({"model": 7, "messages": USER}, "model"),
    "a model in a list": ({"model": ["m"], "messages": USER}, "model"),
    "stream as text": ({"model": "m", "messages": USER, "stream": "true"}, "stream"),
    "stream as a number": ({"model": "m", "messages": USER, "stream": 1}, "stream"),
    "n as text": ({"model": "m", "messages": USER, "n": "two"}, "n"),
    "n of zero": ({"model": "m", "messages": USER, "n": 0}, "n"),
    "n below zero": ({"model": "m", "messages": USER, "n": -1}, "n"),
    "options as text": ({"model": "m", "messages": USER, "stream_options": "usage"}, "stream_options"),
}


@pytest.mark.parametrize("kind", WRONG_FIELDS)
def test_fields_of_the_wrong_kind_are_named(gateway: Gateway, upstream: Upstream, kind: str) -> None:
    """The error names the field, and no upstream is asked."""
    body, field = WRONG_FIELDS[kind]
    error = envelope(fetch(gateway.address, "POST", CHAT, body), 400)
    assert field in error["message"]
    assert (error["param"] or "").startswith(field)
    assert upstream.requests == []


@pytest.mark.parametrize("name", ["hasti", "again2", "Restless", "pear"])
def test_an_unknown_model_gets_the_nearest_names(gateway: Gateway, upstream: Upstream, name: str) -> None:
    """404 as OpenAI says it, with what was probably meant."""
    error = envelope(post_chat(gateway.address, body_for(model=name)), 404)
    assert error["code"] == "model_not_found"
    assert error["param"] == "model"
    assert name in error["message"]
    nearest = {"hasti": "hasty", "again2": "again", "Restless": "restless", "pear": "pair"}[name]
    assert nearest in error["message"]
    assert upstream.requests == []


def test_a_model_like_no_other(gateway: Gateway) -> None:
    """Still a clear sentence; hostile names come back as text and not as markup or megabytes."""
    envelope(post_chat(gateway.address, body_for(model="zzzzzzzzzzzz")), 404)
    long = envelope(post_chat(gateway.address, body_for(model="x" * 100_000)), 404)
    assert len(long["message"]) < 2000
    assert post_chat(gateway.address, body_for(model="\r\n\x00<script>")).status == 404
    assert post_chat(gateway.address, body_for(model="\ud800")).status in {400, 404}
    envelope(fetch(gateway.address, "GET", "/v1/models/zzz"), 404)


def test_odd_text_is_no_error(gateway: Gateway, upstream: Upstream) -> None:
    """Empty messages, control characters, a megabyte: what JSON can hold passes."""
    for content in ("", "\x00\x01", "x" * 1_000_000, [], None, [{"type": "text", "text": ""}]):
        body = {"model": "m", "messages": [{"role": "user", "content": content}]}
        assert fetch(gateway.address, "POST", CHAT, body).status == 200
        assert upstream.requests[-1].json["messages"][0]["content"] == content


def test_half_an_emoji_is_no_crash(gateway: Gateway, upstream: Upstream) -> None:
    """JavaScript clients that cut a text in the middle escape a lone surrogate: passed on, or refused."""
    for field in ("content", "name"):
        body = {"model": "m", "messages": [{"role": "user", "content": "x", field: "\ud83d"}]}
        response = fetch(gateway.address, "POST", CHAT, body)
        if response.status != 200:
            assert "JSON" in envelope(response, 400)["message"]


def test_conversations_in_any_order(gateway: Gateway, upstream: Upstream) -> None:
    """Partial assistant messages, empty ones, late system messages, many of a kind in a row."""
    roles = ["assistant", "system", "user", "user", "assistant", "assistant", "developer", "user", "system"]
    messages = [{"role": role, "content": "" if role == "assistant" else "x"} for role in roles]
    assert fetch(gateway.address, "POST", CHAT, {"model": "m", "messages": messages}).status == 200
    assert upstream.request().json["messages"] == messages


def test_ten_thousand_messages_pass(gateway: Gateway, upstream: Upstream) -> None:
    """A conversation of a day."""
    messages = [{"role": "user", "content": f"message {number}"} for number in range(10_000)]
    assert fetch(gateway.address, "POST", CHAT, {"model": "m", "messages": messages}).status == 200
    assert len(upstream.request().json["messages"]) == 10_000


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/xml"])
def test_json_under_any_content_type(gateway: Gateway, kind: str) -> None:
    """curl -d without a header sends form data by name and JSON in fact."""
    assert post_chat(gateway.address, body_for(), {"Content-Type": kind}).body.endswith(DONE)


# Sizes.


@pytest.fixture
def small_gateway(upstream: Upstream, start_gateway: StartGateway) -> Gateway:
    return start_gateway(gateway_config(upstream.url, server={"max_body": "64KiB", "body_timeout": "400ms"}))


def test_a_body_over_the_limit(small_gateway: Gateway, upstream: Upstream) -> None:
    """413 by what is announced, and by what comes when nothing is announced."""
    assert post_chat(small_gateway.address, body_for("x" * 60_000)).status == 200
    envelope(post_chat(small_gateway.address, body_for("x" * 70_000)), 413)
    with RawConnection(small_gateway.address) as connection:
        connection.send(request_bytes("POST", CHAT, headers={"Content-Length": "999999999999"}))
        envelope(connection.read_response(), 413)
    with RawConnection(small_gateway.address) as connection:
        connection.send(request_bytes("POST", CHAT, headers={"Transfer-Encoding": "chunked"}))
        connection.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        connection.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        connection.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        envelope(connection.read_response(), 413)
    assert len(upstream.requests) == 1


def test_a_body_of_thirty_megabytes_passes(gateway: Gateway, upstream: Upstream) -> None:
    """Pictures in messages are big; the usual limit lets them through."""
    upstream.play(text_stream())  # parsing 30 MB to choose an answer would hold up the upstream's loop
    response = post_chat(gateway.address, body_for("x" * 30_000_000), timeout=30)
    assert response.body.endswith(DONE)
    assert upstream.requests[0].body.count(b"x" * 30_000_000) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Big": "x" * 200_000},
        {f"X-{number}": "x" * 100 for number in range(2000)},
        {"Authorization": "Bearer " + "x" * 200_000},
    ],
    ids=["one huge header", "two thousand headers", "a huge key"],
)
def test_a_flood_of_headers(gateway: Gateway, headers: dict[str, str]) -> None:
    """431, whether it is one big header or many small ones."""
    with RawConnection(gateway.address) as connection:
        try:
            connection.send(request_bytes("POST", CHAT, body_for(), headers))
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused while it was being sent, which is in order as long as the answer is there
        envelope(connection.read_response(), 431)


@pytest.mark.parametrize(("method", "path"), [("POST", CHAT), ("GET", "/v1/models"), ("POST", "/v1/models")])
def test_a_refused_head_is_answered_once(
    gateway: Gateway, upstream: Upstream, method: str, path: str
) -> None:
    """What came with it in one read is not carried out, and the log is not filled."""
    before = len(gateway.output())
    with RawConnection(gateway.address) as connection:
        connection.send(request_bytes(method, path, body_for(), {"X-Big": "x" * 70_000}))
        answers = connection.read_to_end()
    assert answers.startswith(b"HTTP/1.1 431 ")
    assert answers.count(b"HTTP/1.1 ") == 1
    assert stream_chat(gateway.address, "another").succeeded()
    assert [request.json["messages"][0]["content"] for request in upstream.requests] == ["another"]
    assert "Traceback" not in gateway.output()[before:]


def test_an_endless_request_line(gateway: Gateway) -> None:
    """A path that never ends is cut off with an answer."""
    with RawConnection(gateway.address) as connection:
        try:
            for _ in range(64):
                connection.send(b"G" if _ == 0 else b"x" * 65536)
        except (BrokenPipeError, ConnectionResetError):
            return
        data = connection.read_to_end()
    assert data == b"" or data.startswith((b"HTTP/1.1 4",))


def test_a_long_path_is_not_found(gateway: Gateway) -> None:
    """404 or 414 or 431, and never a crash."""
    assert fetch(gateway.address, "GET", "/v1/" + "x" * 8000).status in {404, 414, 431}


# Slowness.


@pytest.mark.parametrize(
    "beginning",
    [
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n99\r\n{",
        b"POST /v1/",
    ],
    ids=["in the headers", "in a body with a length", "in a chunked body", "in the request line"],
)
def test_a_slow_loris_is_closed(small_gateway: Gateway, beginning: bytes) -> None:
    """A byte now and then does not put the deadline off."""
    began = time.monotonic()
    with RawConnection(small_gateway.address, timeout=0.1) as connection:
        connection.send(beginning)
        answer = trickle_until_answered(connection, began + 3)
    assert time.monotonic() - began < 3
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


def trickle_until_answered(connection: RawConnection, deadline: float) -> bytes:
    """Sends a byte every tenth of a second until the other side has had enough; returns what it said."""
    while time.monotonic() < deadline:
        try:
            connection.send(b"x")
            return connection.read_to_end()
        except TimeoutError:
            continue
        except OSError:  # closed while we were writing
            return b""
    raise AssertionError("a request may trickle in for ever")


def test_a_slow_body_gets_a_408(small_gateway: Gateway) -> None:
    """Whoever waits for an answer gets one."""
    with RawConnection(small_gateway.address) as connection:
        connection.send(request_bytes("POST", CHAT, headers={"Content-Length": "1000"}) + b"{")
        envelope(connection.read_response(), 408)
        assert connection.ended()


def test_a_request_that_is_cut_off_leaves_nothing(gateway: Gateway, upstream: Upstream) -> None:
    """Half a body and a hang-up: no upstream is asked."""
    before = gateway.descriptors
    for _ in range(20):
        with RawConnection(gateway.address) as connection:
            connection.send(request_bytes("POST", CHAT, headers={"Content-Length": "1000"}) + b"{")
    eventually(lambda: gateway.descriptors <= before, "descriptors are back to where they were")
    assert upstream.requests == []


# Upstreams that are not there.


def test_an_upstream_that_is_not_there(start_gateway: StartGateway) -> None:
    """502 that says which provider it is; where that was looked for is in the log."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        gateway = start_gateway(gateway_config(f"http://127.0.0.1:{port}"))
        for streamed in (True, False):
            error = envelope(post_chat(gateway.address, body_for(stream=streamed)), 502)
            assert error["message"] == "cannot connect to up: Connection refused"
            assert str(port) in gateway.output()


def test_an_upstream_whose_name_is_unknown(start_gateway: StartGateway) -> None:
    """502 too, also for names that nobody can resolve."""
    gateway = start_gateway(gateway_config("http://nowhere.invalid"))
    envelope(post_chat(gateway.address, body_for(), timeout=20), 502)
