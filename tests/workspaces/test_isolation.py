"""Nothing of one caller's is seen, searched, moved, deleted or guessed by another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.routing import compile_path

from tests.chat import text_stream
from tests.raw_http import Response, fetch
from tests.upstream import Upstream
from tests.workspaces.conftest import Member, limited_key
from tests.workspaces.uploads import BOUNDARY, multipart, upload
from tidegate.server.anythingllm import document_paths, paths
from tidegate.server.urls import CHAT_POSTS

SECRET = "The combination of the safe is nine four seven."
QUESTION = "What is the combination of the safe?"


@dataclass(frozen=True)
class Estate:
    """What the owner has."""

    owner: Member
    slug: str
    thread: str
    location: str
    name: str
    embed: str

    def whole(self) -> Any:
        """All that can be told of it by its owner."""
        return [
            self.owner.get("/workspaces"),
            self.owner.get(f"/workspace/{self.slug}"),
            self.owner.get("/documents"),
            self.owner.get("/embed"),
            self.owner.get(f"/workspace/{self.slug}/thread/{self.thread}/chats"),
            self.owner.get(f"/workspace/{self.slug}/chats"),
        ]


@pytest.fixture
def estate(asker: Member) -> Estate:
    workspace = asker.new("Vault")
    slug = workspace["slug"]
    document = asker.post(
        "/document/raw-text", textContent=SECRET, metadata={"title": "Safe"}, addToWorkspaces=slug
    )["documents"][0]
    thread = asker.post(f"/workspace/{slug}/thread/new", name="Talk")["thread"]["slug"]
    embed = asker.post("/embed/new", workspace_slug=slug)["embed"]["uuid"]
    asker.add_chat(workspace["id"], "Who knows?")
    return Estate(asker, slug, thread, document["location"], document["name"], embed)


def requests_of(estate: Estate) -> list[tuple[str, str, dict[str, Any] | None]]:
    slug, thread, embed = estate.slug, estate.thread, estate.embed
    to = f"mine/{estate.name}"
    return [
        ("GET", "/workspaces", None),
        ("GET", f"/workspace/{slug}", None),
        ("DELETE", f"/workspace/{slug}", None),
        ("POST", f"/workspace/{slug}/update", {"name": "Mine"}),
        ("GET", f"/workspace/{slug}/chats", None),
        ("POST", f"/workspace/{slug}/vector-search", {"query": QUESTION}),
        ("POST", f"/workspace/{slug}/update-embeddings", {"deletes": [estate.location]}),
        ("POST", f"/workspace/{slug}/update-pin", {"docPath": estate.location, "pinStatus": True}),
        ("POST", f"/workspace/{slug}/chat", {"message": QUESTION}),
        ("POST", f"/workspace/{slug}/stream-chat", {"message": QUESTION, "reset": True}),
        ("POST", f"/workspace/{slug}/thread/new", {}),
        ("POST", f"/workspace/{slug}/thread/{thread}/update", {"name": "Mine"}),
        ("GET", f"/workspace/{slug}/thread/{thread}/chats", None),
        ("POST", f"/workspace/{slug}/thread/{thread}/chat", {"message": QUESTION}),
        ("POST", f"/workspace/{slug}/thread/{thread}/stream-chat", {"message": QUESTION, "reset": True}),
        ("DELETE", f"/workspace/{slug}/thread/{thread}", None),
        ("POST", "/document/upload", {}),
        ("POST", f"/document/upload/{slug}", {}),
        ("POST", "/document/upload-link", {"link": "http://127.0.0.1/", "addToWorkspaces": slug}),
        (
            "POST",
            "/document/raw-text",
            {"textContent": "x", "metadata": {"title": "x"}, "addToWorkspaces": slug},
        ),
        ("GET", "/documents", None),
        ("GET", "/documents/folder/custom-documents", None),
        ("GET", f"/document/{estate.name}", None),
        ("GET", f"/document/{estate.location}", None),
        ("POST", "/document/move-files", {"files": [{"from": estate.location, "to": to}]}),
        ("DELETE", "/document/remove-folder", {"name": "custom-documents"}),
        ("DELETE", "/system/remove-documents", {"names": [estate.location, estate.name]}),
        ("GET", "/embed", None),
        ("POST", f"/embed/{embed}", {"enabled": False}),
        ("DELETE", f"/embed/{embed}", None),
        ("GET", f"/embed/{embed}/chats", None),
        ("GET", f"/embed/{embed}/chats/s1", None),
        ("POST", "/embed/new", {"workspace_slug": slug}),
        ("GET", "/openai/models", None),
        ("GET", "/openai/vector_stores", None),
        ("POST", "/openai/chat/completions", {"model": slug, "messages": [_said(QUESTION)]}),
        ("GET", "/system/export-chats?type=json", None),
        ("GET", "/system/export-chats?type=jsonl", None),
        ("POST", "/admin/workspace-chats", {}),
        ("POST", f"/admin/workspaces/{slug}/manage-users", {"userIds": [1]}),
        ("GET", "/system/vector-count", None),
    ]


OF_NOBODY = {
    "/api/ping",
    "/api/docs",
    "/api/v1/auth",
    "/api/v1/system/env-dump",
    "/api/v1/workspace/new",
    "/api/v1/openai/embeddings",
    "/api/v1/document/accepted-file-types",
    "/api/v1/document/metadata-schema",
    "/api/v1/document/create-folder",
    "/api/v1/document/generated-files/{file}",  # below, by its id
    "/api/embed/{embed}/{session}",  # for whoever knows both
    "/api/embed/{uuid}/stream-chat",
}
"""Paths at which nothing of a caller's can be asked for by another one."""


def _said(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def asked_as_model(member: Member, model: str) -> list[Response]:
    """What is answered where any dialect asks for a model."""
    bodies: Mapping[str, dict[str, Any]] = {
        "/v1/chat/completions": {"model": model, "messages": [_said(QUESTION)]},
        "/v1/responses": {"model": model, "input": QUESTION},
        "/v1/messages": {"model": model, "max_tokens": 9, "messages": [_said(QUESTION)]},
        "/v1/completions": {"model": model, "prompt": QUESTION},
        f"/v1beta/models/{model}:generateContent": {"contents": [{"parts": [{"text": QUESTION}]}]},
    }
    headers = {"Authorization": f"Bearer {member.key}"}
    return [fetch(member.gateway.address, "POST", path, body, headers) for path, body in bodies.items()]


def check_untold(response: Response) -> None:
    assert b"combination" not in response.body, response
    assert b"Vault" not in response.body, response
    assert b"Who knows" not in response.body, response


def test_every_path_is_asked_with_another_key(estate: Estate) -> None:
    told = vars(paths) | vars(document_paths) | dict(enumerate(CHAT_POSTS))
    every = {path for path in told.values() if isinstance(path, str) and path.startswith("/api/")}
    asked = {f"/api/v1{path.partition('?')[0]}" for _, path, _ in requests_of(estate)}
    forms = {path: compile_path(path)[0] for path in every - OF_NOBODY}
    assert {path for path, form in forms.items() if not any(map(form.match, asked))} == set()


def test_another_key_finds_changes_and_deletes_nothing(
    estate: Estate, stranger: Member, upstream: Upstream
) -> None:
    before = estate.whole()
    for method, path, body in requests_of(estate):
        response = stranger.ask(method, path, body)
        check_untold(response)
        assert response.status != 500 or "success" in response.json, response
    assert stranger.get("/system/vector-count") == {"vectorCount": 0}
    assert estate.whole() == before
    assert upstream.requests == []


def test_a_stranger_is_told_the_same_of_what_is_not_theirs_and_what_is_not_there(
    estate: Estate, stranger: Member
) -> None:
    for path in ("/workspace/{}", "/workspace/{}/chats", "/workspace/{}/thread/t/chats"):
        theirs, nothing = (stranger.ask("GET", path.format(slug)) for slug in (estate.slug, "nowhere"))
        assert (theirs.status, theirs.body) == (nothing.status, nothing.body)


@pytest.mark.parametrize("form", ["workspace/{slug}", "workspace/{slug}/{thread}", "embed/{embed}"])
def test_a_model_of_another_key_is_unknown(
    estate: Estate, stranger: Member, upstream: Upstream, form: str
) -> None:
    model = form.format(slug=estate.slug, thread=estate.thread, embed=estate.embed)
    for response in asked_as_model(stranger, model):
        assert response.status == 404, response
        check_untold(response)
    assert upstream.requests == []


def test_streams_of_a_workspace_are_its_owners(estate: Estate, stranger: Member, upstream: Upstream) -> None:
    upstream.answer = lambda _: text_stream(["Nine ", "four."])
    body = {"message": QUESTION, "mode": "chat"}
    response = estate.owner.ask("POST", f"/workspace/{estate.slug}/stream-chat", body)
    assert b"Nine" in response.body
    name = response.head.get("tidegate-stream")
    address, headers = stranger.gateway.address, {"Authorization": f"Bearer {stranger.key}"}
    assert fetch(address, "GET", f"/v1/streams/{name}", headers=headers).status in (403, 404)
    assert fetch(address, "DELETE", f"/v1/streams/{name}", headers=headers).status in (403, 404)
    assert b"Nine" not in fetch(address, "GET", "/v1/streams", headers=headers).body


def test_a_generated_file_is_its_owners(asker: Member, stranger: Member) -> None:
    headers = {
        "Authorization": f"Bearer {asker.key}",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
    }
    body = multipart(b"nine four seven", "safe.html", "text/html", {"purpose": "assistants"})
    made = fetch(asker.gateway.address, "POST", "/v1/files", body, headers).json["id"]
    mine = asker.ask("GET", f"/document/generated-files/{made}")
    assert (mine.status, mine.body) == (200, b"nine four seven")
    assert (mine.head.get("content-disposition") or "").startswith("attachment")
    for name in (made, "file-0", "..", "%00", "x" * 300):
        response = stranger.ask("GET", f"/document/generated-files/{name}")
        assert (response.status, list(response.json)) == (404, ["error"])
    assert stranger.ask("GET", "/document/generated-files/..%2f..%2ftidegate.db").status == 404


def test_slugs_are_each_owners_own(asker: Member, stranger: Member) -> None:
    assert asker.new("Same name")["slug"] == stranger.new("Same name")["slug"] == "same-name"
    asker.ask("DELETE", "/workspace/same-name")
    assert len(stranger.get("/workspaces")["workspaces"]) == 1


# Keys that are for some workspaces


@pytest.fixture
def limited(estate: Estate) -> Member:
    """A key of the owner's that is for another workspace than the vault."""
    estate.owner.new("Lobby")
    return limited_key(estate.owner, "lobby")


def test_a_limited_key_finds_changes_and_deletes_nothing_else(
    estate: Estate, limited: Member, upstream: Upstream
) -> None:
    before = estate.whole()
    for method, path, body in requests_of(estate):
        check_untold(limited.ask(method, path, body))
    assert estate.whole() == before
    for model in (f"workspace/{estate.slug}", f"embed/{estate.embed}"):
        for response in asked_as_model(limited, model):
            assert response.status == 404, response
    assert upstream.requests == []


def test_a_limited_key_sees_the_streams_of_its_workspaces(
    estate: Estate, limited: Member, upstream: Upstream
) -> None:
    upstream.answer = lambda _: text_stream(["Nine ", "four."])
    paths = [f"workspace/{slug}/stream-chat" for slug in (estate.slug, "lobby")]
    vault, lobby = (_stream_of(estate.owner, f"/api/v1/{path}", message=QUESTION) for path in paths)
    plain = _stream_of(estate.owner, "/v1/chat/completions", model="m", messages=[_said(QUESTION)])
    own = _stream_of(limited, "/v1/chat/completions", model="m", messages=[_said(QUESTION)])
    for name in (vault, plain):
        for method, path in (("GET", ""), ("GET", "?stream=false"), ("DELETE", ""), ("POST", "/input")):
            response = _send(limited, method, f"/v1/streams/{name}{path}", {"input": "x"})
            assert response.status == 403, response
            assert b"Nine" not in response.body
    assert b"Nine" in _send(limited, "GET", f"/v1/streams/{lobby}").body
    listed = _send(limited, "GET", "/v1/streams?limit=1").json
    rest = _send(limited, "GET", f"/v1/streams?limit=1&after={listed['last_id']}").json
    assert {each["id"] for each in (*listed["data"], *rest["data"])} == {own, lobby}
    assert (listed["has_more"], rest["has_more"]) == (True, False)
    assert len(_send(estate.owner, "GET", "/v1/streams").json["data"]) == 4


def _send(member: Member, method: str, path: str, body: Mapping[str, Any] | None = None) -> Response:
    headers = {"Authorization": f"Bearer {member.key}"}
    return fetch(member.gateway.address, method, path, body if method == "POST" else None, headers)


def _stream_of(member: Member, path: str, **body: Any) -> str:
    """The name of the stream that answers."""
    response = _send(member, "POST", path, body)
    assert response.status == 200, response
    return response.head.get("tidegate-stream") or ""


def test_a_limited_key_brings_in_no_document_that_it_does_not_see(estate: Estate, limited: Member) -> None:
    for name in (estate.location, estate.name):
        told = limited.post("/workspace/lobby/update-embeddings", adds=[name])
        assert told["workspace"]["documents"] == []


def test_a_limited_key_replaces_no_document_of_other_workspaces(estate: Estate, limited: Member) -> None:
    first = upload(estate.owner, b"The plan.", "plan.txt", addToWorkspaces=estate.slug)
    second = upload(limited, b"Another plan.", "plan.txt", addToWorkspaces="lobby")
    assert (second.status, list(second.json)) == (403, ["success", "error"])
    name = first.json["documents"][0]["name"]
    assert estate.owner.get(f"/document/{name}")["document"]["pageContent"] == "The plan."
    unplaced = upload(estate.owner, b"Draft.", "draft.txt")
    assert unplaced.status == 200
    assert upload(limited, b"Mine.", "draft.txt", addToWorkspaces="lobby").status == 403


def test_a_limited_key_works_within_its_workspaces(estate: Estate, limited: Member) -> None:
    assert [each["slug"] for each in limited.get("/workspaces")["workspaces"]] == ["lobby"]
    upload(limited, b"The lobby opens at six.", "hours.txt", addToWorkspaces="lobby")
    second = upload(limited, b"The lobby opens at nine.", "hours.txt", addToWorkspaces="lobby")
    (document,) = second.json["documents"]
    results = limited.post("/workspace/lobby/vector-search", query="When does the lobby open?")["results"]
    assert ["nine" in each["text"] for each in results] == [True]
    (folder,) = limited.get("/documents")["localFiles"]["items"]
    assert [each["name"] for each in folder["items"]] == [document["name"]]
    assert limited.get("/documents/folder/custom-documents")["totalCount"] == 1
    assert limited.get(f"/document/{document['name']}")["document"]["title"] == "hours.txt"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/workspace/new", {"name": "More"}),
        ("POST", "/document/create-folder", {"name": "More"}),
        ("DELETE", "/document/remove-folder", {"name": "custom-documents"}),
        ("DELETE", "/system/remove-documents", {"names": []}),
        ("POST", "/document/move-files", {"files": []}),
        ("POST", "/document/raw-text", {"textContent": "x", "metadata": {"title": "t"}}),
    ],
)
def test_a_limited_key_makes_and_removes_nothing_for_all(
    limited: Member, method: str, path: str, body: dict[str, Any]
) -> None:
    assert limited.ask(method, path, body).status == 403
