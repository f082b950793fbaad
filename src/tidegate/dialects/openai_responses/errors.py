"""Errors of the Responses API: OpenAI's envelope for a response, events of their own inside a stream."""

from __future__ import annotations

from typing import Any, Final

from tidegate.core.event import Failure
from tidegate.dialects.openai_chat.errors import read_error, render_error
from tidegate.dialects.translation.refusals import refusal
from tidegate.errors import Rejected, SourceError

__all__ = ["failed_error", "read_error", "render_error", "reported_error"]

_STATUS_OF: Final = {
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "too_many_requests": 429,
    "usage_limit_reached": 429,
    "server_error": 500,
    "overloaded_error": 503,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "timeout_error": 504,
}
_BLAMES_REQUEST: Final = frozenset({400, 401, 403, 404})
_CODE_OF: Final = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
_LONGEST_MESSAGE: Final = 2000


def reported_error(value: dict[str, Any]) -> SourceError:
    """The error in an ``error`` event, in ``response.failed`` or in a whole answer that failed.

    ``value`` is the object that has the message; it may be nested once more, as OpenAI itself sends it.
    """
    inner = value.get("error")
    error = inner if isinstance(inner, dict) else value
    code, kind, param = error.get("code"), error.get("type"), error.get("param")
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    status = status or _STATUS_OF.get(str(code)) or _STATUS_OF.get(str(kind)) or 502
    if status in (401, 403):
        return Rejected(
            f"the upstream refused the gateway's credential (status {status})",
            status=502,
            code="upstream_authentication",
            retryable=False,
        )
    message = error.get("message") or (inner if isinstance(inner, str) else "") or code
    return refusal(
        str(message or "the upstream reported an error without a word")[:_LONGEST_MESSAGE],
        status=status,
        type=kind if isinstance(kind, str) and kind != "error" else _type_of(status),
        code=code if isinstance(code, str) else None,
        param=param if isinstance(param, str) else None,
        retryable=status not in _BLAMES_REQUEST,
    )


def _type_of(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "upstream_error"


def failed_error(failure: Failure | None) -> dict[str, Any]:
    """The value of ``error`` in a response that failed. Clients tell errors by their ``code`` alone."""
    if failure is None:
        return {"code": "server_error", "message": "the answer broke off", "type": "internal_error"}
    code = failure.code or _CODE_OF.get(failure.status, "server_error")
    return {"code": code, "message": failure.message, "type": failure.type, "param": failure.param}
