"""The plan for a request: the route of the model that it names, then those of its fallback models."""

from __future__ import annotations

from typing import NamedTuple

from tidegate.core.request import Request
from tidegate.errors import InvalidRequest, NotFound
from tidegate.routing.table import Route, Routes


class Asked(NamedTuple):
    """A model that may answer, and what it is asked."""

    route: Route
    request: Request


Plan = tuple[Asked, ...]
"""In the order in which they are tried; never empty."""


def plan(routes: Routes, request: Request) -> Plan:
    """The models that may answer a request.

    Raises NotFound for a model that is not there, InvalidRequest for such a fallback model.
    """
    asked = [Asked(routes.resolve(request.model), request)]
    unknown: list[str] = []
    for name in request.fallback_models:
        try:
            each = Asked(routes.resolve(name), request)
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
