"""Errors as AnythingLLM tells them."""

from __future__ import annotations

import re
from typing import Any, Final

from tidegate.core.event import Failure
from tidegate.wire.ascii_json import ascii_json

NO_KEY: Final = "No valid api key found."
"""What its clients are told with status 403."""

_NOBODY: Final = "0" * 32
_UUID: Final = re.compile("([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})")


def render_error(failure: Failure, request_id: str | None) -> bytes:
    """The body of an error response."""
    if failure.type == "authentication_error":
        return ascii_json({"error": NO_KEY}).encode("ascii")
    if failure.status == 403:
        return ascii_json({"error": failure.message}).encode("ascii")
    told = {"id": uuid_of(request_id or _NOBODY), **aborted(failure.message)}
    if failure.type == "rate_limit_error":
        told |= {"error": "Rate limit exceeded", "errorMsg": failure.message}
    return ascii_json(told).encode("ascii")


def aborted(message: str) -> dict[str, Any]:
    """What follows the id in an answer that broke off."""
    return {"type": "abort", "textResponse": None, "sources": [], "close": True, "error": message}


def uuid_of(identifier: str) -> str:
    """128 bits in hexadecimal as a UUID (RFC 9562); a text that is none stays as it is."""
    found = _UUID.fullmatch(identifier)
    return identifier if found is None else "-".join(found.groups())
