"""What requests ask: who it is, and a JSON object whatever the content type says it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

import msgspec
from starlette.requests import Request

from tidegate.access import Caller
from tidegate.errors import InvalidRequest
from tidegate.server.incoming import read_body

_LARGE: Final = 2**17
"""Bytes of a body that is read beside the event loop."""
_MOST_VALUES: Final = 200_000
_NO_OBJECT: Final = 'the body must be a JSON object, such as {"name": "My documents"}'
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def caller_of(request: Request) -> Caller:
    """Whoever sends the request."""
    caller: Caller = request.scope["tidegate.caller"]
    return caller


async def read_asked(request: Request, max_body: Callable[[], int]) -> dict[str, Any]:
    """The object in the body, empty where there is no body. Raises InvalidRequest and BodyTooLarge."""
    body = await read_body(request.scope, request.receive, max_body())
    if len(body) > _LARGE:  # streams are not to wait for it
        return await asyncio.to_thread(read_object, body)
    return read_object(body) if body.strip() else {}


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object of which every part can be stored. Raises InvalidRequest."""
    try:
        if len(body) > _LARGE:
            _check_values(body)
        value = _decoded(body)
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None
    except ValueError as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidRequest(_NO_OBJECT)
    return value


def _check_values(body: bytes) -> None:
    """Raise InvalidRequest for a body of so many values that everybody would wait while they are made.

    A text may be as long as the body: that costs next to nothing.
    """
    try:
        members = _members.decode(body)
    except msgspec.ValidationError:
        raise InvalidRequest(_NO_OBJECT) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if body.count(b",") > _MOST_VALUES:
            raise InvalidRequest(f"the body is not JSON: {error}") from None
        return
    for name, raw in members.items():
        value = bytes(raw)
        if not value.startswith(b'"') and value.count(b",") > _MOST_VALUES:
            raise InvalidRequest(f"{name[:100]!r} holds more than {_MOST_VALUES} values", param=name[:100])


def _decoded(body: bytes) -> Any:
    try:
        value = msgspec.json.decode(body)
        whole = b"\\u0000" not in body
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Takes a byte order mark, lone surrogates and numbers without an end, as the servers before us did.
        value = json.loads(body.decode("utf-8-sig"))
        whole = False
    return value if whole else _storable(value)


def _storable(value: Any) -> Any:
    """The value without what no database takes: lone surrogates and NUL."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_storable(each) for each in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(each) for name, each in value.items()}
    return value
