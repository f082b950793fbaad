"""AnythingLLM's routes of threads."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest

from tests.workspaces.conftest import Member


def test_a_thread_is_made(member: Member) -> None:
    made = member.new("One")
    told = member.post("/workspace/one/thread/new", userId=1, name="Talk", slug="My Talk")
    thread = told["thread"]
    assert list(told) == ["thread", "message"]
    assert list(thread) == ["id", "name", "slug", "workspace_id", "user_id", "createdAt", "lastUpdatedAt"]
    assert (thread["name"], thread["slug"], thread["user_id"]) == ("Talk", "My-Talk", None)
    assert thread["workspace_id"] == made["id"]
    bare = member.ask("POST", "/workspace/one/thread/new", b"").json["thread"]
    assert bare["name"] == "Thread"
    assert UUID(bare["slug"])
    clash = member.post("/workspace/one/thread/new", slug="My Talk")["thread"]
    assert re.fullmatch(r"My-Talk-\d{8}", clash["slug"])
    response = member.ask("POST", "/workspace/none/thread/new", {})
    assert (response.status, response.body) == (400, b"Bad Request")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"name": ["x"], "slug": {"a": 1}, "userId": "x"}, "Thread"),
        ({"name": 7, "slug": 7, "userId": 10**30}, "7"),
        ({"name": "x" * 999, "slug": "!" * 999, "userId": -1}, "x" * 255),
        ({"name": True, "slug": "世界", "userId": []}, "Thread"),
    ],
)
def test_odd_values_of_a_thread(member: Member, body: dict[str, Any], name: str) -> None:
    member.new("One")
    thread = member.post("/workspace/one/thread/new", **body)["thread"]
    assert (thread["name"], thread["user_id"]) == (name, None)
    assert 0 < len(thread["slug"]) <= 200
    assert member.get("/workspace/one")["workspace"][0]["threads"] == [
        {"user_id": None, "slug": thread["slug"]}
    ]


def test_a_thread_is_renamed(member: Member) -> None:
    member.new("One")
    thread = member.post("/workspace/one/thread/new", slug="talk")["thread"]
    told = member.post("/workspace/one/thread/talk/update", name="New", slug="x")
    assert told["message"] is None
    told["thread"]["lastUpdatedAt"] = thread["lastUpdatedAt"]
    assert told["thread"] == {**thread, "name": "New"}
    nothing = member.post("/workspace/one/thread/talk/update", name=None)
    assert (nothing["thread"]["name"], nothing["message"]) == ("New", "No valid fields to update!")
    for path, what in (("none/thread/talk", "Workspace"), ("one/thread/none", "Thread")):
        response = member.ask("POST", f"/workspace/{path}/update", {"name": "x"})
        assert (response.status, response.json) == (404, {"message": f"{what} not found"})


def test_a_thread_has_a_history_of_its_own_and_goes_with_it(member: Member) -> None:
    made = member.new("One")
    thread = member.post("/workspace/one/thread/new", slug="talk")["thread"]
    member.add_chat(made["id"], "In the workspace")
    member.add_chat(made["id"], "In the thread", thread=thread["id"])
    [asked, answered] = member.get("/workspace/one/thread/talk/chats")["history"]
    assert (asked["content"], answered["content"]) == ("In the thread", "Because.")
    assert member.get("/workspace/one/chats")["history"][0]["content"] == "In the workspace"
    for _ in range(2):  # the second time there is none
        response = member.ask("DELETE", "/workspace/one/thread/talk")
        assert (response.status, response.body) == (200, b"OK")
    for path, what in (("none/thread/talk", "Workspace"), ("one/thread/talk", "Thread")):
        response = member.ask("GET", f"/workspace/{path}/chats")
        assert (response.status, response.json) == (404, {"message": f"{what} not found"})
    response = member.ask("DELETE", "/workspace/none/thread/talk")
    assert (response.status, response.body) == (400, b"Bad Request")
    assert len(member.post("/admin/workspace-chats")["chats"]) == 1
