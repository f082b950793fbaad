"""Enormous requests below ``/api`` keep nobody else waiting, and are told what is too much."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.workspaces.conftest import Member
from tests.workspaces.uploads import upload
from tidegate.errors import InvalidRequest
from tidegate.server.anythingllm.asked import read_object
from tidegate.wire.multipart import parts_of
from tidegate.workspaces.embeds import embed_changes

MANY = b"0," * 300_000 + b"0"


@pytest.mark.parametrize(
    "body",
    [
        b'{"name":"x","y":[' + MANY + b"]}",
        b'{"name":"x","y":{"z":[' + MANY + b"]}}",
        b'{"name":"x","y":[' + MANY,
        b'{"name":"x","y":[NaN,' + MANY + b"]}",
        b"[" + MANY + b"]",
    ],
    ids=["list", "nested", "cut", "no number", "no object"],
)
def test_hundreds_of_thousands_of_values_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_object(body)


@pytest.mark.parametrize("text", ["1,2,3\n" * 200_000, "\0," * 200_000, "x" * 2**20])
def test_a_long_text_is_taken(text: str) -> None:
    assert read_object(json.dumps({"textContent": text}).encode()) == {"textContent": text.replace("\0", "")}


def test_a_session_has_a_short_name(member: Member) -> None:
    slug = member.new("Sessions")["slug"]
    for path in ("chat", "stream-chat"):
        body = {"message": "hi", "mode": "query", "sessionId": "s" * 1001}
        response = member.ask("POST", f"/workspace/{slug}/{path}", body)
        assert (response.status, response.json["type"]) == (400, "abort")
        assert "sessionId" in response.json["error"]


def test_vectors_are_made_of_so_many_texts(member: Member) -> None:
    response = member.ask("POST", "/openai/embeddings", {"input": ["x"] * 2049})
    assert (response.status, response.json["type"]) == (400, "abort")


def test_long_metadata_says_nothing(member: Member) -> None:
    metadata = json.dumps({"title": "x" * 2**17})
    (document,) = upload(member, b"The lamp burns.", "lamp.txt", metadata=metadata).json["documents"]
    assert document["title"] == "lamp.txt"


def test_an_embed_has_some_origins() -> None:
    told: Any = embed_changes({"allowlist_domains": [f"https://a{number}.example" for number in range(2000)]})
    assert len(told["allowlist_domains"]) == 1000


def test_a_form_has_some_parts() -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
    assert len(parts_of(part * 1000 + b"--x--\r\n", b"x")) == 1000
    with pytest.raises(ValueError, match="more than 1000 parts"):
        parts_of(part * 1001 + b"--x--\r\n", b"x")
