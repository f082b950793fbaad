"""HTTP itself: paths, methods and versions as real clients send them, and what is no HTTP at all."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from tests.chat import DONE, Json, text_stream
from tests.chat_stream import body_for, parse, stream_chat
from tests.gateway import Gateway, clean_environment
from tests.raw_http import RawConnection, Response, fetch, request_bytes
from tests.upstream import Upstream

CHAT = "/v1/chat/completions"


def error_of(response: Response, status: int) -> Json:
    assert response.status == status, response.body
    error: Json = response.json["error"]
    assert error.keys() >= {"message", "type", "param", "code"}
    return error


# Paths and methods.


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/chat/completions",
        "/v1/chat/completions/",
        "/v1//chat/completions",
        "//v1/chat//completions//",
        "/v1/chat/completions?api-version=2024-10-21",
    ],
)
def test_one_endpoint_many_paths(gateway: Gateway, upstream: Upstream, path: str) -> None:
    """Without a redirect, because clients lose their body and their key on the way."""
    response = fetch(gateway.address, "POST", path, body_for())
    assert response.status == 200
    assert response.body.endswith(DONE)


@pytest.mark.parametrize("path", ["/v1/models", "/models", "/v1/models/", "//v1//models"])
def test_models_under_every_path(gateway: Gateway, path: str) -> None:
    """In OpenAI's shape, with every model of the configuration."""
    listing = gateway.get(path)
    assert listing["object"] == "list"
    assert {"m", "again", "pair", "hasty", "restless"} <= {row["id"] for row in listing["data"]}
    for row in listing["data"]:
        assert row["object"] == "model"
        assert isinstance(row["created"], int)
        assert isinstance(row["owned_by"], str)


def test_one_model(gateway: Gateway) -> None:
    assert gateway.get("/v1/models/m")["id"] == "m"
    assert gateway.get("/models/m/")["object"] == "model"
    assert error_of(fetch(gateway.address, "GET", "/v1/models/none"), 404)["code"] == "model_not_found"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_the_wrong_method_is_told_the_right_one(gateway: Gateway, method: str) -> None:
    """405 with Allow, in the envelope."""
    response = fetch(gateway.address, method, CHAT)
    error_of(response, 405)
    assert "POST" in (response.head.get("allow") or "")


def test_models_cannot_be_posted(gateway: Gateway) -> None:
    response = fetch(gateway.address, "POST", "/v1/models", {})
    error_of(response, 405)
    assert "GET" in (response.head.get("allow") or "")


@pytest.mark.parametrize("path", ["/v1/nothing", "/favicon.png", "/v1/chat", "/v1/chat/completions/x"])
def test_an_unknown_path_is_told_in_json(gateway: Gateway, path: str) -> None:
    """404 in the envelope, with the path in its words."""
    assert path in error_of(fetch(gateway.address, "GET", path), 404)["message"]


@pytest.mark.parametrize("path", ["/v1/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/%00", "/%ff", "*"])
def test_hostile_paths_find_nothing(gateway: Gateway, path: str) -> None:
    assert fetch(gateway.address, "GET", path).status in {400, 404}


def test_health_and_readiness(gateway: Gateway) -> None:
    """Both without a key, as orchestrators ask."""
    assert fetch(gateway.address, "GET", "/healthz").status == 200
    assert fetch(gateway.address, "GET", "/readyz").status == 200
    assert fetch(gateway.address, "HEAD", "/healthz").status == 200


# The protocol.


def test_an_http_1_0_client_gets_plain_bytes(gateway: Gateway, upstream: Upstream) -> None:
    """No chunks, which 1.0 does not know; the end of the connection is the end of the answer."""
    request = request_bytes("POST", CHAT, body_for()).replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)
    with RawConnection(gateway.address) as connection:
        connection.send(request)
        head = connection.read_head()
        body = connection.read_to_end()
    assert head.status == 200
    assert not head.chunked
    assert body.startswith(b"data: {")
    assert body.endswith(DONE)
    assert parse(Response(head, body)).succeeded().text() == "Hello world"


def test_a_client_that_waits_for_continue(gateway: Gateway, upstream: Upstream) -> None:
    """curl asks before it sends a body of more than a megabyte."""
    data = request_bytes("POST", CHAT, body_for(), {"Expect": "100-continue"})
    head, body = data.split(b"\r\n\r\n", 1)
    with RawConnection(gateway.address) as connection:
        connection.send(head + b"\r\n\r\n")
        assert connection.read_head().status == 100
        connection.send(body)
        assert connection.read_response().body.endswith(DONE)


H2C = {
    "Connection": "Upgrade, HTTP2-Settings",
    "Upgrade": "h2c",
    "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
}


@pytest.mark.parametrize("each", [None, 1])
@pytest.mark.parametrize("more", [{}, {"Expect": "100-continue"}])
def test_a_wish_for_http_2_is_passed_over(
    gateway: Gateway, upstream: Upstream, each: int | None, more: dict[str, str]
) -> None:
    """Java's HttpClient has it on every request: the body is read, and the connection can be used again."""
    data = request_bytes("POST", CHAT, body_for("over Java"), H2C | more)
    with RawConnection(gateway.address) as connection:
        for _ in range(2):
            for start in range(0, len(data), each or len(data)):
                connection.send(data[start : start + (each or len(data))])
            head = connection.read_head()
            if more:
                assert head.status == 100
                head = connection.read_head()
            assert parse(Response(head, b"".join(connection.chunks()))).succeeded()
        connection.send(request_bytes("GET", "/v1/models", headers=H2C))
        assert connection.read_response().status == 200
    assert [request.json["messages"][0]["content"] for request in upstream.requests] == ["over Java"] * 2


def test_very_many_wishes_in_one_write_are_passed_over(gateway: Gateway) -> None:
    count = 1500
    with RawConnection(gateway.address) as connection:
        connection.send(request_bytes("GET", "/healthz", headers=H2C) * count)
        assert {connection.read_response().status for _ in range(count)} == {200}


def test_a_request_may_name_its_whole_url(gateway: Gateway, upstream: Upstream) -> None:
    """As clients write it that take the gateway for their proxy."""
    answer = fetch(gateway.address, "POST", f"http://localhost{CHAT}", body_for())
    assert parse(answer).succeeded()


def test_pipelined_requests_are_answered_in_order(gateway: Gateway, upstream: Upstream) -> None:
    """Three at once, streamed and whole, on one connection."""
    upstream.answer = lambda request: text_stream([request.json["messages"][0]["content"]])
    bodies = [body_for("one"), body_for("two", stream=False), body_for("three")]
    with RawConnection(gateway.address) as connection:
        connection.send(b"".join(request_bytes("POST", CHAT, body) for body in bodies))
        first, second, third = (connection.read_response() for _ in bodies)
    assert parse(first).succeeded().text() == "one"
    assert second.json["choices"][0]["message"]["content"] == "two"
    assert parse(third).succeeded().text() == "three"


@pytest.mark.parametrize("each", [1, 7, 4096])
def test_a_chunked_request_body(gateway: Gateway, upstream: Upstream, each: int) -> None:
    """Clients that stream their body announce no length."""
    data = json.dumps(body_for("世界")).encode()
    with RawConnection(gateway.address) as connection:
        connection.send(request_bytes("POST", CHAT, headers={"Transfer-Encoding": "chunked"}))
        for start in range(0, len(data), each):
            piece = data[start : start + each]
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        connection.send(b"0\r\n\r\n")
        assert connection.read_response().body.endswith(DONE)
    assert upstream.request().json["messages"][0]["content"] == "世界"


def test_a_request_that_arrives_byte_by_byte(gateway: Gateway, upstream: Upstream) -> None:
    with RawConnection(gateway.address) as connection:
        for value in request_bytes("POST", CHAT, body_for()):
            connection.send(bytes([value]))
        assert connection.read_response().body.endswith(DONE)


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n"
        b"Content-Length: 4\r\n\r\n{}  ",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=[
        "a word",
        "a TLS greeting",
        "HTTP/2",
        "HTTP/9.9",
        "no host",
        "a length below zero",
        "a length and chunks",
        "two lengths",
        "a chunk without a size",
    ],
)
def test_what_is_not_http_is_refused(gateway: Gateway, upstream: Upstream, data: bytes) -> None:
    """400 or a closed connection, at once; nothing of it reaches an upstream."""
    with RawConnection(gateway.address, timeout=5) as connection:
        connection.send(data)
        connection.socket.shutdown(1)
        answer = connection.read_to_end()
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4", b"HTTP/1.1 505"))
    assert upstream.requests == []
    assert stream_chat(gateway.address).succeeded()


def test_small_writes_are_not_delayed(gateway: Gateway, upstream: Upstream) -> None:
    """TCP_NODELAY on both sides: a dozen requests in a row have no steps of 40 ms."""
    delays = []
    with RawConnection(gateway.address) as connection:
        for _ in range(12):
            start = time.monotonic()
            connection.send(request_bytes("POST", CHAT, body_for()))
            connection.read_response()
            delays.append(time.monotonic() - start)
    assert sorted(delays)[len(delays) // 2] < 0.03


# The process.


def test_a_taken_port_is_told(gateway: Gateway, upstream: Upstream) -> None:
    """One sentence with the port in it and what to type instead, and a failing exit."""
    port = str(gateway.address[1])
    result = subprocess.run(
        [sys.executable, "-m", "tidegate", "serve", "--port", port, "--config", str(gateway.config_file)],
        env={**clean_environment(), "TIDEGATE_HOME": str(gateway.folder / "second")},
        capture_output=True,
        timeout=30,
        check=False,
        text=True,
    )
    assert result.returncode != 0
    words = result.stdout + result.stderr
    assert port in words
    assert "--port" in words
    assert "Traceback" not in words
    assert stream_chat(gateway.address).succeeded()


def test_a_public_bind_without_keys_is_refused(tmp_path: object, gateway: Gateway) -> None:
    """Anybody could spend the user's money."""
    result = subprocess.run(
        [sys.executable, "-m", "tidegate", "serve", "--port", "0", "--host", "0.0.0.0"],
        env={**clean_environment(), "TIDEGATE_HOME": str(tmp_path)},
        capture_output=True,
        timeout=30,
        check=False,
        text=True,
    )
    assert result.returncode != 0
    assert "key" in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
