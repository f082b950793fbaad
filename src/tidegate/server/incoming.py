"""Reads requests that the ASGI application serves: their headers, and their bodies within the limit."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.types import Receive, Scope

from tidegate.errors import BodyTooLarge, InvalidRequest


class Gone(Exception):
    """The client has left before its request was complete."""


def header_of(scope: Scope, name: bytes) -> str:
    """A request header, empty when it is not there; ``name`` in lower case."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def read_limit(asked: Mapping[str, str], most: int, default: int) -> int:
    """The ``limit`` of a query, from 1 to ``most``. Raises InvalidRequest."""
    limit = asked.get("limit", str(default))
    # \d alone would take digits that int() reads in other scripts; int() takes no more than 4300 of them.
    if not re.fullmatch("[0-9]{1,9}", limit) or not 1 <= int(limit) <= most:
        raise InvalidRequest(f"'limit' must be from 1 to {most}", param="limit")
    return int(limit)


def over_limit(most: int) -> str:
    """What is said of a body of more than ``most`` bytes."""
    shown = f"{most >> 20} MiB" if most % (1 << 20) == 0 else f"{most} bytes"
    return f"the request body is over the limit of {shown}; raise server.max_body in tidegate.yaml to take it"


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """The whole body. Raises BodyTooLarge, also for what is announced as such, or Gone."""
    announced = header_of(scope, b"content-length")
    parts = []
    size = int(announced) if announced.isdigit() and int(announced) > most else 0
    more = size == 0
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False) and size <= most
    if size > most:
        raise BodyTooLarge(over_limit(most))
    return b"".join(parts)
