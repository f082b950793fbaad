"""Errors as AnythingLLM tells them."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

from tidegate.core.event import Failure
from tidegate.wire.ascii_json import ascii_json

NO_KEY: Final = "No valid api key found."
"""What its clients are told with status 403."""

_NOBODY: Final = "0" * 32
_BITS: Final = re.compile("[0-9a-f]{32}")


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


def uuid_of(name: str) -> str:
    """A UUID of version 4 for a name, since clients check the form; of 128 bits in hexadecimal 122 stay."""
    if _BITS.fullmatch(name) is None:
        name = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    variant = "89ab"[int(name[16], 16) & 3]  # RFC 9562, section 5.4
    return f"{name[:8]}-{name[8:12]}-4{name[13:16]}-{variant}{name[17:20]}-{name[20:]}"
