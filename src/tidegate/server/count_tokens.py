"""``POST /v1/messages/count_tokens``: counted by the upstream where it can, else estimated and said so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from tidegate.core.request import Request
from tidegate.dialects.anthropic_messages import (
    COUNT_TARGET,
    DIALECT,
    estimate_tokens,
    read_count,
    write_count,
)
from tidegate.errors import Broken
from tidegate.routing.table import Route
from tidegate.sources.upstream import UpstreamSource

_SECONDS: Final = 15.0
_WITHOUT_COUNTING: Final = frozenset({404, 405, 501})
"""Statuses of servers that speak Messages and count no tokens."""

ESTIMATED: Final = {"tidegate-estimated": "input_tokens"}
"""The header of an answer that is an estimate."""


def read(body: bytes, headers: Mapping[str, str]) -> Request:
    """The request. ``headers`` are the caller's. Raises InvalidRequest."""
    return read_count(body, {name: headers[name] for name in DIALECT.forwards if name in headers})


async def count(request: Request, route: Route) -> tuple[bytes, Mapping[str, str]]:
    """The body of the answer, and its headers. Raises SourceError when the upstream refuses."""
    for deployment in route.deployments:
        source = deployment.source
        if isinstance(source, UpstreamSource) and source.server.dialect.name == DIALECT.name:
            body = write_count(request, source.model, source.server.quirks)
            status, answer = await source.ask(COUNT_TARGET, request, body, _SECONDS)
            if status == 200:
                return _checked(answer), {}
            if status not in _WITHOUT_COUNTING:
                raise DIALECT.read_error(status, answer, None)
    return msgspec.json.encode({"input_tokens": estimate_tokens(request)}), ESTIMATED


def _checked(answer: bytes) -> bytes:
    """An upstream's count, as it came."""
    try:
        value = msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    if not isinstance(value, dict) or not isinstance(value.get("input_tokens"), int):
        raise Broken("the upstream's count of tokens cannot be read")
    return answer
