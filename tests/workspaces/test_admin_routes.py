"""Users, invites and memberships, where they are kept; and what is told of the gateway's settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import compile_path

from tests.gateway import Gateway
from tests.workspaces.conftest import KEYS, Member, workspaces_config
from tidegate.server.anythingllm import admin_paths

SINGLE = b"Instance is not in Multi-User mode. Permission denied."


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = workspaces_config(workspaces={"multi_user": True})
    gateway = Gateway(tmp_path_factory.mktemp("users"), config)
    yield gateway
    gateway.stop()


@pytest.fixture
def admin(_shared: Gateway, request: pytest.FixtureRequest) -> Member:
    """Whose users are nobody else's: each test has a key of its own."""
    return Member(_shared, KEYS[sum(map(ord, request.node.name)) % len(KEYS)])


def new_user(admin: Member, username: str = "ann", **more: Any) -> Any:
    told = admin.post("/admin/users/new", username=username, password="correct horse", **more)
    assert told["error"] is None
    return told["user"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/users"),
        ("GET", "/users/1/issue-auth-token"),
        ("GET", "/admin/users"),
        ("POST", "/admin/users/new"),
        ("DELETE", "/admin/users/1"),
        ("GET", "/admin/invites"),
        ("POST", "/admin/workspaces/1/update-users"),
        ("POST", "/admin/preferences"),
    ],
)
def test_without_users_there_is_nothing_to_administer(member: Member, method: str, path: str) -> None:
    response = member.ask(method, path, {} if method == "POST" else None)
    assert (response.status, response.body) == (401, SINGLE)
    assert member.get("/admin/is-multi-user-mode") == {"isMultiUser": False}


def test_users_are_made_changed_and_deleted(admin: Member) -> None:
    assert admin.get("/admin/is-multi-user-mode") == {"isMultiUser": True}
    made = new_user(admin, role="manager")
    assert (made["username"], made["role"], "password" in made) == ("ann", "manager", False)
    assert admin.get("/users") == {"users": [{"id": made["id"], "username": "ann", "role": "manager"}]}
    changed = admin.post(f"/admin/users/{made['id']}", username="anna", suspended=1)
    assert changed == {"success": True, "error": None}
    (user,) = admin.get("/admin/users")["users"]
    assert (user["username"], user["suspended"]) == ("anna", 1)
    assert admin.ask("DELETE", f"/admin/users/{made['id']}").json == {"success": True, "error": None}
    assert admin.get("/admin/users") == {"users": []}


def test_another_key_administers_nothing_of_these(admin: Member) -> None:
    """Every path of theirs, with the ids of what another caller has."""
    stranger = Member(admin.gateway, KEYS[-1])
    user, workspace = new_user(admin, "ada")["id"], admin.new("Theirs")
    number, slug = workspace["id"], workspace["slug"]
    invite = admin.post("/admin/invite/new", workspaceIds=[number])["invite"]["id"]
    own = new_user(stranger, "eve")["id"]
    asked: list[tuple[str, str, dict[str, Any] | None]] = [
        ("GET", "/users", None),
        ("GET", f"/users/{user}/issue-auth-token", None),
        ("GET", "/admin/users", None),
        ("POST", f"/admin/users/{user}", {"username": "stolen", "password": "correct horse"}),
        ("DELETE", f"/admin/users/{user}", None),
        ("GET", "/admin/invites", None),
        ("POST", "/admin/invite/new", {"workspaceIds": [number]}),
        ("DELETE", f"/admin/invite/{invite}", None),
        ("GET", f"/admin/workspaces/{number}/users", None),
        ("POST", f"/admin/workspaces/{number}/update-users", {"userIds": [own]}),
        ("POST", f"/admin/workspaces/{slug}/manage-users", {"userIds": [own]}),
        ("POST", "/admin/preferences", {"theme": "dark"}),
        ("GET", "/admin/is-multi-user-mode", None),
        ("GET", "/system", None),
        ("GET", "/system/vector-count", None),
        ("POST", "/system/update-env", {}),
    ]
    admin.post(f"/admin/workspaces/{number}/update-users", userIds=[user])
    for method, path, body in asked:
        response = stranger.ask(method, path, body)
        assert b"ada" not in response.body, response
        assert "Theirs" not in response.body.decode(), response
    assert [each["username"] for each in admin.get("/admin/users")["users"]] == ["ada"]
    assert admin.get(f"/admin/workspaces/{number}/users") == {"users": [{"userId": user, "role": "default"}]}
    assert [(each["id"], each["status"]) for each in admin.get("/admin/invites")["invites"]] == [
        (invite, "pending")
    ]
    (made,) = stranger.get("/admin/invites")["invites"]
    assert not made["workspaceIds"]
    forms = [compile_path(path)[0] for path in vars(admin_paths).values() if str(path).startswith("/api/")]
    paths = [f"/api/v1{path}" for _, path, _ in asked] + ["/api/v1/admin/users/new"]
    assert [form.pattern for form in forms if not any(map(form.match, paths))] == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "Username must be"),
        ({"username": "Ann", "password": "correct horse"}, "Username must be"),
        ({"username": "bob", "password": "short"}, "Password must be"),
        ({"username": "bob", "password": 7}, "Password must be"),
        ({"username": "bob", "password": "correct horse", "role": "king"}, "Invalid role"),
    ],
)
def test_a_user_who_makes_no_sense_is_refused(admin: Member, body: dict[str, Any], told: str) -> None:
    response = admin.ask("POST", "/admin/users/new", body)
    assert response.status == 400
    assert response.json["user"] is None
    assert response.json["error"].startswith(told)


def test_a_name_is_one_users(admin: Member) -> None:
    new_user(admin, "cat")
    response = admin.ask("POST", "/admin/users/new", {"username": "cat", "password": "correct horse"})
    assert "already exists" in response.json["error"]
    assert admin.ask("POST", "/admin/users/999999", {"username": "x"}).status == 404


def test_invites_are_made_and_taken_back(admin: Member) -> None:
    workspace = admin.new("Docs")
    made = admin.post("/admin/invite/new", workspaceIds=[workspace["id"], 10**6])["invite"]
    assert (made["status"], made["workspaceIds"]) == ("pending", str(workspace["id"]))
    assert admin.ask("DELETE", f"/admin/invite/{made['id']}").json["success"]
    (invite,) = admin.get("/admin/invites")["invites"]
    assert invite["status"] == "disabled"
    assert admin.ask("DELETE", "/admin/invite/999999").status == 404


def test_users_become_members_of_workspaces(admin: Member) -> None:
    workspace = admin.new("Docs")
    first, second = new_user(admin, "ann"), new_user(admin, "bob")
    at = f"/admin/workspaces/{workspace['id']}"
    assert admin.post(f"{at}/update-users", userIds=[first["id"], 10**6])["success"]
    assert admin.get(f"{at}/users") == {"users": [{"userId": first["id"], "role": "default"}]}
    managed = admin.post(f"/admin/workspaces/{workspace['slug']}/manage-users", userIds=[second["id"]])
    assert [each["username"] for each in managed["users"]] == ["ann", "bob"]
    again = admin.post(
        f"/admin/workspaces/{workspace['slug']}/manage-users", userIds=[second["id"]], reset=True
    )
    assert [each["username"] for each in again["users"]] == ["bob"]
    assert admin.ask("POST", "/admin/workspaces/nowhere/manage-users", {}).status == 404


def test_settings_are_told_and_not_changed(member: Member) -> None:
    settings = member.get("/system")["settings"]
    assert (settings["MultiUserMode"], settings["RequiresAuth"]) == (False, True)
    told = member.post("/system/update-env", OPEN_AI_KEY="x")
    assert told["newValues"] == {}
    assert "tidegate.yaml" in told["error"]
    assert member.get("/system/vector-count") == {"vectorCount": 0}


@pytest.mark.parametrize(
    ("change", "bio", "limit"),
    [
        ({"bio": {"not": "a text"}}, "", 7),
        ({"bio": "x" * 1001}, "Hello", 7),
        ({"dailyMessageLimit": {}}, "Hello", 7),
        ({"dailyMessageLimit": 0}, "Hello", 7),
        ({"dailyMessageLimit": 2**70}, "Hello", 7),
        ({"dailyMessageLimit": None}, "Hello", None),
        ({"dailyMessageLimit": "12"}, "Hello", 12),
    ],
)
def test_only_what_makes_sense_is_kept_of_a_user(
    admin: Member, change: dict[str, Any], bio: str, limit: int | None
) -> None:
    user = new_user(admin)["id"]
    assert admin.post(f"/admin/users/{user}", bio="Hello", dailyMessageLimit=7)["success"]
    kept = bio != "Hello" or limit != 7
    assert admin.post(f"/admin/users/{user}", **change)["success"] == kept
    (found,) = admin.get("/admin/users")["users"]
    assert (found["bio"], found["dailyMessageLimit"]) == (bio, limit)
    admin.ask("DELETE", f"/admin/users/{user}")


@pytest.mark.parametrize("number", ["{}.5", "{}x", "{}e0", "0x{}", "{}%00", "99999999999999999999", "-{}"])
def test_only_its_own_number_names_a_user_or_an_invite(admin: Member, number: str) -> None:
    user = new_user(admin)["id"]
    invite = admin.post("/admin/invite/new")["invite"]["id"]
    admin.ask("DELETE", f"/admin/users/{number.format(user)}")
    assert admin.ask("POST", f"/admin/users/{number.format(user)}", {"bio": "x"}).status == 404
    assert admin.ask("DELETE", f"/admin/invite/{number.format(invite)}").status == 404
    assert [each["id"] for each in admin.get("/admin/users")["users"]] == [user]
    admin.ask("DELETE", f"/admin/users/{user}")


def test_an_invite_names_each_workspace_once(admin: Member) -> None:
    number = admin.new("Docs")["id"]
    told = admin.post("/admin/invite/new", workspaceIds=[number, number, str(number), number + 0.5, "x"])
    assert told["invite"]["workspaceIds"] == str(number)


def test_preferences_are_short(admin: Member) -> None:
    assert admin.ask("POST", "/admin/preferences", {"x": "y" * 1000}).status == 200
    response = admin.ask("POST", "/admin/preferences", {"x": "y" * 2**16})
    assert (response.status, response.json["type"]) == (400, "abort")
