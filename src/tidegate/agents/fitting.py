"""Whether a JSON value fits a JSON schema, as far as such schemas go that describe what a person fills in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_BOUNDS: Final[Mapping[str, tuple[tuple[type, ...], Callable[[Any, Any], bool], str]]] = {
    "minimum": ((int, float), lambda value, bound: value >= bound, "is less than {}"),
    "maximum": ((int, float), lambda value, bound: value <= bound, "is more than {}"),
    "minLength": ((str,), lambda value, bound: len(value) >= bound, "is shorter than {} characters"),
    "maxLength": ((str,), lambda value, bound: len(value) <= bound, "is longer than {} characters"),
    "minItems": ((list,), lambda value, bound: len(value) >= bound, "has fewer than {} items"),
    "maxItems": ((list,), lambda value, bound: len(value) <= bound, "has more than {} items"),
}


def misfit(value: Any, schema: Mapping[str, Any], where: str = "the answer") -> str | None:
    """Why a value does not fit; None where it does.

    Looks at ``type``, ``enum``, ``const``, ``properties``, ``required``, ``additionalProperties: false``,
    ``items``, ``anyOf``, ``oneOf``, references to ``$defs`` and bounds; what else a schema says is passed
    over.
    """
    return _misfit(value, schema, where, schema.get("$defs") or {})


def _misfit(value: Any, schema: Mapping[str, Any], where: str, known: Mapping[str, Any]) -> str | None:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        schema = known.get(reference.removeprefix("#/$defs/"), {})
    any_of = schema.get("anyOf") or schema.get("oneOf")
    if any_of and all(_misfit(value, each, where, known) is not None for each in any_of):
        return f"{where} has none of the forms that it may have"
    wanted = schema.get("type")
    kinds = [wanted] if isinstance(wanted, str) else wanted or []
    if kinds and not any(_is_of(value, kind) for kind in kinds):
        return f"{where} must be of type {' or '.join(kinds)}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where} must be one of {', '.join(map(repr, schema['enum']))}"
    if "const" in schema and value != schema["const"]:
        return f"{where} must be {schema['const']!r}"
    for name, (types, holds, words) in _BOUNDS.items():
        bounded = isinstance(value, types) and not isinstance(value, bool)
        if name in schema and bounded and not holds(value, schema[name]):
            return f"{where} {words.format(schema[name])}"
    if isinstance(value, dict):
        return _members_misfit(value, schema, where, known)
    if isinstance(value, list) and isinstance(items := schema.get("items"), Mapping):
        found = (_misfit(each, items, f"{where}[{at}]", known) for at, each in enumerate(value))
        return next((reason for reason in found if reason is not None), None)
    return None


def _members_misfit(
    value: dict[str, Any], schema: Mapping[str, Any], where: str, known: Mapping[str, Any]
) -> str | None:
    members = schema.get("properties") or {}
    for name in schema.get("required") or ():
        if name not in value:
            return f"{name!r} is missing"
    for name, each in value.items():
        if name in members:
            if (reason := _misfit(each, members[name], repr(name), known)) is not None:
                return reason
        elif schema.get("additionalProperties") is False:
            return f"{name!r} is not asked for"
    return None


def _is_of(value: Any, kind: str) -> bool:
    types = _TYPES.get(kind)
    if types is None:
        return True
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, types) or (kind == "integer" and isinstance(value, float) and value.is_integer())
