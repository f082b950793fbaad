"""Documents through AnythingLLM's developer API: what each route answers, to the letter."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tests.workspaces.conftest import Member
from tests.workspaces.parsing import documents
from tests.workspaces.uploads import BOUNDARY, upload

FACTS = ("url", "title", "docAuthor", "description", "docSource", "chunkSource", "published")
TOLD = ["id", "location", "name", *FACTS, "wordCount", "token_count_estimate"]
LISTED = [
    *("name", "type", "id", *FACTS, "wordCount", "token_count_estimate"),
    *("cached", "pinnedWorkspaces", "watched", "canWatch"),
]
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def add(member: Member, text: str = "Tides turn.", title: str = "Tides", **more: Any) -> Any:
    told = member.post("/document/raw-text", textContent=text, metadata={"title": title}, **more)
    return told["documents"][0]


def all_files(member: Member) -> list[Any]:
    items = member.get("/documents")["localFiles"]["items"]
    return [file for folder in items for file in folder["items"]]


def test_texts_of_one_title_are_two_documents(member: Member) -> None:
    made = [add(member, text, "Note") for text in ("First of all.", "Second to none.", "First of all.")]
    assert [each["title"] for each in made] == ["Note"] * 3
    assert made[0]["location"] == made[2]["location"] != made[1]["location"]


def test_a_file_is_told_when_it_is_read(member: Member) -> None:
    response = upload(member, b"The lamp burns.", "lamp note.txt", media_type="text/plain")
    assert response.status == 200
    assert list(response.json) == ["success", "error", "documents"]
    assert (response.json["success"], response.json["error"]) == (True, None)
    (document,) = response.json["documents"]
    assert list(document) == TOLD
    assert re.fullmatch(f"custom-documents/lamp-note.txt-{UUID}.json", document["location"])
    assert document["location"] == f"custom-documents/{document['name']}"
    assert document["url"] == "file:///lamp%20note.txt"
    assert (document["title"], document["docAuthor"]) == ("lamp note.txt", "Unknown")
    assert document["wordCount"] == 3


KINDS: Mapping[str, Callable[[], bytes]] = {
    "a.pdf": lambda: documents.pdf([documents.HARBOUR]),
    "a.docx": documents.docx,
    "a.pptx": documents.pptx,
    "a.xlsx": documents.xlsx,
    "a.odt": documents.odt,
    "a.ods": documents.ods,
    "a.odp": documents.odp,
    "a.epub": documents.epub,
    "a.html": documents.HTML.encode,
    "a.eml": lambda: documents.mail().as_bytes(),
    "a.mbox": documents.mbox,
    "a.csv": lambda: b"tide,when\nhigh,06:15\n",
    "a.json": lambda: b'{"tide": "high"}',
    "a.md": "# Flut\n\n潮水 — déjà vu\n".encode,
    "wrong-extension.txt": lambda: documents.pdf([documents.HARBOUR]),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_real_file_of_every_kind_is_answered_from(member: Member, name: str) -> None:
    slug = member.new("All kinds")["slug"]
    response = upload(member, KINDS[name](), name, addToWorkspaces=slug)
    assert response.status == 200, response
    (document,) = response.json["documents"]
    (placed,) = member.get(f"/workspace/{slug}")["workspace"][0]["documents"]
    assert (placed["docpath"], placed["state"]) == (document["location"], "indexed")
    assert placed["passages"] >= 1
    assert member.get(f"/document/{document['name']}")["document"]["pageContent"].strip()


REFUSED: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "damaged.pdf": (lambda: b"%PDF-1.7\nnothing else", "damaged.pdf is "),
    "damaged.docx": (lambda: documents.docx()[:2000], "damaged.docx is "),
    "secret.pdf": (documents.encrypted_pdf, "without"),
    "empty.txt": (lambda: b"", "empty.txt is empty: there is nothing to read in it"),
    "blank.txt": (lambda: b" \n\n ", "blank.txt is empty: there is nothing to read in it"),
    "scan.pdf": (lambda: documents.pdf(["", ""]), "it may be a scan: run OCR on it"),
    "photo.txt": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(50), "pictures are not read; what can be read is"),
    "tool.exe": (lambda: b"MZ" + bytes(range(256)), "what can be"),
    "files.zip": (lambda: documents.archive({"a.txt": "x"}), "an archive: unpack it and add the files"),
    "bomb.odt": (lambda: documents.open_document("text", " " * 30_000_000), "bomb.odt"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_told_and_leaves_nothing(member: Member, name: str) -> None:
    make, words = REFUSED[name]
    slug = member.new("Refused")["slug"]
    response = upload(member, make(), name, folder="/refused", addToWorkspaces=slug)
    assert response.status == 500, response
    assert list(response.json) == ["success", "error"]
    assert response.json["success"] is False
    assert words in response.json["error"]
    assert all_files(member) == []
    assert [each["name"] for each in member.get("/documents")["localFiles"]["items"]] == ["custom-documents"]
    assert member.get(f"/workspace/{slug}")["workspace"][0]["documents"] == []


def test_the_same_file_is_one_document(member: Member) -> None:
    first = upload(member, b"The lamp burns.", "lamp.txt").json["documents"][0]
    again = upload(member, b"The lamp burns.", "other name.txt").json["documents"][0]
    assert again == first
    assert len(all_files(member)) == 1


def test_a_new_version_takes_the_place_of_the_old_one_everywhere(member: Member) -> None:
    slug = member.new("Versions")["slug"]
    first = upload(member, b"The lamp burns oil.", "lamp.txt", addToWorkspaces=slug).json["documents"][0]
    second = upload(member, b"The lamp burns paraffin.", "lamp.txt", addToWorkspaces=slug)
    assert second.json["documents"][0]["location"] == first["location"]
    assert len(all_files(member)) == 1

    def found(query: str) -> list[str]:
        results = member.post(f"/workspace/{slug}/vector-search", query=query)["results"]
        return [each["text"] for each in results]

    assert "paraffin" in found("paraffin")[0]
    assert found("oil") == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\\\..\\\\boot.ini", "boot.ini"),
        ("/", "document"),
        ("..", "document"),
        ("港务长.txt", "港务长.txt"),
        ("x" * 300 + ".txt", "x" * 100),
        ("%2e%2e%2fa.txt", "2e-2e-2fa.txt"),
        ("a b\tc.txt", "a-b-c.txt"),
    ],
)
def test_a_name_leads_nowhere_else(member: Member, sent: str, kept: str) -> None:
    response = upload(member, b"The lamp burns.", sent, media_type="text/plain")
    assert response.status == 200, response
    assert re.fullmatch(
        f"custom-documents/{re.escape(kept)}-{UUID}.json", response.json["documents"][0]["location"]
    )


def test_what_a_file_says_of_itself_may_be_said_better(member: Member) -> None:
    metadata = {"title": "The lamp", "docAuthor": "K.", "unknown": 1, "published": 1850, "description": {}}
    response = upload(member, b"The lamp burns.", "lamp.txt", metadata=json.dumps(metadata))
    (document,) = response.json["documents"]
    assert (document["title"], document["docAuthor"], document["published"]) == ("The lamp", "K.", "1850")
    assert document["description"] == "Unknown"


@pytest.mark.parametrize(
    "metadata", ["{", "[]", "7", "[" * 50_000, '{"title": "a\\u0000b"}', '{"title": null}']
)
def test_metadata_that_says_nothing_does_no_harm(member: Member, metadata: str) -> None:
    assert upload(member, b"The lamp burns.", "lamp.txt", metadata=metadata).status == 200


def test_an_upload_may_name_a_folder(member: Member) -> None:
    response = upload(member, b"The lamp burns.", "lamp.txt", folder="/the%20lamps")
    assert response.json["documents"][0]["location"].startswith("the lamps/lamp.txt-")
    items = member.get("/documents")["localFiles"]["items"]
    assert [each["name"] for each in items] == ["custom-documents", "the lamps"]


@pytest.mark.parametrize("folder", ["%2e%2e", "..%5Cup", "a%00b", "x" * 101, "%20", "a%0Ab"])
def test_a_folder_that_cannot_be_is_refused(member: Member, folder: str) -> None:
    response = upload(member, b"The lamp burns.", "lamp.txt", folder=f"/{folder}")
    assert (response.status, list(response.json)) == (422, ["success", "error"])
    assert "folder" in response.json["error"]
    assert all_files(member) == []


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"{}"),
        ({"Content-Type": "multipart/form-data"}, b"x"),
        ({"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, b"--the-boundary\r\nno"),
        ({"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, b"--the-boundary--\r\n"),
    ],
)
def test_an_upload_without_a_file_is_told(member: Member, headers: dict[str, str], body: bytes) -> None:
    response = member.ask("POST", "/document/upload", body, headers)
    assert (response.status, list(response.json)) == (422, ["success", "error"])


@pytest.mark.parametrize("add_to", ["nowhere", "good,nowhere"])
def test_an_unknown_workspace_leaves_nothing(member: Member, add_to: str) -> None:
    member.new("good")
    told = "addToWorkspaces must be a string of comma-separated slugs of your workspaces; "
    response = upload(member, b"The lamp burns.", "lamp.txt", addToWorkspaces=add_to)
    assert (response.status, list(response.json)) == (422, ["success", "error"])
    assert response.json["error"].startswith(told)
    assert all_files(member) == []


@pytest.mark.parametrize("add_to", [7, ["a"], {"a": 1}, True])
def test_workspaces_are_named_in_a_string(member: Member, add_to: Any) -> None:
    body = {"textContent": "x", "metadata": {"title": "t"}, "addToWorkspaces": add_to}
    response = member.ask("POST", "/document/raw-text", body)
    assert (response.status, response.json["success"]) == (422, False)
    assert response.json["error"].startswith("addToWorkspaces must be a string")


def test_a_text_is_a_document(member: Member) -> None:
    response = member.ask(
        "POST", "/document/raw-text", {"textContent": "The lamp\0 burns.", "metadata": {"title": "Lamp"}}
    )
    (document,) = response.json["documents"]
    assert list(document) == [*TOLD, "pageContent"]
    assert (document["title"], document["pageContent"]) == ("Lamp", "The lamp burns.")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            {"textContent": "x", "metadata": {}},
            "You are missing required metadata key:value pairs in your request. "
            "Required metadata key:values are 'title'",
        ),
        ({"textContent": "x"}, "You are missing required metadata"),
        ({"textContent": "x", "metadata": "no"}, "You are missing required metadata"),
        (
            {"textContent": " ", "metadata": {"title": "t"}},
            "The 'textContent' key cannot have an empty value.",
        ),
        ({"textContent": 7, "metadata": {"title": "t"}}, "The 'textContent' key cannot have an empty value."),
    ],
)
def test_a_text_without_what_it_needs_is_told(member: Member, body: dict[str, Any], words: str) -> None:
    response = member.ask("POST", "/document/raw-text", body)
    assert (response.status, list(response.json)) == (422, ["success", "error"])
    assert response.json["error"].startswith(words)


def test_documents_are_listed_by_their_folders(member: Member) -> None:
    workspace = member.new("Listed")
    document = add(member, addToWorkspaces=workspace["slug"])
    member.post(f"/workspace/{workspace['slug']}/update-pin", docPath=document["location"], pinStatus=True)
    told = member.get("/documents")
    assert list(told) == ["localFiles"]
    assert (told["localFiles"]["name"], told["localFiles"]["type"]) == ("documents", "folder")
    (folder,) = told["localFiles"]["items"]
    assert list(folder) == ["name", "type", "items"]
    (file,) = folder["items"]
    assert list(file) == LISTED
    assert (file["name"], file["type"], file["cached"]) == (document["name"], "file", True)
    assert file["pinnedWorkspaces"] == [workspace["id"]]


def test_a_folder_is_listed_in_parts(member: Member) -> None:
    for number in range(3):
        add(member, f"Tide {number}.", f"Tide {number}")
    part = member.get("/documents/folder/custom-documents?offset=1&limit=1")
    assert list(part) == ["folder", "documents", "totalCount", "hasMore", "error"]
    assert (part["totalCount"], part["hasMore"], part["error"]) == (3, True, None)
    assert [each["title"] for each in part["documents"]] == ["Tide 1"]
    whole = member.get("/documents/folder/custom-documents?limit=all")
    assert (len(whole["documents"]), whole["hasMore"]) == (3, False)
    asked = member.get("/documents?folder=custom-documents&offset=2&limit=9")
    assert list(asked) == ["folder", "documents", "totalCount", "hasMore", "code", "error"]
    assert (len(asked["documents"]), asked["code"], asked["hasMore"]) == (1, 200, False)


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=0",
        "limit=1e99",
        "limit=NaN",
        "offset=-5",
        "offset=99999999999999999999",
        "limit=%00",
    ],
)
def test_odd_parts_are_parts(member: Member, query: str) -> None:
    add(member)
    told = member.get(f"/documents/folder/custom-documents?{query}")
    assert told["totalCount"] == 1


@pytest.mark.parametrize(("name", "status"), [("nowhere", 404), ("..", 400), ("a%5Cb", 400), ("%00", 400)])
def test_a_folder_that_is_not_there_is_told(member: Member, name: str, status: int) -> None:
    for path, keys in ((f"/documents/folder/{name}", 5), (f"/documents?folder={name}", 6)):
        response = member.ask("GET", path)
        assert response.status == status
        assert len(response.json) == keys
        assert (response.json["documents"], response.json["totalCount"]) == ([], 0)
        assert response.json["error"]


def test_the_schema_and_the_types_are_told(member: Member) -> None:
    assert member.get("/document/metadata-schema") == {"schema": dict.fromkeys(FACTS, "string | nullable")}
    types = member.get("/document/accepted-file-types")["types"]
    assert types["application/pdf"] == [".pdf"]
    assert ".md" in types["text/plain"]


def test_one_document_is_told_by_its_name(member: Member) -> None:
    document = add(member)
    told = member.get(f"/document/{quote(document['name'])}")
    assert list(told) == ["document"]
    assert list(told["document"]) == [*LISTED, "pageContent"]
    assert member.get(f"/document/{document['location']}") == told
    missing = member.ask("GET", "/document/nothing.json")
    assert (missing.status, missing.body) == (404, b"Not Found")


def test_folders_come_and_go(member: Member) -> None:
    assert member.post("/document/create-folder", name="Tides") == {"success": True, "message": None}
    again = member.ask("POST", "/document/create-folder", {"name": "Tides"})
    assert (again.status, again.json) == (
        500,
        {"success": False, "message": "Folder by that name already exists"},
    )
    upload(member, b"The lamp burns.", "lamp.txt", folder="/Tides")
    removed = member.ask("DELETE", "/document/remove-folder", {"name": "Tides"})
    assert (removed.status, removed.json) == (
        200,
        {"success": True, "message": "Folder removed successfully"},
    )
    assert all_files(member) == []


def test_the_folder_that_documents_come_into_stays(member: Member) -> None:
    add(member)
    response = member.ask("DELETE", "/document/remove-folder", {"name": "custom-documents"})
    assert (response.status, response.json["success"]) == (500, False)
    assert len(all_files(member)) == 1


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", ["a"], 7, None, {"a": 1}, "x" * 101])
def test_a_folder_has_a_name(member: Member, name: Any) -> None:
    response = member.ask("POST", "/document/create-folder", {"name": name})
    assert (response.status, list(response.json)) == (500, ["success", "message"])
    assert response.json["success"] is False


@pytest.mark.parametrize("name", ["lamp.txt", "x" * 300 + ".txt", "report..final.txt", "港务长.txt"])
def test_a_file_moves(member: Member, name: str) -> None:
    document = upload(member, b"The lamp burns.", name).json["documents"][0]
    to = f"lamps/{document['name']}"
    told = member.post("/document/move-files", files=[{"from": document["location"], "to": to}])
    assert told == {"success": True, "message": None}
    assert member.get("/documents/folder/lamps")["totalCount"] == 1
    assert member.get(f"/document/{quote(to)}")["document"]["id"] == document["id"]


def test_a_file_of_a_workspace_stays_where_it_is(member: Member) -> None:
    slug = member.new("Holds")["slug"]
    held, free = add(member, addToWorkspaces=slug), add(member, "Other.", "Other")
    files = [
        {"from": held["location"], "to": f"a/{held['name']}"},
        {"from": free["location"], "to": f"a/{free['name']}"},
    ]
    told = member.post("/document/move-files", files=files)
    assert told["message"] == "1/2 files not moved. Unembed them from all workspaces."


@pytest.mark.parametrize("to", ["", "a", "/", "../up/a.json", "a/..", "a/", "a/b\0c", "..\\a/b", 7, None, []])
def test_a_file_moves_nowhere_else(member: Member, to: Any) -> None:
    document = add(member)
    told = member.post("/document/move-files", files=[{"from": document["location"], "to": to}, 7, None])
    assert told["success"] is True
    (file,) = all_files(member)
    assert file["id"] == document["id"]
    assert "\0" not in file["name"]


def test_documents_are_put_in_and_taken_out(member: Member) -> None:
    slug, document = member.new("In and out")["slug"], add(member)
    told = member.post(f"/workspace/{slug}/update-embeddings", adds=[document["location"], "no/such.json", 7])
    assert list(told) == ["workspace", "message"]
    assert told["message"] == "there is no document 'no/such.json'"
    (placed,) = told["workspace"]["documents"]
    assert placed["docpath"] == document["location"]
    told = member.post(f"/workspace/{slug}/update-embeddings", deletes=[document["location"]])
    assert (told["workspace"]["documents"], told["message"]) == ([], None)
    results = member.post(f"/workspace/{slug}/vector-search", query="tides")
    assert results == {"results": [], "message": "No embeddings found for this workspace."}
    unknown = member.ask("POST", "/workspace/nowhere/update-embeddings", {"adds": []})
    assert (unknown.status, unknown.body) == (400, b"Bad Request")


def test_a_pin_is_set(member: Member) -> None:
    slug = member.new("Pins")["slug"]
    document, elsewhere = add(member, addToWorkspaces=slug), add(member, "Other.", "Other")
    told = member.post(f"/workspace/{slug}/update-pin", docPath=document["location"], pinStatus=True)
    assert told == {"message": "Pin status updated successfully"}
    for path in (elsewhere["location"], "no/such.json", 7, None):
        response = member.ask("POST", f"/workspace/{slug}/update-pin", {"docPath": path, "pinStatus": True})
        assert (response.status, response.body) == (404, b"Not Found")


def test_removed_documents_are_gone(member: Member) -> None:
    slug = member.new("Removed")["slug"]
    document = add(member, addToWorkspaces=slug)
    response = member.ask("DELETE", "/system/remove-documents", {"names": [document["location"], "no", 7]})
    assert (response.status, response.json) == (
        200,
        {"success": True, "message": "Documents removed successfully"},
    )
    assert all_files(member) == []
    assert member.get(f"/workspace/{slug}")["workspace"][0]["documents"] == []


def test_thousands_of_names_are_looked_up_together(member: Member) -> None:
    """Each alone would take minutes, and go on when its client is gone."""
    location = add(member)["location"]
    names = [f"a/{number}" for number in range(9000)]
    slug = member.new("Many")["slug"]
    many = [*names, location, location.partition("/")[2]]
    told = member.post(f"/workspace/{slug}/update-embeddings", adds=many, deletes=names)
    assert [each["docpath"] for each in told["workspace"]["documents"]] == [location]
    moved = member.post("/document/move-files", files=[{"from": each, "to": each} for each in names[:4000]])
    assert moved["message"].startswith("4000/4000 files not moved")
    assert member.ask("DELETE", "/system/remove-documents", {"names": many}).status == 200
    assert member.ask("GET", f"/document/{location}").status == 404


def test_a_file_moves_twice(member: Member) -> None:
    location = add(member)["location"]
    moves = [{"from": location, "to": "b/x.json"}, {"from": "b/x.json", "to": "c/x.json"}]
    assert member.post("/document/move-files", files=moves)["message"] is None
    assert member.get("/document/c/x.json")


def test_a_workspace_that_is_named_often_is_looked_up_once(member: Member) -> None:
    slug = member.new("Often")["slug"]
    location = add(member, addToWorkspaces=",".join([slug] * 15_000))["location"]
    (told,) = member.get(f"/workspace/{slug}")["workspace"]
    assert [each["docpath"] for each in told["documents"]] == [location]


def test_a_body_over_the_limit_is_refused(member: Member) -> None:
    response = upload(member, bytes(300_000), "large.txt")
    assert response.status == 413
    assert "raise server.max_body in tidegate.yaml" in response.json["error"]


JSON_ROUTES = [
    ("POST", "/document/upload"),
    ("POST", "/document/upload/folder"),
    ("POST", "/document/upload-link"),
    ("POST", "/document/raw-text"),
    ("POST", "/document/create-folder"),
    ("DELETE", "/document/remove-folder"),
    ("POST", "/document/move-files"),
    ("DELETE", "/system/remove-documents"),
    ("POST", "/workspace/odd/update-embeddings"),
    ("POST", "/workspace/odd/update-pin"),
    ("POST", "/workspace/odd/vector-search"),
    ("POST", "/workspace/odd/update"),
    ("POST", "/workspace/odd/thread/new"),
    ("POST", "/workspace/odd/chat"),
    ("POST", "/workspace/odd/stream-chat"),
    ("POST", "/embed/new"),
]
NAMES = st.sampled_from(
    [
        *("name", "names", "files", "adds", "deletes", "docPath", "pinStatus", "query", "topN"),
        *("scoreThreshold", "textContent", "metadata", "addToWorkspaces", "link", "scraperHeaders"),
        *("workspace_slug", "message", "mode", "sessionId", "userId", "attachments", "reset", "slug"),
        *("openAiHistory", "allowlist_domains", "max_chats_per_day", "from", "to", "title"),
    ]
)
TEXTS = st.sampled_from(["", " ", "odd", "../x", "a\0b", "\ud800", "x" * 300, "chat", "query", "http://["])
NUMBERS = st.sampled_from([0, -1, 1.5, 10**30, -(10**30), 2**63, float("inf"), float("nan"), 1e308])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
BODIES = (
    st.dictionaries(NAMES, VALUES, max_size=6).map(json.dumps).map(str.encode)
    | VALUES.map(json.dumps).map(str.encode)
    | st.sampled_from([b"", b"{", b"\xff\xfe", b"[" * 20_000, b"\xef\xbb\xbf{}", b"1" * 5000, b"null"])
)


@pytest.mark.parametrize(("method", "path"), JSON_ROUTES)
@examples(25)
@given(body=BODIES)
def test_no_body_is_a_defect(member: Member, method: str, path: str, body: bytes) -> None:
    if "/odd/" in path and not member.get("/workspace/odd")["workspace"]:
        member.new("odd")
    response = member.ask(method, path, body, {"Content-Type": "text/plain"})
    assert response.status != 500 or "success" in response.json, (body, response)
    assert b"the gateway failed" not in response.body, (body, response)
