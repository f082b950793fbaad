"""Which pages may call, and what a browser is told about it."""

from __future__ import annotations

import pytest

from tidegate.server.cors import Cors

HERE = b"http://localhost:3000"
THERE = b"https://evil.example"
LISTED = b"https://app.example"

OPEN = Cors(("*",), open_access=True)
ANY = Cors(("*",), open_access=False)
SOME = Cors(("https://app.example",), open_access=False)
NONE = Cors((), open_access=False)


@pytest.mark.parametrize(
    ("cors", "origin", "allowed"),
    [
        (OPEN, HERE, True),
        (OPEN, b"http://127.0.0.1:7860", True),
        (OPEN, b"http://[::1]", True),
        (OPEN, THERE, False),
        (OPEN, b"null", False),
        (OPEN, b"http://localhost.evil.example", False),
        (Cors(("https://app.example",), open_access=True), LISTED, False),
        (ANY, THERE, True),
        (ANY, b"null", True),
        (SOME, LISTED, True),
        (SOME, LISTED.upper(), False),
        (SOME, LISTED + b":8443", False),
        (SOME, LISTED + b".evil.example", False),
        (SOME, HERE, False),
        (NONE, HERE, False),
    ],
)
def test_who_may_call(cors: Cors, origin: bytes, allowed: bool) -> None:
    """Without keys only this machine: else any page could spend the user's money."""
    assert cors.allows(origin) is allowed
    assert bool(cors.headers(origin)) is allowed


@pytest.mark.parametrize("cors", [OPEN, ANY, SOME, NONE])
def test_without_an_origin_nothing_is_said(cors: Cors) -> None:
    assert cors.headers(None) == b""


def test_any_origin_is_told_so() -> None:
    assert b"access-control-allow-origin: *\r\n" in ANY.headers(THERE)
    assert b"vary" not in ANY.headers(THERE)


@pytest.mark.parametrize(("cors", "origin"), [(OPEN, HERE), (SOME, LISTED)])
def test_one_of_some_is_named_and_caches_are_told(cors: Cors, origin: bytes) -> None:
    headers = cors.headers(origin)
    assert b"access-control-allow-origin: %b\r\n" % origin in headers
    assert b"vary: Origin\r\n" in headers


@pytest.mark.parametrize(("cors", "origin"), [(OPEN, HERE), (ANY, THERE), (SOME, LISTED)])
def test_headers_are_whole_lines(cors: Cors, origin: bytes) -> None:
    headers = cors.headers(origin)
    assert headers.endswith(b"\r\n")
    assert all(b": " in line for line in headers.split(b"\r\n")[:-1])
    assert (
        b"access-control-expose-headers: Tidegate-Stream, Tidegate-Dropped, X-Request-Id, Retry-After\r\n"
        in headers
    )


def test_a_preflight_allows_what_is_asked_for() -> None:
    """The official SDKs send a dozen headers of their own."""
    told = dict(ANY.preflight(THERE, b"x-stainless-os, x-stainless-lang"))
    assert told[b"access-control-allow-origin"] == b"*"
    assert told[b"access-control-allow-methods"] == b"GET, POST, DELETE, OPTIONS"
    allowed = told[b"access-control-allow-headers"].split(b", ")
    assert {b"Authorization", b"Content-Type", b"Idempotency-Key", b"Last-Event-ID"} <= set(allowed)
    assert allowed[-2:] == [b"x-stainless-os", b"x-stainless-lang"]


def test_a_preflight_that_asks_for_nothing() -> None:
    told = dict(SOME.preflight(LISTED, None))
    assert told[b"vary"] == b"Origin"
    assert not told[b"access-control-allow-headers"].endswith(b", ")
