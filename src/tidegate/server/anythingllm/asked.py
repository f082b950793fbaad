"""What requests ask: who it is, and a JSON object whatever the content type says it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request

from tidegate.access import Caller
from tidegate.errors import InvalidRequest
from tidegate.server.incoming import read_body


def caller_of(request: Request) -> Caller:
    """Whoever sends the request."""
    caller: Caller = request.scope["tidegate.caller"]
    return caller


async def read_asked(request: Request, max_body: Callable[[], int]) -> dict[str, Any]:
    """The object in the body, empty where there is no body. Raises InvalidRequest and BodyTooLarge."""
    body = await read_body(request.scope, request.receive, max_body())
    return read_object(body) if body.strip() else {}


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object of which every part can be stored. Raises InvalidRequest."""
    try:
        value = _decoded(body)
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None
    except ValueError as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidRequest('the body must be a JSON object, such as {"name": "My documents"}')
    return value


def _decoded(body: bytes) -> Any:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Takes a byte order mark, lone surrogates and numbers without an end, as the servers before us did.
        value = json.loads(body.decode("utf-8-sig"))
    return _storable(value)


def _storable(value: Any) -> Any:
    """The value without what no database takes: lone surrogates and NUL."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_storable(each) for each in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(each) for name, each in value.items()}
    return value
