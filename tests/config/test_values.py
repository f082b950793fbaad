"""Durations, sizes, numbers and addresses: what is read, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.config import is_loopback, parse_duration, parse_size
from tidegate.config.values import (
    parse_auth_form,
    parse_base_url,
    parse_credential,
    parse_header_name,
    parse_host,
    parse_integer,
    parse_model_name,
    parse_number,
    parse_origin,
    parse_provider_name,
    parse_switch,
    ranged,
)

SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
BYTES = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
PARSERS = (
    parse_duration,
    parse_size,
    parse_integer,
    parse_number,
    parse_switch,
    parse_host,
    parse_origin,
    parse_base_url,
    parse_provider_name,
    parse_model_name,
    parse_credential,
    parse_header_name,
    parse_auth_form,
)


@given(st.integers(0, 10**9), st.sampled_from(sorted(SECONDS)))
def test_every_whole_duration_is_read(amount: int, unit: str) -> None:
    assert math.isclose(parse_duration(f"{amount}{unit}"), amount * SECONDS[unit])


@given(st.integers(0, 10**6), st.integers(0, 999), st.sampled_from(sorted(SECONDS)))
def test_durations_may_have_decimals(whole: int, thousandths: int, unit: str) -> None:
    expected = (whole + thousandths / 1000) * SECONDS[unit]
    assert math.isclose(parse_duration(f"{whole}.{thousandths:03d}{unit}"), expected, abs_tol=1e-12)


@given(st.integers(0, 10**9), st.sampled_from(sorted(BYTES)), st.sampled_from(["", " "]))
def test_every_size_is_read(amount: int, unit: str, space: str) -> None:
    assert parse_size(f"{amount}{space}{unit}") == amount * BYTES[unit]
    assert parse_size(f"{amount}{space}{unit.lower()}") == amount * BYTES[unit]


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "5 parsecs", "1h30m", "1e3", "inf", "nan", "٣s", "5s\n", "9" * 5000]
)
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration such as 250ms"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "MiB", "-1", "32XiB", "32 M iB", "0x10", "9" * 5000])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a size such as 512KiB"):
        parse_size(text)


def refusal(parse: Callable[[str], object], text: str) -> str | None:
    """Return the words that a text is refused with, None where it is read."""
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return None


@given(st.text())
def test_no_parser_fails_otherwise_or_repeats_its_text(text: str) -> None:
    for parse in PARSERS:
        words = refusal(parse, text)
        assert words is None or words.startswith("must ")
        marked = refusal(parse, f"S3CRET{text}")
        assert marked is None or "S3CRET" not in marked


@given(st.integers(-(10**11), 10**11))
def test_integers_are_read(value: int) -> None:
    assert parse_integer(str(value)) == value
    assert parse_number(str(value)) == value


@pytest.mark.parametrize("text", ["1.5", "1_000", "0x1", "", "１", "9" * 5000])
def test_other_integers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a whole number"):
        parse_integer(text)


def test_a_range_includes_its_ends() -> None:
    port = ranged(parse_integer, 0, 65535, "a port from 0 to 65535")
    assert (port("0"), port("65535")) == (0, 65535)
    for text in ("-1", "65536"):
        with pytest.raises(ValueError, match="must be a port from 0 to 65535"):
            port(text)


@pytest.mark.parametrize(
    ("text", "host"),
    [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("::", "::"), ("my-host.local", "my-host.local")],
)
def test_hosts_lose_their_brackets(text: str, host: str) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize("text", ["", "a b", "host:80", "http://host", "-", "[::1", "é"])
def test_other_hosts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a host name"):
        parse_host(text)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "api.localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_addresses_are_private(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.7", "10.0.0.1", "example.com", "localhost.evil.com", ""]
)
def test_other_addresses_are_public(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("text", "base_url"),
    [
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("https://api.example.com/v1/", "https://api.example.com/v1"),
        ("https://api.example.com", "https://api.example.com"),
        ("http://[::1]:8000/v1//", "http://[::1]:8000/v1"),
    ],
)
def test_base_urls_lose_their_last_slash(text: str, base_url: str) -> None:
    assert parse_base_url(text) == base_url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("api.example.com/v1", "must be a URL"),
        ("ftp://example.com", "must be a URL"),
        ("http://", "must be a URL"),
        ("http://host:99999", "must be a URL"),
        ("http://host:port/v1", "must be a URL"),
        ("http://a b/v1", "must be a URL"),
        ("http://höst/v1", "must be a URL"),
        ("http://[::1/v1", "must be a URL"),
        ("https://user:secret@example.com/v1", "api_key"),
        ("https://example.com/v1?api-version=1", "query"),
        ("https://example.com/v1/chat/completions", "before /chat/completions"),
    ],
)
def test_other_base_urls_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_base_url(text)


@pytest.mark.parametrize("text", ["*", "https://app.example.com", "http://localhost:5173", "app://-"])
def test_origins_are_read(text: str) -> None:
    assert parse_origin(text) == text


@pytest.mark.parametrize("text", ["", "example.com", "https://example.com/", "https://*.example.com", "null"])
def test_other_origins_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="an origin such as"):
        parse_origin(text)


@pytest.mark.parametrize("text", ["bearer", "header:api-key", "query:key"])
def test_auth_forms_are_read(text: str) -> None:
    assert parse_auth_form(text) == text


@pytest.mark.parametrize("text", ["", "Bearer", "header:", "header:a b", "header:host", "query:", "cookie:x"])
def test_other_auth_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_auth_form(text)


@pytest.mark.parametrize("text", ["host", "Content-Length", "Accept-Encoding", "a b", "", "x:y", "x\r\ny"])
def test_headers_that_frame_a_request_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="header"):
        parse_header_name(text)


@pytest.mark.parametrize("text", ["", "two words", "line\nbreak", "schlüssel", "\x7f"])
def test_credentials_are_visible_ascii(text: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII"):
        parse_credential(text)


def test_switches_are_words() -> None:
    assert [parse_switch(text) for text in ("true", "Yes", "ON")] == [True] * 3
    assert [parse_switch(text) for text in ("false", "no", "Off")] == [False] * 3
    with pytest.raises(ValueError, match="true or false"):
        parse_switch("1")
