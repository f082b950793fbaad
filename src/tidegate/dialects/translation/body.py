"""The first look at a caller's body: JSON to a typed value, and one sentence about what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from tidegate.errors import InvalidRequest

Known = TypeVar("Known")

_GZIP = b"\x1f\x8b"
_HALF = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
"""A surrogate without the other one of its pair."""

_read_fields = msgspec.json.Decoder(dict[str, Raw]).decode


def read_body(body: bytes, known: msgspec.json.Decoder[Known]) -> tuple[Known, dict[str, Raw]]:
    """What the gateway must know of a body, and all its members, each still encoded.

    Raises InvalidRequest, with the field at fault.
    """
    try:
        if not body.isascii():
            body.decode()  # what stays encoded is not looked at again before it reaches an upstream
        return known.decode(body), _read_fields(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _invalid(body, error) from None
    except RecursionError:
        raise InvalidRequest("the body is JSON that is nested too deeply") from None


def decode_fields(fields: Mapping[str, Raw]) -> dict[str, Any]:
    """All members of a body as plain values."""
    try:
        return {name: msgspec.json.decode(raw) for name, raw in fields.items()}
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"the body cannot be read: {error}") from None


def _invalid(body: bytes, error: Exception) -> InvalidRequest:
    if body.startswith(_GZIP):
        return InvalidRequest("the body is compressed with gzip; send it as it is")
    if isinstance(error, UnicodeDecodeError):
        return InvalidRequest("the body is not valid JSON: it is not UTF-8")
    if not body.strip():
        return InvalidRequest("the body is empty; send a JSON object")
    if not isinstance(error, msgspec.ValidationError):
        if _HALF.search(body):  # msgspec calls this truncated, wherever it stands
            return InvalidRequest(
                r"the body is not valid JSON: it has half of a character, \ud83d without its other half say"
            )
        return InvalidRequest(f"the body is not valid JSON: {error}")
    reason, _, where = str(error).partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".")
    missing = reason.partition("missing required field `")[2].rstrip("`")
    if missing and not path:
        return InvalidRequest(f"{missing!r} is missing", param=missing)
    if not path:
        return InvalidRequest(f"the body must be a JSON object: {reason}")
    reason = reason[:1].lower() + reason[1:]
    return InvalidRequest(f"{path!r} is wrong: {reason}", param=path)
