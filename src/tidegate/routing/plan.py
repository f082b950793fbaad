"""The plan for a request: the route of the model that it names, then those of its fallback models."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from tidegate.core.request import Request
from tidegate.errors import InvalidRequest, NotFound
from tidegate.routing.suffix import split_suffix
from tidegate.routing.table import Route, Routes


class Asked(Struct, frozen=True):
    """A model that may answer, and what it is asked."""

    route: Route
    request: Request


Plan = tuple[Asked, ...]
"""In the order in which they are tried; never empty."""


def plan(routes: Routes, request: Request) -> Plan:
    """The models that may answer a request.

    Raises NotFound for a model that is not there, InvalidRequest for such a fallback model.
    """
    first = _asked(routes, request.model, request)
    if not request.fallback_models or not request.fallback:
        return (first,)
    asked = [first]
    unknown: list[str] = []
    for name in request.fallback_models:
        try:
            each = _asked(routes, name, request)
        except NotFound as error:
            unknown.append(error.message)
        else:
            if each not in asked:
                asked.append(each)
    if unknown:
        raise InvalidRequest(
            f"'fallback_models' cannot be tried: {'; '.join(unknown)}",
            param="fallback_models",
            code="model_not_found",
        )
    return tuple(asked)


def _asked(routes: Routes, name: str | None, request: Request) -> Asked:
    """The model of this name, which may say at its end how much to think; a whole name goes first."""
    try:
        return Asked(routes.resolve(name), request)
    except NotFound:
        split = split_suffix(name or "")
        route = routes.get(split[0]) if split else None
        if split is None or route is None:
            raise
    return Asked(route, msgspec.structs.replace(request, reasoning=split[1]))
