"""The paths of AnythingLLM's developer API that are about the instance and its users."""

from __future__ import annotations

from typing import Final

SYSTEM: Final = "/api/v1/system"
VECTOR_COUNT: Final = "/api/v1/system/vector-count"
UPDATE_ENV: Final = "/api/v1/system/update-env"
USERS: Final = "/api/v1/users"
AUTH_TOKEN: Final = "/api/v1/users/{user}/issue-auth-token"
IS_MULTI_USER: Final = "/api/v1/admin/is-multi-user-mode"
ADMIN_USERS: Final = "/api/v1/admin/users"
ADMIN_USERS_NEW: Final = "/api/v1/admin/users/new"
ADMIN_USER: Final = "/api/v1/admin/users/{user}"
INVITES: Final = "/api/v1/admin/invites"
INVITE_NEW: Final = "/api/v1/admin/invite/new"
INVITE: Final = "/api/v1/admin/invite/{invite}"
MEMBERS: Final = "/api/v1/admin/workspaces/{workspace}/users"
UPDATE_MEMBERS: Final = "/api/v1/admin/workspaces/{workspace}/update-users"
MANAGE_MEMBERS: Final = "/api/v1/admin/workspaces/{slug}/manage-users"
PREFERENCES: Final = "/api/v1/admin/preferences"
