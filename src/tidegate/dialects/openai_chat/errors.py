"""OpenAI's error envelope, both ways (https://platform.openai.com/docs/guides/error-codes)."""

from __future__ import annotations

from typing import Any

import msgspec

from tidegate.core.event import Failure
from tidegate.dialects.translation.refusals import refusal
from tidegate.errors import Rejected, SourceError
from tidegate.wire.ascii_json import ascii_json

_RETRYABLE_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "exceed_context_size_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "tokens": 429,
    "requests": 429,
    "overloaded_error": 503,
    "server_overloaded": 503,
    "timeout_error": 504,
}
_LONGEST_MESSAGE = 2000


def render_error(failure: Failure) -> bytes:
    """The body of an error response, ASCII JSON."""
    return ascii_json({"error": error_object(failure)}).encode("ascii")


def error_object(failure: Failure) -> dict[str, Any]:
    """The value of ``error`` in a body or in the last chunk of a failed stream."""
    return {
        "message": failure.message,
        "type": failure.type,
        "param": failure.param,
        "code": failure.code,
    }


def reported_error(chunk: dict[str, Any]) -> SourceError | None:
    """The error that a chunk or a body reports, if it does."""
    error = chunk.get("error") or _inner(chunk.get("x_groq"))  # Groq reports a broken stream inside
    if not error and not chunk.get("choices"):
        error = _error_without_envelope(chunk)
    if not error:
        return None
    if not isinstance(error, dict):
        error = {"message": error}
    code = error.get("code")
    error_type = error.get("type") if isinstance(error.get("type"), str) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    if status is None:
        status = _STATUS_OF_TYPE.get(error_type or "") or _STATUS_OF_TYPE.get(str(code))
    return _rejection(status or 502, error)


def _error_without_envelope(chunk: dict[str, Any]) -> dict[str, Any] | None:
    """The error in forms that some servers have of their own."""
    if isinstance(chunk.get("msg"), str):  # MetaGPT, with status 200
        return {"message": chunk["msg"], "code": chunk.get("status")}
    if chunk.get("error_code"):  # api-for-open-llm and FastChat, inside a stream
        return {"message": chunk.get("text") or chunk.get("message")}
    if chunk.get("object") == "error":
        return {"message": chunk.get("message"), "type": chunk.get("type")}
    return None


def _inner(value: Any) -> Any:
    return value.get("error") if isinstance(value, dict) else None


def read_error(status: int, body: bytes, retry_after: float | None) -> SourceError:
    """The error in an upstream's response of a status other than 200, whatever its body looks like."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    return _rejection(status, _told(value), retry_after)


def _told(value: Any) -> dict[str, Any]:
    """The error object in a body."""
    if isinstance(value, list) and value:
        value = value[0]  # Gemini wraps its envelope in a list
    if not isinstance(value, dict):
        return {}
    for name in ("error", "detail", "errors"):
        inner = value.get(name)
        if isinstance(inner, dict):
            return _told(inner) if isinstance(inner.get("error"), dict) else inner
        if inner:
            return {"message": inner}
    return {**value, "message": value.get("message") or value.get("msg")}


def _words(said: Any) -> str:
    """What an error says; FastAPI, for one, says it as a list of objects."""
    if isinstance(said, list):
        return "; ".join(_words(each) for each in said)
    if isinstance(said, dict):
        inner = said.get("message") or said.get("msg") or said.get("detail")
        where = "".join(f"{part}: " for part in said.get("loc") or ())
        return where + _words(inner) if inner else ascii_json(said)
    return str(said)


def _rejection(status: int, error: dict[str, Any], retry_after: float | None = None) -> SourceError:
    words = _words(error["message"])[:_LONGEST_MESSAGE] if error.get("message") else ""
    message = words or f"the upstream answered with status {status}"
    error_type, code, param = error.get("type"), error.get("code"), error.get("param")
    if status in (401, 403):
        # Told as ours, a caller would doubt their own key.
        return Rejected(
            f"the upstream refused the gateway's credential (status {status})",
            status=502,
            code="upstream_authentication",
            retryable=False,
        )
    return refusal(
        message,
        status=status if 400 <= status < 600 else 502,
        type=error_type if isinstance(error_type, str) else _type_of(status),
        code=code if isinstance(code, str) else None,
        param=param if isinstance(param, str) else None,
        retry_after=retry_after,
        retryable=status in _RETRYABLE_STATUS or status >= 500,
    )


def _type_of(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "upstream_error"
