"""Google's error envelope, both ways (https://cloud.google.com/apis/design/errors)."""

from __future__ import annotations

from typing import Any

import msgspec

from tidegate.core.event import Failure
from tidegate.dialects.gemini.words import STATUS_WORDS, STATUSES, TYPES
from tidegate.dialects.translation.refusals import refusal
from tidegate.errors import Rejected, SourceError
from tidegate.wire.ascii_json import ascii_json

_LONGEST_MESSAGE = 2000
_RETRYABLE_STATUS = frozenset({408, 409, 425, 429})


def render_error(failure: Failure) -> bytes:
    """The body of an error response, ASCII JSON."""
    return error_json(failure).encode("ascii")


def error_json(failure: Failure) -> str:
    """An error as an object of its own. The SDK for Python knows it by these first bytes, hence no space."""
    status = failure.status if 400 <= failure.status < 600 else 500
    word = failure.code if failure.code in STATUSES else STATUS_WORDS.get(status)
    if word is None:
        word = "INVALID_ARGUMENT" if status < 500 else "UNAVAILABLE"
    error: dict[str, Any] = {"code": status, "message": failure.message, "status": word}
    if failure.retry_after is not None:
        delay = f"{max(failure.retry_after, 0):g}s"
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]
    return ascii_json({"error": error})


def read_error(status: int, body: bytes, retry_after: float | None) -> SourceError:
    """The error in an upstream's response of a status other than 200, whatever its body looks like."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    return _rejection(status, _told(value), retry_after)


def reported_error(chunk: dict[str, Any]) -> SourceError | None:
    """The error that a chunk or a body reports, if it does."""
    error = chunk.get("error")
    if not error:
        return None
    if not isinstance(error, dict):
        error = {"message": str(error)}
    code = error.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else STATUSES.get(str(error.get("status")))
    return _rejection(status or 502, error, None)


def _told(value: Any) -> dict[str, Any]:
    """The error object in a body; where an array of chunks was asked for it stands in a list."""
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return {}
    error = value.get("error", value)
    return error if isinstance(error, dict) else {"message": str(error)}


def _rejection(status: int, error: dict[str, Any], retry_after: float | None) -> SourceError:
    details = error.get("details")
    details = [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []
    bad_key = any(each.get("reason") == "API_KEY_INVALID" for each in details)  # comes with status 400
    if status in (401, 403) or bad_key:
        # Told as ours, a caller would doubt their own key.
        return Rejected(
            f"the upstream refused the gateway's credential (status {status})",
            status=502,
            code="upstream_authentication",
            retryable=False,
        )
    message, word = error.get("message"), error.get("status")
    said = str(message)[:_LONGEST_MESSAGE] if message else f"the upstream answered with status {status}"
    other = "invalid_request_error" if status < 500 else "upstream_error"
    return refusal(
        said,
        status=status if 400 <= status < 600 else 502,
        type=TYPES.get(status, other),
        code=word if isinstance(word, str) else None,
        retry_after=retry_after if retry_after is not None else _retry_delay(details),
        retryable=status in _RETRYABLE_STATUS or status >= 500,
    )


def _retry_delay(details: list[dict[str, Any]]) -> float | None:
    """Seconds, from Google's RetryInfo: a duration such as ``36s`` or ``0.5s``."""
    for each in details:
        delay = each.get("retryDelay")
        if isinstance(delay, str) and delay.endswith("s"):
            try:
                return max(float(delay[:-1]), 0.0)
            except ValueError:
                return None
    return None
