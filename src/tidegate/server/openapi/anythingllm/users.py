"""The operations on users, invites and memberships."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidegate.server.anythingllm import admin_paths as at
from tidegate.server.openapi.anythingllm.forms import (
    DONE,
    FLAG,
    MAYBE_NUMBER,
    MAYBE_STRING,
    MOMENT,
    NOTHING,
    NUMBER,
    NUMBERS,
    OBJECT,
    STRING,
    aborted,
    answer,
    list_of,
    operation,
    path_parameters,
)
from tidegate.server.openapi.anythingllm.workspaces import SLUG
from tidegate.server.openapi.shared import object_of, ref
from tidegate.workspaces.settings import MOST
from tidegate.workspaces.users import ROLES

Json = dict[str, Any]

_TAG: Final = "users"
_ROLE: Final = {"enum": list(ROLES)}
_USER: Final = path_parameters(user="The user's number.")
_WORKSPACE: Final = path_parameters(workspace="The workspace's number.")


def paths() -> Json:
    """Operations by path and method."""
    multi = {"200": answer("As it is set.", object_of({"isMultiUser": FLAG}))}
    return {
        at.IS_MULTI_USER: {"get": operation("isMultiUser", _TAG, "Whether there are users", multi)},
        at.USERS: {"get": _short_users()},
        at.AUTH_TOKEN: {"get": _token()},
        at.ADMIN_USERS: {"get": _users()},
        at.ADMIN_USERS_NEW: {"post": _new_user()},
        at.ADMIN_USER: {"post": _change_user(), "delete": _delete_user()},
        at.INVITES: {"get": _invites()},
        at.INVITE_NEW: {"post": _new_invite()},
        at.INVITE: {"delete": _delete_invite()},
        at.MEMBERS: {"get": _members()},
        at.UPDATE_MEMBERS: {"post": _update_members()},
        at.MANAGE_MEMBERS: {"post": _manage_members()},
        at.PREFERENCES: {"post": _preferences()},
    }


def schemas() -> Json:
    """A user and an invite."""
    user = {
        "id": NUMBER,
        "username": STRING,
        "pfpFilename": NOTHING,
        "role": _ROLE,
        "suspended": {"enum": [0, 1]},
        "seen_recovery_codes": FLAG,
        "createdAt": MOMENT,
        "lastUpdatedAt": MOMENT,
        "dailyMessageLimit": MAYBE_NUMBER,
        "bio": STRING,
    }
    invite = {
        "id": NUMBER,
        "code": STRING,
        "status": {"enum": ["pending", "claimed", "disabled"]},
        "claimedBy": NOTHING,
        "workspaceIds": {**MAYBE_STRING, "description": "Numbers, separated by commas."},
        "createdAt": MOMENT,
        "createdBy": {"const": 0},
        "lastUpdatedAt": MOMENT,
    }
    return {
        "User": object_of(user, description="A user in the columns of AnythingLLM's table."),
        "Invite": object_of(invite, description="An invite in the columns of AnythingLLM's table."),
    }


def _among_users(name: str, summary: str, answers: Mapping[str, Json], **more: Any) -> Json:
    """An operation that there is where users are kept."""
    single = {
        "description": "No users are kept: `workspaces: {multi_user: true}` is not set.",
        "content": {"text/plain": {"schema": STRING}},
    }
    return operation(name, _TAG, summary, {**answers, "401": single}, creates=True, **more)


def _short_users() -> Json:
    told = object_of({"users": list_of(object_of({"id": NUMBER, "username": STRING, "role": _ROLE}))})
    return _among_users("listUserNames", "List the users in short", {"200": answer("All of them.", told)})


def _token() -> Json:
    told = _among_users("issueToken", "Refuse to sign a user in", {}, parameters=_USER)
    told["responses"]["403"]["description"] += " With a good key too: there is no page to sign in at."
    told["responses"]["403"]["content"] |= {"text/plain": {"schema": STRING}}
    return told


def _users() -> Json:
    told = object_of({"users": list_of(ref("schemas", "User"))})
    return _among_users("listUsers", "List the users", {"200": answer("All of them.", told)})


def _new_user() -> Json:
    body = object_of(
        {
            "username": {"type": "string", "pattern": "^[a-z][a-z0-9._@-]{1,99}$"},
            "password": {"type": "string", "minLength": 8, "maxLength": 250},
            "role": {**_ROLE, "default": "default"},
        },
        ["username", "password"],
    )
    refused = object_of({"user": NOTHING, "error": STRING})
    answers = {
        "200": answer("It is made.", object_of({"user": ref("schemas", "User"), "error": NOTHING})),
        "400": aborted("A field is wrong, the name is taken, or the body is no JSON object.", refused),
    }
    return _among_users("createUser", "Make a user", answers, body=body, needs_body=True)


def _change_user() -> Json:
    body = object_of(
        {
            "username": {"type": "string", "pattern": "^[a-z][a-z0-9._@-]{1,99}$"},
            "password": {"type": "string", "minLength": 8, "maxLength": 250},
            "role": _ROLE,
            "suspended": {"enum": [0, 1, False, True, "0", "1"]},
            "dailyMessageLimit": {**MAYBE_NUMBER, "minimum": 1, "maximum": MOST},
            "bio": {"type": ["string", "null"], "maxLength": 1000},
        },
        [],
    )
    answers = {
        "200": answer("It is changed; or `error` says why nothing was.", DONE),
        "404": answer("There is no such user.", DONE),
    }
    return _among_users("changeUser", "Change a user", answers, parameters=_USER, body=body)


def _delete_user() -> Json:
    answers = {"200": answer("It is gone, also where it never was.", DONE)}
    return _among_users("deleteUser", "Delete a user", answers, parameters=_USER)


def _invites() -> Json:
    told = object_of({"invites": list_of(ref("schemas", "Invite"))})
    return _among_users("listInvites", "List the invites", {"200": answer("All of them.", told)})


def _new_invite() -> Json:
    told = object_of({"invite": ref("schemas", "Invite"), "error": NOTHING})
    body = object_of({"workspaceIds": {**NUMBERS, "description": "Unknown ones are passed over."}}, [])
    return _among_users("createInvite", "Make an invite", {"200": answer("It is made.", told)}, body=body)


def _delete_invite() -> Json:
    answers = {
        "200": answer("It is disabled.", DONE),
        "404": answer("There is no such invite.", DONE),
    }
    parameters = path_parameters(invite="The invite's number.")
    return _among_users("disableInvite", "Disable an invite", answers, parameters=parameters)


def _members() -> Json:
    told = object_of({"users": list_of(object_of({"userId": NUMBER, "role": _ROLE}))})
    answers = {"200": answer("None where the workspace is unknown.", told)}
    return _among_users("listMembers", "List the users of a workspace", answers, parameters=_WORKSPACE)


def _update_members() -> Json:
    answers = {
        "200": answer("These are its users, and no others.", DONE),
        "404": answer("There is no such workspace.", DONE),
    }
    body = object_of({"userIds": NUMBERS}, [])
    return _among_users("setMembers", "Set its users", answers, parameters=_WORKSPACE, body=body)


def _manage_members() -> Json:
    member = object_of({"userId": NUMBER, "username": STRING, "role": _ROLE})
    told = object_of({**DONE["properties"], "users": list_of(member)})
    answers = {
        "200": answer("These are its users too; with `reset` no others.", told),
        "404": answer("There is no such workspace.", told),
    }
    body = object_of({"userIds": NUMBERS, "reset": {**FLAG, "default": False}}, [])
    return _among_users("manageMembers", "Add to its users", answers, parameters=SLUG, body=body)


def _preferences() -> Json:
    answers = {"200": answer("They are kept, and looked at by nothing here.", DONE)}
    return _among_users("setPreferences", "Keep preferences", answers, body=OBJECT)
