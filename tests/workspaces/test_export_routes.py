"""Chats as files and pages, and workspaces in the forms of OpenAI's lists."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from tests.workspaces.conftest import Member, in_store
from tidegate.store.chats import ChatStore, NewChat
from tidegate.store.workspaces import WorkspaceStore
from tidegate.workspaces.settings import DEFAULT_PROMPT

IMAGE = {"name": "a.png", "mime": "image/png", "contentString": "AA=="}
AWKWARD = 'He said "why",\nthen 世界\u2028 left'


def filled(member: Member) -> tuple[int, int]:
    """Two workspaces, of which the second one's chats lie around the first one's."""
    first, second = member.new("One", openAiPrompt="Be brief."), member.new("Two")
    member.add_chat(second["id"], "a", session="s")
    response = {"text": AWKWARD, "sources": [{"text": "T"}], "attachments": [IMAGE]}
    member.add_chat(first["id"], AWKWARD, response=response)
    member.add_chat(second["id"], "c", response={"text": None})
    return first["id"], second["id"]


def test_an_export_is_read_by_what_reads_its_type(member: Member) -> None:
    filled(member)
    response = member.ask("GET", "/system/export-chats?type=csv")
    assert (response.head.get("content-type") or "").startswith("text/csv")
    rows = list(csv.reader(io.StringIO(response.body.decode())))
    assert rows[0] == ["id", "workspace", "prompt", "response", "sent_at", "username", "rating"]
    assert [row[1:4] for row in rows[1:]] == [
        ["Two", "a", "Because."],
        ["One", AWKWARD.replace("\n", " "), AWKWARD.replace("\n", " ")],
        ["Two", "c", ""],
    ]
    assert [row[4:] for row in rows[1:2]] == [["2027-01-15T08:00:00.123Z", "API", "--"]]
    response = member.ask("GET", "/system/export-chats?type=json")
    assert response.head.get("content-type") == "application/json"
    assert response.body == json.dumps(response.json, indent=4).encode()
    assert list(response.json[1]) == [
        "id",
        "prompt",
        "response",
        "sent_at",
        "attachments",
        "workspace",
        "username",
        "rating",
    ]
    assert response.json[1]["prompt"] == AWKWARD
    assert response.json[1]["attachments"] == [{"type": "image", "image": "data:image/png;base64,AA=="}]
    assert [each["username"] for each in response.json] == ["API", "unknown user", "unknown user"]


def test_an_export_to_train_on(member: Member) -> None:
    filled(member)
    response = member.ask("GET", "/system/export-chats")
    assert response.head.get("content-type") == "application/jsonl"
    one, two = [json.loads(line) for line in response.body.decode().splitlines()]
    assert [each["role"] for each in two["messages"]] == ["system", *["user", "assistant"] * 2]
    assert two["messages"][0]["content"] == [{"type": "text", "text": DEFAULT_PROMPT}]
    assert one["messages"] == [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": AWKWARD},
                {"type": "image", "image": "data:image/png;base64,AA=="},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": AWKWARD}]},
    ]
    alpaca = member.get("/system/export-chats?type=jsonAlpaca")
    assert alpaca[0] == {"instruction": DEFAULT_PROMPT, "input": "a", "output": "Because."}
    assert alpaca[1]["instruction"] == "Be brief.\nContext:\n[CONTEXT 0]:\nT\n[END CONTEXT 0]\n\n"


def test_an_export_of_nothing(member: Member) -> None:
    for wanted, body in (("jsonl", b""), ("json", b"[]"), ("jsonAlpaca", b"[]")):
        response = member.ask("GET", f"/system/export-chats?type={wanted}")
        assert (response.status, response.body) == (200, body)
    response = member.ask("GET", "/system/export-chats?type=xml")
    assert (response.status, response.json) == (400, {"message": "Invalid export type: xml"})


def test_a_long_export_is_whole(member: Member) -> None:
    workspace = member.new("One")["id"]

    async def fill(_: WorkspaceStore, chats: ChatStore) -> None:
        for number in range(450):
            await chats.add(NewChat(workspace=workspace, prompt=str(number), response={"text": "r"}))

    in_store(member.gateway, fill)
    expected = [str(number) for number in range(450)]
    assert [each["prompt"] for each in member.get("/system/export-chats?type=json")] == expected
    [line] = member.ask("GET", "/system/export-chats").body.splitlines()
    asked = [each for each in json.loads(line)["messages"] if each["role"] == "user"]
    assert [each["content"][0]["text"] for each in asked] == expected


def test_chats_come_in_pages(member: Member) -> None:
    workspace = member.new("One")["id"]

    async def fill(_: WorkspaceStore, chats: ChatStore) -> None:
        for number in range(21):
            await chats.add(
                NewChat(workspace=workspace, prompt=str(number), response={"text": "r"}, session="s")
            )

    in_store(member.gateway, fill)
    first = member.post("/admin/workspace-chats")
    assert [each["prompt"] for each in first["chats"]] == [str(number) for number in range(20, 0, -1)]
    assert first["hasPages"] is True
    second = member.post("/admin/workspace-chats", offset="1")
    assert second["hasPages"] is False
    [chat] = second["chats"]
    assert chat == {
        "id": chat["id"],
        "workspaceId": workspace,
        "prompt": "0",
        "response": '{"text":"r"}',
        "include": True,
        "user_id": None,
        "createdAt": "2027-01-15T08:00:00.123Z",
        "lastUpdatedAt": "2027-01-15T08:00:00.123Z",
        "thread_id": None,
        "api_session_id": "s",
        "feedbackScore": None,
        "workspace": {"name": "One", "slug": "one"},
        "user": {"username": "API"},
    }
    odds: tuple[Any, ...] = (-1, "x", None, [], 10**30)
    for odd in odds:
        assert member.ask("POST", "/admin/workspace-chats", {"offset": odd}).status == 200


def test_workspaces_are_listed_as_models_and_vector_stores(member: Member) -> None:
    assert member.get("/openai/vector_stores") == {
        "first_id": None,
        "last_id": None,
        "data": [],
        "has_more": False,
    }
    for name in ("One", "Two"):
        member.new(name)
    models = member.get("/openai/models")
    created = models["data"][0]["created"]
    assert isinstance(created, int)
    assert models["object"] == "list"
    assert models["data"][0] == {"id": "one", "object": "model", "created": created, "owned_by": "openai"}
    stores = member.get("/openai/vector_stores")
    assert list(stores) == ["first_id", "last_id", "data", "has_more"]
    assert (stores["first_id"], stores["last_id"], stores["has_more"]) == ("one", "two", False)
    assert stores["data"][1] == {
        "id": "two",
        "object": "vector_store",
        "name": "Two",
        "file_counts": {"total": 0},
        "provider": "lancedb",
    }
    assert member.get("/openai/vector_stores?after=two") == {"data": [], "has_more": False}


def test_an_export_of_one_workspace_has_its_chats_alone(member: Member, other: Member) -> None:
    filled(member)
    for wanted in ("json", "csv", "jsonl"):
        response = member.ask("GET", f"/system/export-chats?type={wanted}&workspace=two")
        assert response.status == 200
        assert b"Because." in response.body
        assert "世界" not in response.body.decode()
        assert b"\\u4e16" not in response.body
    rows = member.get("/system/export-chats?type=json&workspace=two")
    assert [(row["workspace"], row["prompt"]) for row in rows] == [("Two", "a"), ("Two", "c")]
    for asker, slug in ((member, "three"), (other, "two")):
        response = asker.ask("GET", f"/system/export-chats?workspace={slug}")
        assert (response.status, response.json) == (
            400,
            {"message": f"Workspace {slug} is not a valid workspace."},
        )
