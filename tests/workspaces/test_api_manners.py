"""How AnythingLLM's paths take keys, bodies, slashes and pages of other origins."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.raw_http import fetch
from tests.workspaces.conftest import Member

NO_KEY = {"error": "No valid api key found."}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token", "Anything", "API-Key"])
def test_any_word_may_stand_before_the_key(member: Member, scheme: str) -> None:
    response = member.ask("GET", "/auth", headers={"Authorization": f"{scheme} {member.key}"})
    assert (response.status, response.json) == (200, {"authenticated": True})


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": ""}, {"Authorization": "Bearer"}]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/auth"),
        ("GET", "/workspaces"),
        ("POST", "/workspace/new"),
        ("POST", "/document/upload"),
        ("GET", "/documents"),
        ("DELETE", "/system/remove-documents"),
        ("GET", "/admin/users"),
        ("POST", "/workspace/any/chat"),
        ("POST", "/workspace/any/stream-chat"),
        ("POST", "/workspace/any/thread/t/stream-chat"),
        ("GET", "/openai/models"),
        ("GET", "/embed"),
    ],
)
def test_without_a_key_nothing_is_told(
    member: Member, method: str, path: str, headers: dict[str, str]
) -> None:
    body = b"{}" if method == "POST" else None
    response = fetch(member.gateway.address, method, f"/api/v1{path}", body, headers)
    assert (response.status, response.json) == (403, NO_KEY)


@pytest.mark.parametrize("kind", ["text/plain", "text/plain;charset=UTF-8", "", "application/octet-stream"])
def test_json_may_come_as_anything(member: Member, kind: str) -> None:
    body = json.dumps({"name": "Plain"}).encode()
    response = member.ask("POST", "/workspace/new", body, {"Content-Type": kind})
    assert response.json["workspace"]["slug"].startswith("plain")
    asked = member.ask(
        "POST", "/workspace/plain/chat", b'{"message": "hi", "mode": "query"}', {"Content-Type": kind}
    )
    assert asked.json["type"] == "textResponse"


@pytest.mark.parametrize("path", ["/api/v1/auth/", "//api//v1/auth", "/api/v1//auth//", "/v1/api/v1/auth"])
def test_slashes_do_not_matter(member: Member, path: str) -> None:
    headers = {"Authorization": f"Bearer {member.key}"}
    assert fetch(member.gateway.address, "GET", path, headers=headers).json == {"authenticated": True}


def test_slashes_do_not_matter_where_chats_are(member: Member) -> None:
    member.new("Slashes")
    headers = {"Authorization": f"Bearer {member.key}"}
    for path in ("/api/v1/workspace/slashes/chat/", "//api/v1//workspace/slashes/chat"):
        body: dict[str, Any] = {"message": "hi", "mode": "query"}
        assert fetch(member.gateway.address, "POST", path, body, headers).json["type"] == "textResponse"


@pytest.mark.parametrize("path", ["/auth", "/workspaces", "/documents"])
def test_heads_have_no_body(member: Member, path: str) -> None:
    response = member.ask("HEAD", path)
    assert (response.status, response.body) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/workspace/new/chat"), ("PUT", "/workspace/a/stream-chat"), ("PATCH", "/workspaces")],
)
def test_a_wrong_method_is_told(member: Member, method: str, path: str) -> None:
    response = member.ask(method, path)
    assert response.status == 405
    assert response.head.get("allow")
    assert list(response.json) == ["id", "type", "textResponse", "sources", "close", "error"]


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/workspace/a/chat", {"POST"}),
        ("/workspace/a", {"GET", "HEAD", "DELETE"}),
        ("/embed/a", {"POST", "DELETE"}),
        ("/workspace/a/thread/t", {"DELETE"}),
        ("/workspace/new", {"POST"}),
    ],
)
def test_every_method_that_there_is_is_allowed(member: Member, path: str, allow: set[str]) -> None:
    told = member.ask("PROPFIND", path).head.get("allow") or ""
    assert set(told.split(", ")) == allow


@pytest.mark.parametrize("slash", ["%2F", "%2f"])
def test_a_slash_in_a_name_leads_to_no_other_route(member: Member, slash: str) -> None:
    """A client that encodes what its own user calls a workspace asks for that workspace."""
    member.new("Steps")
    thread = member.post("/workspace/steps/thread/new", slug="t")["thread"]["slug"]
    name = f"steps{slash}thread{slash}{thread}"
    assert member.ask("DELETE", f"/workspace/{name}").body == b"Bad Request"
    assert member.ask("POST", f"/workspace/{name}/update", {"name": "Other"}).body == b"Bad Request"
    assert member.get(f"/workspace/steps{slash}chats") == {"workspace": []}
    assert member.get("/workspace/steps")["workspace"][0]["threads"] == [{"user_id": None, "slug": "t"}]


@pytest.mark.parametrize("slash", ["/", "%2F", "%2f"])
def test_a_document_is_named_by_its_path_in_either_form(member: Member, slash: str) -> None:
    told = member.post("/document/raw-text", textContent="Tides turn.", metadata={"title": "Tides"})
    location = told["documents"][0]["location"]
    assert member.get(f"/document/{location.replace('/', slash)}")["document"]["title"] == "Tides"


def test_what_is_not_there_is_told(member: Member) -> None:
    response = member.ask("GET", "/nothing/here")
    assert (response.status, response.json["type"]) == (404, "abort")


@pytest.mark.parametrize("path", ["/workspaces", "/workspace/a/stream-chat", "/document/upload"])
def test_pages_of_other_origins_may_ask_with_a_key(member: Member, path: str) -> None:
    origin = {"Origin": "https://page.example"}
    asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-mine"}
    preflight = fetch(member.gateway.address, "OPTIONS", f"/api/v1{path}", headers=asked)
    assert preflight.status == 204
    assert preflight.head.get("access-control-allow-origin") == "*"
    assert "x-mine" in (preflight.head.get("access-control-allow-headers") or "")
    response = member.ask("GET", path, headers=origin)
    assert response.head.get("access-control-allow-origin") == "*"


def test_refusals_are_readable_from_other_origins(member: Member) -> None:
    for method, path in (("GET", "/api/v1/workspaces"), ("POST", "/api/v1/workspace/a/chat")):
        response = fetch(member.gateway.address, method, path, b"{}", {"Origin": "https://page.example"})
        assert response.status == 403
        assert response.head.get("access-control-allow-origin") == "*"
