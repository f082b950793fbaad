"""Base URLs to addresses and paths, and what is said of those that are none."""

from __future__ import annotations

import pytest

from tidegate.errors import ConfigError
from tidegate.net import Address
from tidegate.net.address import split_url


@pytest.mark.parametrize(
    ("url", "address", "path", "host"),
    [
        ("http://127.0.0.1:8000/v1", Address("127.0.0.1", 8000), "/v1", "127.0.0.1:8000"),
        ("http://localhost", Address("localhost", 80), "", "localhost"),
        ("https://api.example.com/v1/", Address("api.example.com", 443, tls=True), "/v1", "api.example.com"),
        (
            "https://api.example.com:8443",
            Address("api.example.com", 8443, tls=True),
            "",
            "api.example.com:8443",
        ),
        ("https://x.example:80/a//b///", Address("x.example", 80, tls=True), "/a//b", "x.example:80"),
        ("http://[::1]:9/v1", Address("::1", 9), "/v1", "[::1]:9"),
        ("http://[::1]", Address("::1", 80), "", "[::1]"),
        ("http://UPPER.example/V1", Address("upper.example", 80), "/V1", "upper.example"),
        ("http://user:secret@h.example/v1", Address("h.example", 80), "/v1", "h.example"),
        ("http://h.example/v1?a=b#c", Address("h.example", 80), "/v1", "h.example"),
    ],
)
def test_splitting(url: str, address: Address, path: str, host: str) -> None:
    assert split_url(url) == (address, path)
    assert address.host_header == host
    assert str(address) == f"{'https' if address.tls else 'http'}://{host}"


@pytest.mark.parametrize(
    "url", ["", "api.example.com/v1", "ftp://x", "//x", "http://", "http:///v1", "localhost:8000"]
)
def test_what_is_no_address_is_shown_how_to_write_one(url: str) -> None:
    with pytest.raises(ConfigError, match=r"write it like http://127\.0\.0\.1:8000/v1"):
        split_url(url)


@pytest.mark.parametrize("url", ["http://x:99999", "http://x:-1", "http://x:abc"])
def test_a_port_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="a port that is not a number from 1 to 65535"):
        split_url(url)


def test_a_unix_socket_is_named_by_its_path() -> None:
    address = Address(socket_path="/run/x.sock")
    assert str(address) == "/run/x.sock"
    assert address.host_header == "localhost"
