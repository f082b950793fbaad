"""Fields that a request of any dialect may have beside its own: they are the gateway's, and no upstream's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

from tidegate.core.request import Request
from tidegate.errors import InvalidRequest

_MOST_FALLBACKS: Final = 8
_FALLBACKS: Final = "fallback_models"

_ALONE: Final = "disable_fallbacks"

_THINKING: Final = "thinking_to_content"

OPTIONS: Final = frozenset({_FALLBACKS, _ALONE, _THINKING})
"""Their names."""


class Options(NamedTuple):
    """What a caller chose; the names are those of :class:`tidegate.core.request.Request`."""

    fallback_models: tuple[str, ...] = ()
    disable_fallbacks: bool = False
    thinking_to_content: bool | None = None


_NONE: Final = Options()


def read_options(fields: Mapping[str, Raw]) -> Options:
    """The options among the members of a body. Raises InvalidRequest, naming the field."""
    if OPTIONS.isdisjoint(fields):
        return _NONE
    return Options(
        _fallbacks(fields[_FALLBACKS]) if _FALLBACKS in fields else (),
        bool(_switch(_ALONE, fields[_ALONE])) if _ALONE in fields else False,
        _switch(_THINKING, fields[_THINKING]) if _THINKING in fields else None,
    )


def without_options(request: Request) -> Request:
    """The request as an upstream may get it."""
    if OPTIONS.isdisjoint(request.fields):
        return request
    fields = {name: value for name, value in request.fields.items() if name not in OPTIONS}
    return msgspec.structs.replace(request, fields=fields)


def _switch(name: str, encoded: Raw) -> bool | None:
    try:
        return msgspec.json.decode(encoded, type=bool | None)
    except msgspec.DecodeError:
        raise InvalidRequest(f"{name!r} must be true or false", param=name) from None


def _fallbacks(encoded: Raw) -> tuple[str, ...]:
    """Names of models, each once."""
    try:
        names = msgspec.json.decode(encoded, type=list[str] | None)
    except msgspec.DecodeError:
        raise InvalidRequest(f"{_FALLBACKS!r} must be a list of model names", param=_FALLBACKS) from None
    names = list(dict.fromkeys(names or ()))
    if len(names) > _MOST_FALLBACKS:
        raise InvalidRequest(
            f"{_FALLBACKS!r} may name {_MOST_FALLBACKS} models, not {len(names)}", param=_FALLBACKS
        )
    return tuple(names)
