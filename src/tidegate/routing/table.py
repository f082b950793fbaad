"""The routes: public model name to ordered deployments. Immutable; a reload makes a new table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from tidegate.config import Retry, Timeouts
from tidegate.core.request import OnBreak, OnDisconnect
from tidegate.core.source import Source
from tidegate.errors import Forbidden, InvalidRequest, NotFound
from tidegate.routing.health import Health

_MOST_NEAR: Final = 3


@dataclass(frozen=True, slots=True)
class Deployment:
    """A source that answers for a model, bound to the name that it knows the model under."""

    name: str
    source: Source
    health: Health
    weight: float = 1.0
    max_streams: int | None = None
    model: str = ""
    """The name that its source knows the model under; empty where only it has that model."""
    same_as: str | None = None

    def same(self, other: Deployment) -> bool:
        """Whether both answer with the same model: by its upstream's name, or by the operator's word."""
        return (
            self is other
            or (self.model != "" and self.model == other.model)
            or (self.same_as is not None and self.same_as == other.same_as)
        )


@dataclass(frozen=True, slots=True)
class Route:
    """What answers for one public model name, and with how much patience."""

    model: str
    deployments: tuple[Deployment, ...]
    timeouts: Timeouts
    retry: Retry
    on_disconnect: OnDisconnect = "cancel"
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What ``GET /v1/models`` tells beside the name: owned_by, context_length, created …"""
    thinking_to_content: bool = False
    on_break: OnBreak = "continue"


WORKSPACE: Final = "workspace"
"""The type, among the facts of a route, of one that answers from a caller's documents."""

_LONGEST_SHOWN = 100

PassThrough = Callable[[str], Route | None]
"""Finds a route for names of the form ``provider/model`` that no list holds."""


class Routes:
    """Looks models up. Names match exactly; a name without a match may still pass through."""

    def __init__(self, routes: Iterable[Route], default: str | None, pass_through: PassThrough) -> None:
        self._routes = {route.model: route for route in routes}
        self._pass_through = pass_through
        self.default = default

    def resolve(self, model: str | None) -> Route:
        """The route for a request's model. Raises NotFound or InvalidRequest, with what to do instead."""
        if model is None:
            if self.default is None:
                raise InvalidRequest(
                    "'model' is missing and no default_model is configured; name one of "
                    + _listed(list(self._routes)),
                    param="model",
                    code="model_required",
                )
            model = self.default
        route = self._routes.get(model) or self._pass_through(model)
        if route is None:
            raise NotFound(self._unknown(model), param="model", code="model_not_found")
        return route

    def get(self, model: str) -> Route | None:
        """The listed route of this name."""
        return self._routes.get(model)

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes.values())

    def __len__(self) -> int:
        return len(self._routes)

    def within(self, models: Sequence[str] | None) -> Routes:
        """The same for a caller whose key is for these models only; None is all of them.

        A name that ends in ``*`` stands for all that begin like it.
        """
        return self if models is None else _Within(self, tuple(models))

    def _unknown(self, model: str) -> str:
        shown = model if len(model) <= _LONGEST_SHOWN else f"{model[:_LONGEST_SHOWN]}…"
        near = _nearest(shown, self._routes)
        if near:
            return f"there is no model {shown!r} here; did you mean {_listed(near)}?"
        return f"there is no model {shown!r} here; GET /v1/models lists what there is: " + _listed(
            list(self._routes)
        )


class _Within(Routes):
    """The part of a table that a key is for. What is beyond it is there, and refused."""

    def __init__(self, whole: Routes, models: tuple[str, ...]) -> None:
        self._whole = whole
        self._models = models
        self.default = whole.default if whole.default and self._allows(whole.default) else None

    def resolve(self, model: str | None) -> Route:
        """See :class:`Routes`, as for all that follow. Raises Forbidden as well."""
        return self._checked(self._whole.resolve(model))

    def get(self, model: str) -> Route | None:
        route = self._whole.get(model)
        return None if route is None else self._checked(route)

    def within(self, models: Sequence[str] | None) -> Routes:
        return self._whole.within(models)

    def __iter__(self) -> Iterator[Route]:
        return (route for route in self._whole if self._allows(route.model))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _checked(self, route: Route) -> Route:
        # Which workspaces a key is for it says otherwise, and what they ask is checked when they ask it.
        if self._allows(route.model) or route.facts.get("type") == WORKSPACE:
            return route
        raise Forbidden(
            f"this key is not for the model {route.model!r}; it is for {_listed(list(self._models))}",
            param="model",
            code="model_not_allowed",
        )

    def _allows(self, model: str) -> bool:
        return any(
            model == each or (each.endswith("*") and model.startswith(each[:-1])) for each in self._models
        )


def _nearest(asked: str, names: Iterable[str]) -> list[str]:
    """What was probably meant, in whatever case: names that look alike, else those that it is a part of."""
    folded: dict[str, str] = {}
    for name in names:
        folded.setdefault(name.casefold(), name)
    near = get_close_matches(asked.casefold(), folded, n=_MOST_NEAR, cutoff=0.6)
    if asked and not near:
        near = [each for each in folded if asked.casefold() in each][:_MOST_NEAR]
    return [folded[each] for each in near]


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
