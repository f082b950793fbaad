"""AnythingLLM's routes of workspaces, as its clients ask them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.fixtures import StartGateway
from tests.raw_http import fetch
from tests.workspaces.conftest import Member, in_store, workspaces_config
from tidegate.access.keys import digest_of
from tidegate.server.anythingllm import paths
from tidegate.server.anythingllm.workspaces import WorkspaceEndpoints
from tidegate.store.chats import ChatStore
from tidegate.store.database import Database
from tidegate.store.embeds import EmbedStore
from tidegate.store.keys import KeyRow, insert_key
from tidegate.store.workspaces import Workspace, WorkspaceStore
from tidegate.workspaces.document import Hit
from tidegate.workspaces.service import Knowledge, KnownDocument, Rules, Workspaces

UNKNOWN_KEY = {"Authorization": "Bearer sk-unknown"}


def test_ping_and_env_dump_need_no_key(member: Member) -> None:
    for path, body in (("/api/ping", b'{"online":true}'), ("/api/v1/system/env-dump", b"OK")):
        for spelled in (path, path + "/", path.replace("/", "//"), "/v1" + path):
            response = fetch(member.gateway.address, "GET", spelled)
            assert (response.status, response.body) == (200, body)


def test_a_key_is_looked_at(member: Member) -> None:
    response = member.ask("GET", "/auth")
    assert (response.status, response.body) == (200, b'{"authenticated":true}')
    for headers in ({}, UNKNOWN_KEY):
        for method, path in (("GET", "/auth"), ("GET", "/workspaces"), ("POST", "/workspace/new")):
            refused = fetch(member.gateway.address, method, f"/api/v1{path}", headers=headers)
            assert refused.status in (401, 403)


def test_a_workspace_is_made(member: Member) -> None:
    told = member.post("/workspace/new", name="My docs", topN="7", chatMode="query", color="red")
    workspace = told["workspace"]
    assert list(told) == ["workspace", "message"]
    assert told["message"] is None
    assert list(workspace)[:5] == ["id", "name", "slug", "vectorTag", "createdAt"]
    assert (workspace["name"], workspace["slug"], workspace["topN"]) == ("My docs", "my-docs", 7)
    assert (workspace["chatMode"], workspace["openAiHistory"]) == ("query", 20)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", workspace["createdAt"])
    assert "color" not in workspace
    assert re.fullmatch(r"my-docs-\d{8}", member.new("My docs")["slug"])
    assert UUID(member.new("你好世界")["slug"])
    assert member.new("你好世界")["name"] == "你好世界"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"name":null}', b'{"name":""}', b'{"name":0}'])
def test_a_workspace_without_a_name_is_refused(member: Member, body: bytes) -> None:
    response = member.ask("POST", "/workspace/new", body)
    assert response.status == 400
    assert response.body == b'{"workspace":null,"message":"name cannot be null"}'


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"name"', b"null", b"name=x", b"[" * 50_000, b'{"name":"\xff"}']
)
def test_a_body_that_is_no_object_is_refused(member: Member, body: bytes) -> None:
    made = member.new()
    for path in ("/workspace/new", f"/workspace/{made['slug']}/update", "/embed/new"):
        response = member.ask("POST", path, body)
        assert response.status == 400
        assert b"the body" in response.body
    assert len(member.get("/workspaces")["workspaces"]) == 1


def test_a_body_over_the_limit_is_refused(member: Member) -> None:
    assert member.ask("POST", "/workspace/new", b'{"name":"%b"}' % (b"x" * 300_000)).status == 413


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "multipart/form-data"])
def test_json_is_read_under_any_content_type(member: Member, content_type: str) -> None:
    response = member.ask("POST", "/workspace/new", b'{"name":"A"}', {"Content-Type": content_type})
    assert (response.status, response.json["workspace"]["slug"]) == (200, "a")


def test_odd_values_are_read_as_anythingllm_reads_them(member: Member) -> None:
    made = member.new(
        "x" * 1000, topN=10**30, openAiTemp=[], similarityThreshold="9", chatMode=7, openAiPrompt={}
    )
    assert len(made["name"]) == 255
    assert len(made["slug"]) <= 200
    assert (made["topN"], made["openAiTemp"], made["similarityThreshold"]) == (2**31 - 1, None, 1)
    assert (made["chatMode"], made["openAiPrompt"]) == ("automatic", None)
    odd = member.ask("POST", "/workspace/new", b'\xef\xbb\xbf{"name":"a\\u0000\\ud800","topN":1e999}')
    assert (odd.status, odd.json["workspace"]["name"]) == (200, "a?")
    assert member.new(["a"])["name"] == "My Workspace"  # type: ignore[arg-type]


def test_workspaces_are_listed_with_their_threads(member: Member) -> None:
    assert member.get("/workspaces") == {"workspaces": []}
    first, second = member.new("One"), member.new("Two")
    member.post("/workspace/one/thread/new", name="Talk", slug="talk")
    threads = [{"user_id": None, "slug": "talk", "name": "Talk"}]
    assert member.get("/workspaces") == {
        "workspaces": [{**first, "threads": threads}, {**second, "threads": []}]
    }


def test_one_workspace_is_a_list(member: Member) -> None:
    made = member.new("One")
    member.post("/workspace/one/thread/new", slug="talk")
    [one] = member.get("/workspace/one")["workspace"]
    more = one.pop("contextWindow")
    assert more is None or more > 0
    assert one == {
        **made,
        "documents": [],
        "threads": [{"user_id": None, "slug": "talk"}],
        "currentContextTokenCount": 0,
    }
    for unknown in ("One", "none", "%00", "a%2Fb", "new"):
        response = member.ask("GET", f"/workspace/{unknown}")
        assert (response.status, response.body) == (200, b'{"workspace":[]}')


def test_an_update_changes_settings_and_name(member: Member) -> None:
    made = member.new("One", topN=2)
    told = member.post("/workspace/one/update", name="Two", openAiTemp="0.5", slug="x", unknown=1)
    assert list(told) == ["workspace", "message"]
    changed = told["workspace"]
    assert changed["lastUpdatedAt"] >= made["lastUpdatedAt"]
    changed["lastUpdatedAt"] = made["lastUpdatedAt"]
    assert changed == {**made, "name": "Two", "openAiTemp": 0.5}
    nothing = member.post("/workspace/one/update", slug="x", unknown=1)
    assert nothing == {"workspace": {"id": made["id"]}, "message": "No valid fields to update!"}
    assert member.post("/workspace/one/update", topN=None)["workspace"]["topN"] == 4
    response = member.ask("POST", "/workspace/none/update", {"name": "x"})
    assert (response.status, response.body) == (400, b"Bad Request")


def test_a_workspace_is_deleted(member: Member) -> None:
    made = member.new("One")
    member.add_chat(made["id"])
    response = member.ask("DELETE", "/workspace/one")
    assert (response.status, response.body) == (200, b"OK")
    assert (response.head.get("content-type") or "").startswith("text/plain")
    assert member.get("/workspaces") == {"workspaces": []}
    assert member.post("/admin/workspace-chats")["chats"] == []
    again = member.ask("DELETE", "/workspace/one")
    assert (again.status, again.body) == (400, b"Bad Request")


def test_history_is_told_as_questions_and_answers(member: Member) -> None:
    made = member.new("One")
    sources = [{"id": "1", "text": "T", "score": 0.5}]
    attachments = [{"name": "a.png", "mime": "image/png", "contentString": "data:image/png;base64,AA=="}]
    response = {
        "text": "Because 世界.",
        "type": "query",
        "sources": sources,
        "attachments": attachments,
        "metrics": {"total_tokens": 3},
        "outputs": ["x"],
    }
    number = member.add_chat(made["id"], "Why?", response=response)
    member.add_chat(made["id"], "In a session", session="s1")
    member.add_chat(made["id"], "Hidden", include=False)
    member.add_chat(made["id"], "Broken", response={})
    last = member.add_chat(made["id"], "Last", response={"text": "", "metrics": None})
    history = member.get("/workspace/one/chats")["history"]
    assert [list(each) for each in history[:2]] == [
        ["role", "content", "sentAt", "attachments", "chatId"],
        ["type", "role", "content", "sources", "chatId", "sentAt", "feedbackScore", "metrics", "outputs"],
    ]
    assert history == [
        {
            "role": "user",
            "content": "Why?",
            "sentAt": 1_800_000_000,
            "attachments": attachments,
            "chatId": number,
        },
        {
            "type": "query",
            "role": "assistant",
            "content": "Because 世界.",
            "sources": sources,
            "chatId": number,
            "sentAt": 1_800_000_000,
            "feedbackScore": None,
            "metrics": {"total_tokens": 3},
            "outputs": ["x"],
        },
        {"role": "user", "content": "Last", "sentAt": 1_800_000_000, "attachments": [], "chatId": last},
        {
            "type": "chat",
            "role": "assistant",
            "content": "",
            "sources": [],
            "chatId": last,
            "sentAt": 1_800_000_000,
            "feedbackScore": None,
            "metrics": {},
        },
    ]
    [asked, _] = member.get("/workspace/one/chats?apiSessionId=s1")["history"]
    assert asked["content"] == "In a session"
    [asked, _] = member.get("/workspace/one/chats?limit=1&orderBy=desc")["history"]
    assert asked["content"] == "Last"
    for odd in ("limit=-3", "limit=x&orderBy=up", "limit=" + "9" * 400):
        assert member.get(f"/workspace/one/chats?{odd}")["history"][0]["content"] == "Why?"
    unknown = member.ask("GET", "/workspace/none/chats")
    assert (unknown.status, unknown.body) == (400, b"Bad Request")


def test_searching_nothing_says_so(member: Member) -> None:
    member.new("One")
    response = member.ask("POST", "/workspace/none/vector-search", {"query": "x"})
    assert (response.status, response.json) == (400, {"message": "Workspace none is not a valid workspace."})
    for query in ("", None, 7, ["x"]):
        response = member.ask("POST", "/workspace/one/vector-search", {"query": query})
        assert (response.status, response.json) == (400, {"message": "Query parameter cannot be empty."})
    assert member.post("/workspace/one/vector-search", query="x") == {
        "results": [],
        "message": "No embeddings found for this workspace.",
    }


class _Document:
    """A document as a reader of its passages sees it."""

    def __init__(self) -> None:
        self.id = "d1"
        self.facts = {"url": "file://a.pdf", "title": "a.pdf", "docAuthor": "Ann", "published": "2026"}
        self.words = 12
        self.tokens = 17


class _Library:
    """One document in every workspace; notes what is searched for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int, float]] = []

    async def document(self, name: str) -> KnownDocument | None:
        return _Document() if name == "d1" else None

    async def passages(self, workspace: int) -> int:
        return 3

    async def search(
        self,
        workspace: Workspace,
        query: str,
        top: int,
        threshold: float,
        without: frozenset[str] = frozenset(),
    ) -> Sequence[Hit]:
        self.asked.append((workspace.slug, query, top, threshold))
        gone = Hit(passage=8, document="deleted", number=0, text="gone", score=0.9)
        return [gone, Hit(passage=7, document="d1", number=0, text="Text", score=0.75)]


def test_a_search_tells_what_was_found(member: Member, tmp_path: Path) -> None:
    made = member.new("One", topN=6, similarityThreshold=0.1)
    library = _Library()
    bodies = [
        {"query": "x"},
        {"query": "x", "topN": "2", "scoreThreshold": "0.75"},
        {"query": "x", "topN": 0, "scoreThreshold": 7},
        {"query": "x", "topN": 10**9, "scoreThreshold": 0},
    ]

    async def main(workspaces: WorkspaceStore, chats: ChatStore) -> Sequence[Any]:
        embeds = EmbedStore(Database(tmp_path / "none.db"), lambda: 0)
        none: Any = None
        kept = Workspaces(workspaces, chats, embeds, cast(Knowledge, library), none, none, Rules())
        endpoints = WorkspaceEndpoints(kept, lambda: 10_000, lambda *_: None)
        inner = Starlette(routes=[Route(paths.VECTOR_SEARCH, endpoints.vector_search, methods=["POST"])])
        found = await workspaces.by_id(made["id"])
        assert found is not None
        caller = SimpleNamespace(id=found.owner, workspaces=None)

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await inner({**scope, "tidegate.caller": caller}, receive, send)

        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [
                (await client.post("/api/v1/workspace/one/vector-search", json=body)).json()
                for body in bodies
            ]

    first, *_ = in_store(member.gateway, main)
    assert json.dumps(first) == json.dumps(
        {
            "results": [
                {
                    "id": "7",
                    "text": "Text",
                    "metadata": {
                        "url": "file://a.pdf",
                        "title": "a.pdf",
                        "author": "Ann",
                        "description": "",
                        "docSource": "",
                        "chunkSource": "",
                        "published": "2026",
                        "wordCount": 12,
                        "tokenCount": 17,
                    },
                    "distance": 0.25,
                    "score": 0.75,
                }
            ]
        }
    )
    assert library.asked == [
        ("one", "x", 6, 0.1),
        ("one", "x", 2, 0.75),
        ("one", "x", 6, 0.1),
        ("one", "x", 1000, 0.0),
    ]


def test_callers_do_not_see_each_other(member: Member, other: Member) -> None:
    made = member.new("One")
    member.post("/workspace/one/thread/new", slug="talk")
    embed = member.post("/embed/new", workspace_slug="one")["embed"]
    member.add_chat(made["id"])
    member.add_chat(made["id"], embed=embed["id"], session="s")
    assert other.get("/workspaces") == {"workspaces": []}
    assert other.get("/workspace/one") == {"workspace": []}
    assert other.get("/openai/models")["data"] == []
    assert other.get("/openai/vector_stores")["data"] == []
    assert other.get("/embed") == {"embeds": []}
    assert other.get(f"/embed/{embed['uuid']}/chats") == {"chats": []}
    assert other.post("/admin/workspace-chats") == {"chats": [], "hasPages": False}
    assert other.get("/system/export-chats?type=json") == []
    for method, path, status in (
        ("DELETE", "/workspace/one", 400),
        ("POST", "/workspace/one/update", 400),
        ("GET", "/workspace/one/chats", 400),
        ("POST", "/workspace/one/vector-search", 400),
        ("POST", "/workspace/one/thread/new", 400),
        ("DELETE", "/workspace/one/thread/talk", 400),
        ("POST", "/workspace/one/thread/talk/update", 404),
        ("GET", "/workspace/one/thread/talk/chats", 404),
        ("POST", f"/embed/{embed['uuid']}", 404),
        ("DELETE", f"/embed/{embed['uuid']}", 404),
    ):
        assert other.ask(method, path, {"name": "x", "query": "x"}).status == status
    assert other.ask("POST", "/embed/new", {"workspace_slug": "one"}).status == 404
    assert other.new("One")["slug"] == "one"
    assert member.get("/workspace/one")["workspace"][0]["id"] == made["id"]


def test_a_key_for_some_workspaces_sees_no_others(start_gateway: StartGateway) -> None:
    gateway = start_gateway(workspaces_config())
    whole = _stored_key(gateway.folder, "whole", None)
    narrow = _stored_key(gateway.folder, "narrow", ["one"])
    all_, some = Member(gateway, whole), Member(gateway, narrow)
    for name in ("One", "Two"):
        made = all_.new(name)
        all_.add_chat(made["id"], name)
    embed = all_.post("/embed/new", workspace_slug="two")["embed"]
    assert [each["slug"] for each in some.get("/workspaces")["workspaces"]] == ["one"]
    assert some.get("/workspace/two") == {"workspace": []}
    assert [each["id"] for each in some.get("/openai/models")["data"]] == ["one"]
    assert [each["id"] for each in some.get("/openai/vector_stores")["data"]] == ["one"]
    assert [each["prompt"] for each in some.post("/admin/workspace-chats")["chats"]] == ["One"]
    assert [each["prompt"] for each in some.get("/system/export-chats?type=json")] == ["One"]
    lines = some.ask("GET", "/system/export-chats").body.splitlines()
    assert len(lines) == 1
    assert some.get("/embed") == {"embeds": []}
    assert some.ask("DELETE", f"/embed/{embed['uuid']}").status == 404
    assert some.ask("POST", "/embed/new", {"workspace_slug": "two"}).status == 404
    assert some.ask("POST", "/workspace/two/update", {"name": "x"}).status == 400
    assert some.ask("DELETE", "/workspace/two").status == 400
    assert some.ask("POST", "/workspace/new", {"name": "Three"}).status == 403
    assert some.post("/workspace/one/update", name="First")["workspace"]["name"] == "First"
    assert len(all_.get("/workspaces")["workspaces"]) == 2


def _stored_key(folder: Path, name: str, workspaces: list[str] | None) -> str:
    """A key of the store, of the same caller as all others that this makes."""
    key = f"tg-{name}"

    async def main() -> None:
        database = Database(folder / "tidegate.db")
        await database.open()
        row = KeyRow(name, "caller-1", name, digest_of(key), key, 1, workspaces=workspaces)
        await database.run(lambda connection: insert_key(connection, row))
        await database.close()

    asyncio.run(main())
    return key


def test_deletion_can_be_blocked(start_gateway: StartGateway) -> None:
    environment = {"WORKSPACE_DELETION_PROTECTION": "1"}
    gateway = start_gateway(workspaces_config(), environment=environment)
    member = Member(gateway, "sk-workspace-0")
    member.new("One")
    response = member.ask("DELETE", "/workspace/one")
    assert response.status == 403
    assert response.json == {
        "success": False,
        "error": "Workspace deletion is blocked by the system administrator.",
    }
    assert len(member.get("/workspaces")["workspaces"]) == 1


def test_all_of_it_outlives_a_restart(start_gateway: StartGateway, tmp_path: Path) -> None:
    member = Member(start_gateway(workspaces_config()), "sk-workspace-0")
    made = member.new("你好", openAiPrompt="世界")
    slug = made["slug"]
    member.post(f"/workspace/{slug}/thread/new", name="T", slug="t")
    member.post("/embed/new", workspace_slug=slug)
    member.add_chat(made["id"])
    reads = ("/workspaces", f"/workspace/{slug}", f"/workspace/{slug}/chats", "/embed", "/openai/models")
    before = [member.get(path) for path in reads]
    member.gateway.stop()
    store = tmp_path / "gateway-0" / "tidegate.db"
    again = Member(start_gateway(workspaces_config(store=f"sqlite:///{store}")), "sk-workspace-0")
    assert [again.get(path) for path in reads] == before


def test_without_keys_only_this_machine_is_served(start_gateway: StartGateway) -> None:
    gateway = start_gateway(None)
    assert fetch(gateway.address, "GET", "/api/v1/auth").json == {"authenticated": True}
    for path in ("/api/ping", "/api/v1/workspaces", "/api/embed/x/y"):
        assert fetch(gateway.address, "GET", path, headers={"Host": "gateway.example"}).status == 403


@pytest.mark.parametrize("path", ["/workspace/one", "/auth", "/embed/new", "/nothing", "/openai/models"])
def test_another_method_or_path_is_refused(member: Member, path: str) -> None:
    assert member.ask("PUT", path).status in (404, 405)
