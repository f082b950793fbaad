"""Anthropic's error envelope, both ways (https://platform.claude.com/docs/en/api/errors)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tidegate.core.event import Failure
from tidegate.dialects.translation.refusals import refusal
from tidegate.errors import Rejected, SourceError
from tidegate.wire.ascii_json import ascii_json

_STATUS_OF_TYPE: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_TYPE_OF_STATUS: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Statuses that say what is wrong whatever word came with them."""

_CANCELLED: Final = "cancelled"
_RETRYABLE_STATUS: Final = frozenset({408, 409, 425, 429})
_LONGEST_MESSAGE: Final = 2000


def render_error(failure: Failure, request_id: str | None) -> bytes:
    """The body of an error response, ASCII JSON."""
    return ascii_json(error_envelope(failure, request_id)).encode("ascii")


def error_envelope(failure: Failure, request_id: str | None) -> dict[str, Any]:
    """The body of an error response, or the data of the event that ends a failed stream."""
    error = {"type": error_type(failure), "message": failure.message}
    return {"type": "error", "error": error, "request_id": request_id}


def error_type(failure: Failure) -> str:
    """The word for a failure that the official SDKs know, so that they raise what their users expect."""
    if failure.type == _CANCELLED:
        return _CANCELLED
    known = _TYPE_OF_STATUS.get(failure.status)
    if known is not None:
        return known
    if failure.type in _STATUS_OF_TYPE:
        return failure.type
    if failure.status == 503:
        return "overloaded_error"
    return "invalid_request_error" if 400 <= failure.status < 500 else "api_error"


def reported_error(value: dict[str, Any]) -> SourceError:
    """The error that an event of a stream, or a body of status 200, reports."""
    error = _told(value)
    kind = error.get("type")
    return _rejection(_STATUS_OF_TYPE.get(kind, 502) if isinstance(kind, str) else 502, error)


def read_error(status: int, body: bytes, retry_after: float | None) -> SourceError:
    """The error in an upstream's response of a status other than 200, whatever its body looks like."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    return _rejection(status, _told(value), retry_after)


def _told(value: Any) -> dict[str, Any]:
    """The error object in a body: Anthropic's, or what a server of another make puts in its place."""
    if not isinstance(value, dict):
        return {}
    for name in ("error", "detail", "message"):
        inner = value.get(name)
        if isinstance(inner, dict):
            return inner
        if isinstance(inner, str) and inner:
            return {"message": inner}
        if inner:
            return {"message": ascii_json(inner)}
    return {}


def _rejection(status: int, error: dict[str, Any], retry_after: float | None = None) -> SourceError:
    if status in (401, 403):
        # Told as ours, a caller would doubt their own key.
        return Rejected(
            f"the upstream refused the gateway's credential (status {status})",
            status=502,
            code="upstream_authentication",
            retryable=False,
        )
    said, kind = error.get("message"), error.get("type")
    message = said if isinstance(said, str) and said else f"the upstream answered with status {status}"
    if not isinstance(kind, str):
        kind = "invalid_request_error" if status < 500 and status != 429 else "upstream_error"
        kind = "rate_limit_error" if status == 429 else kind
    return refusal(
        message[:_LONGEST_MESSAGE],
        status=status if 400 <= status < 600 else 502,
        type=kind,
        retry_after=retry_after,
        retryable=status in _RETRYABLE_STATUS or status >= 500,
    )
