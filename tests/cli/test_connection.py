"""Which gateway a command talks to, and with which key."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tidegate.cli.connection import DEFAULT_URL, Server, find_server, workspace_refusal
from tidegate.errors import ConfigError


@pytest.fixture
def home(tmp_path: Path) -> str:
    """A data folder in which a gateway that still runs has recorded its address."""
    record = {"url": "http://127.0.0.1:4321", "pid": os.getpid()}
    (tmp_path / "server.json").write_text(json.dumps(record), "utf-8")
    return str(tmp_path)


def test_what_is_given_wins_then_the_environment_then_the_record(home: str, tmp_path: Path) -> None:
    environ = {"TIDEGATE_HOME": home, "TIDEGATE_URL": "http://env:1"}
    assert find_server("http://given:2", None, environ).url == "http://given:2"
    assert find_server(None, None, environ).url == "http://env:1"
    assert find_server(None, None, {"TIDEGATE_HOME": home}).url == "http://127.0.0.1:4321"
    assert find_server(None, None, {"TIDEGATE_HOME": str(tmp_path / "empty")}).url == DEFAULT_URL


def test_key_given_wins_then_one_key_then_the_first_of_many() -> None:
    environ = {"TIDEGATE_API_KEY": "one", "TIDEGATE_API_KEYS": " first , second"}
    assert find_server("http://a", "given", environ).key == "given"
    assert find_server("http://a", None, environ).key == "one"
    assert find_server("http://a", None, {"TIDEGATE_API_KEYS": " , first, second"}).key == "first"
    assert find_server("http://a", None, {"TIDEGATE_API_KEYS": ""}).key is None


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("127.0.0.1:7860", "http://127.0.0.1:7860"),
        ("http://127.0.0.1:7860/v1/", "http://127.0.0.1:7860"),
        (" https://host/gate/v1?x=1#y ", "https://host/gate"),
        ("http://[::1]:7860/", "http://[::1]:7860"),
    ],
)
def test_what_people_copy_along_with_an_address_is_left_out(typed: str, url: str) -> None:
    assert find_server(typed, None, {}).url == url


@pytest.mark.parametrize("typed", ["ftp://host", "http://", "http://host:port", "http://a b", "http://[::1"])
def test_what_is_no_address_is_told(typed: str) -> None:
    with pytest.raises(ConfigError, match="is no address of a gateway; write it like http://"):
        find_server(typed, None, {})


@pytest.mark.parametrize("key", ["schlüssel", "two words", "line\nbreak"])
def test_key_that_no_header_can_carry_is_told(key: str) -> None:
    with pytest.raises(ConfigError, match="visible ASCII"):
        find_server("http://a", key, {})


def test_paths_stand_below_the_path_of_the_address() -> None:
    assert Server("https://host/gate").target("/v1/models") == "/gate/v1/models"
    assert Server("https://host").target("/v1/models") == "/v1/models"


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (422, b'{"success":false,"error":"it is empty","documents":[]}', "it is empty"),
        (400, b'{"workspace":null,"message":"name cannot be null"}', "name cannot be null"),
        (500, b'{"error":null,"message":"no room"}', "no room"),
        (429, b'{"error":{"message":"slower, please","code":"rate_limited"}}', "slower, please"),
        (400, b"Bad Request", "the gateway answers this with 400 Bad Request"),
        (403, b'{"error":"No valid api key found."}', "http://a wants a key; give it with --key KEY"),
        (403, b'{"success":false,"error":"Deletion is blocked."}', "Deletion is blocked."),
        (404, b"<html>", "http://a answers, but not like a Tidegate"),
        (404, b'["x"]', "http://a answers, but not like a Tidegate"),
    ],
)
def test_errors_of_workspaces_are_told_in_their_own_words(status: int, body: bytes, told: str) -> None:
    assert workspace_refusal(Server("http://a"), status, body).message.startswith(told)
