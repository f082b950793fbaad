"""What a user may be called, how their password is kept, and what is told of them."""

from __future__ import annotations

import hashlib
import os
import re
from base64 import b64encode
from typing import Any, Final

from tidegate.errors import InvalidRequest
from tidegate.store.users import Invite, User
from tidegate.workspaces.settings import MOST, moment, read_number

ROLES: Final = ("default", "admin", "manager")

_USERNAME: Final = re.compile(r"[a-z][a-z0-9._@-]{1,99}", re.ASCII)
_SHORTEST_PASSWORD: Final = 8
_LONGEST_PASSWORD: Final = 250
_LONGEST_BIO: Final = 1000
_N, _R, _P = 2**14, 8, 1


def check_username(name: Any) -> str:
    """A user's name. Raises InvalidRequest."""
    if not isinstance(name, str) or not _USERNAME.fullmatch(name):
        raise InvalidRequest(
            "Username must be 2 to 100 characters, begin with a lowercase letter, and hold only lowercase "
            "letters, numbers, underscores, hyphens, @ signs, and periods.",
            param="username",
        )
    return name


def check_role(role: Any) -> str:
    """A user's role. Raises InvalidRequest."""
    if role not in ROLES:
        raise InvalidRequest(f"Invalid role. Allowed roles are: {', '.join(ROLES)}", param="role")
    return str(role)


def check_limit(limit: Any) -> int | None:
    """How many messages a user may send in a day. Raises InvalidRequest."""
    if limit is None:
        return None
    number = read_number(limit)
    if number is None or not 1 <= number <= MOST:
        raise InvalidRequest(
            f"Daily message limit must be null or a number from 1 to {MOST}.", param="dailyMessageLimit"
        )
    return int(number)


def check_bio(bio: Any) -> str:
    """What a user says of themselves; nothing where this is no text. Raises InvalidRequest."""
    text = bio if isinstance(bio, str) else ""
    if len(text) > _LONGEST_BIO:
        raise InvalidRequest(f"Bio cannot be longer than {_LONGEST_BIO} characters.", param="bio")
    return text


def hashed(password: Any) -> str:
    """What is kept of a password (RFC 7914). Blocks for some 50 ms. Raises InvalidRequest."""
    if not isinstance(password, str) or not _SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise InvalidRequest(
            f"Password must be {_SHORTEST_PASSWORD} to {_LONGEST_PASSWORD} characters long.", param="password"
        )
    salt = os.urandom(16)
    digest = hashlib.scrypt(password.encode("utf-8", "replace"), salt=salt, n=_N, r=_R, p=_P)
    return f"scrypt${_N}${_R}${_P}${b64encode(salt).decode()}${b64encode(digest).decode()}"


def user_object(user: User) -> dict[str, Any]:
    """A user in the columns of AnythingLLM's table, without the password."""
    return {
        "id": user.id,
        "username": user.username,
        "pfpFilename": None,
        "role": user.role,
        "suspended": int(user.suspended),
        "seen_recovery_codes": False,
        "createdAt": moment(user.created_ms),
        "lastUpdatedAt": moment(user.created_ms),
        "dailyMessageLimit": user.facts.get("dailyMessageLimit"),
        "bio": user.facts.get("bio", ""),
    }


def invite_object(invite: Invite) -> dict[str, Any]:
    """An invitation in the columns of AnythingLLM's table."""
    return {
        "id": invite.id,
        "code": invite.code,
        "status": invite.status,
        "claimedBy": None,
        "workspaceIds": ",".join(map(str, invite.workspaces)) or None,
        "createdAt": moment(invite.created_ms),
        "createdBy": 0,
        "lastUpdatedAt": moment(invite.created_ms),
    }
