"""Gemini's ``Schema`` objects, a cut of OpenAPI's, as JSON schemas (https://ai.google.dev/api/caching#Schema)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_COUNTS: Final = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_NAMES: Final[Mapping[str, str]] = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
}


def json_schema(schema: Any) -> Any:
    """The JSON schema of the same values; what is one already stays as it is."""
    if not isinstance(schema, dict):
        return schema
    written: dict[str, Any] = {}
    for given, value in schema.items():
        name: str = _NAMES.get(given, given)
        if name in ("propertyOrdering", "property_ordering", "nullable"):
            continue
        if name == "type" and isinstance(value, str):
            written[name] = value.lower()
        elif name == "properties" and isinstance(value, dict):
            written[name] = {each: json_schema(inner) for each, inner in value.items()}
        elif name == "items":
            written[name] = json_schema(value)
        elif name == "anyOf" and isinstance(value, list):
            written[name] = [json_schema(each) for each in value]
        elif name in _COUNTS and isinstance(value, str):
            written[name] = int(value)  # 64-bit numbers are strings in Google's JSON
        else:
            written[name] = value
    if schema.get("nullable") is True and isinstance(written.get("type"), str):
        written["type"] = [written["type"], "null"]
    return written
