"""The guard of an open gateway lets this machine in and nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.access import loopback_host, loopback_origin

HERE = [
    "localhost",
    "LocalHost",
    "app.localhost",
    "a-1.b_2.localhost",
    "127.0.0.1",
    "127.0.0.0",
    "127.255.255.255",
    "127.1.2.3",
    "[::1]",
]
ELSEWHERE = [
    "",
    "example.com",
    "localhost.example.com",
    "127.0.0.1.example.com",
    "127.0.0.1.nip.io",
    "notlocalhost",
    "evil-localhost",
    ".localhost",
    "a..localhost",
    "-a.localhost",
    "localhost.",
    "127.0.0.256",
    "127.0.0.01",
    "127.0.0",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0.0.0.0",
    "192.168.0.1",
    "[::]",
    "[::2]",
    "::1",
    "[::1",
    "[::ffff:127.0.0.1]",
    "user@localhost",
    "localhost, example.com",
    "localhost\n",
    " localhost",
    "localhost\x00",
    "ｌocalhost",
    "localhost/" + "a" * 10,
    "a" * 1000 + ".localhost",
]
PORTS = ["", ":80", ":7860", ":65535"]


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("host", HERE)
def test_this_machine_is_let_in(host: str, port: str) -> None:
    assert loopback_host((host + port).encode())
    assert loopback_origin(f"http://{host}{port}".encode())
    assert loopback_origin(f"https://{host}{port}".encode())


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("host", ELSEWHERE)
def test_everybody_else_is_not(host: str, port: str) -> None:
    assert not loopback_host((host + port).encode())
    assert not loopback_origin(f"http://{host}{port}".encode())


@pytest.mark.parametrize("suffix", [":port", ":80x", ":123456", ":80:80", ":-1"])
def test_a_port_is_digits(suffix: str) -> None:
    assert not loopback_host(b"localhost" + suffix.encode())


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "localhost:3000",
        "file://localhost",
        "ws://localhost",
        "http://localhost/",
        "http://localhost/path",
        "http://localhost http://localhost",
        "http://user@localhost",
        "http:localhost",
        "https://evil.com#http://localhost",
    ],
)
def test_an_origin_is_a_web_page_and_nothing_more(origin: str) -> None:
    assert not loopback_origin(origin.encode())


@given(st.binary(max_size=400))
def test_any_bytes_are_judged(header: bytes) -> None:
    if loopback_host(header):
        assert header.lower().partition(b":")[0].endswith(b"localhost") or header.startswith(
            (b"127.", b"[::1]")
        )
    assert not loopback_origin(header) or header.lower().startswith((b"http://", b"https://"))


@given(st.from_regex(rb"\A[a-z0-9.-]{1,250}\Z"))
def test_public_names_stay_out_by_any_port(name: bytes) -> None:
    assert not loopback_host(name + b".example.com:7860")
