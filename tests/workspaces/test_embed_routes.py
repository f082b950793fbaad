"""AnythingLLM's routes of embeds, with a key and without one."""

from __future__ import annotations

import json

import pytest

from tests.raw_http import fetch
from tests.workspaces.conftest import Member


def test_an_embed_lives_and_dies(member: Member) -> None:
    workspace = member.new("One")
    told = member.post(
        "/embed/new",
        workspace_slug="one",
        chat_mode="chat",
        allowlist_domains=["example.com"],
        allow_model_override=True,
        max_chats_per_day="100",
        max_chats_per_session=-1,
        unknown=1,
    )
    embed = told["embed"]
    assert list(told) == ["embed", "error"]
    uuid = embed.pop("uuid")
    created = embed.pop("createdAt")
    assert embed == {
        "id": embed["id"],
        "enabled": True,
        "chat_mode": "chat",
        "allowlist_domains": '["https://example.com"]',
        "allow_model_override": True,
        "allow_temperature_override": False,
        "allow_prompt_override": False,
        "max_chats_per_day": 100,
        "max_chats_per_session": None,
        "message_limit": None,
        "workspace_id": workspace["id"],
        "createdBy": None,
        "usersId": None,
    }
    listed = {
        "id": embed["id"],
        "uuid": uuid,
        "enabled": True,
        "chat_mode": "chat",
        "createdAt": created,
        "workspace": {"id": workspace["id"], "name": "One"},
        "chat_count": 0,
    }
    assert member.get("/embed") == {"embeds": [listed]}
    assert member.post(f"/embed/{uuid}", enabled=False, chat_mode="odd") == {"success": True, "error": None}
    assert member.get("/embed") == {"embeds": [{**listed, "enabled": False, "chat_mode": "query"}]}
    nothing = member.post(f"/embed/{uuid}", unknown=1)
    assert nothing == {"success": False, "error": "No valid fields to update!"}
    assert member.ask("DELETE", f"/embed/{uuid}").json == {"success": True, "error": None}
    for method in ("POST", "DELETE"):
        response = member.ask(method, f"/embed/{uuid}", {"enabled": True})
        assert (response.status, response.json) == (404, {"error": "Embed not found"})


@pytest.mark.parametrize(
    ("slug", "status"), [(None, 400), ("", 400), (7, 400), (["one"], 400), ("none", 404), ("One", 404)]
)
def test_an_embed_needs_a_workspace(member: Member, slug: object, status: int) -> None:
    member.new("One")
    response = member.ask("POST", "/embed/new", {"workspace_slug": slug})
    assert response.status == status
    assert list(response.json) == ["error"]


def test_chats_of_an_embed_are_apart(member: Member) -> None:
    workspace = member.new("One")
    embed = member.post("/embed/new", workspace_slug="one")["embed"]
    first = member.add_chat(workspace["id"], "First", embed=embed["id"], session="s1")
    member.add_chat(workspace["id"], "Second", embed=embed["id"], session="s2")
    chats = member.get(f"/embed/{embed['uuid']}/chats")["chats"]
    assert [(each["session_id"], each["prompt"]) for each in chats] == [("s1", "First"), ("s2", "Second")]
    [one] = member.get(f"/embed/{embed['uuid']}/chats/s1")["chats"]
    assert list(one) == ["id", "prompt", "response", "createdAt"]
    assert one["id"] == first
    assert json.loads(one["response"])["text"] == "Because."
    assert member.get("/embed")["embeds"][0]["chat_count"] == 2
    assert member.get(f"/embed/{embed['uuid']}/chats/none") == {"chats": []}
    assert member.get("/embed/none/chats") == {"chats": []}
    assert member.get("/workspace/one/chats") == {"history": []}
    assert member.post("/admin/workspace-chats")["chats"] == []
    assert member.get("/system/export-chats?type=json") == []


def test_a_visitor_needs_no_key(member: Member) -> None:
    workspace = member.new("One")
    embed = member.post("/embed/new", workspace_slug="one")["embed"]
    member.add_chat(workspace["id"], "First", embed=embed["id"], session="s1")
    member.add_chat(workspace["id"], "Second", embed=embed["id"], session="s2")
    member.add_chat(workspace["id"], "Not theirs", session="s1")
    address, path = member.gateway.address, f"/api/embed/{embed['uuid']}/s1"
    [asked, _] = fetch(address, "GET", path).json["history"]
    assert asked["content"] == "First"
    deleted = fetch(address, "DELETE", path)
    assert (deleted.status, deleted.body) == (200, b"")
    assert fetch(address, "GET", path).json == {"history": []}
    assert len(fetch(address, "GET", f"/api/embed/{embed['uuid']}/s2").json["history"]) == 2
    assert len(member.get("/workspace/one/chats?apiSessionId=s1")["history"]) == 2
    assert len(member.get(f"/embed/{embed['uuid']}/chats")["chats"]) == 2  # the owner keeps them
    for method in ("GET", "DELETE"):
        unknown = fetch(address, method, "/api/embed/none/s1")
        assert (unknown.status, unknown.body) == (404, b"Not Found")
