"""Reads the body of a call as far as it must be known, and writes it for an upstream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from msgspec import Raw, Struct

from tidegate.dialects.translation.body import read_body
from tidegate.errors import InvalidRequest
from tidegate.wire.multipart import boundary_of, parts_of

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Asked:
    """A call's body. ``model`` is the caller's name for it, ``write`` makes the body for an upstream's name.

    ``fields`` are the members of a JSON body, each still encoded, and None for a form.
    """

    model: str | None
    content_type: str
    write: Callable[[str], bytes]
    fields: Mapping[str, Raw] | None = None

    def with_fields(self, changes: Mapping[str, Any], *, needs_model: bool = True) -> Asked:
        """The same with members of the JSON body replaced; those that are None are left out."""
        kept = {name: raw for name, raw in (self.fields or {}).items() if name not in changes}
        added = {name: value for name, value in changes.items() if value is not None}
        fields = {**kept, **added}
        return replace(self, write=_json_writer(fields, always=needs_model))


class _Known(Struct):
    model: str | None = None


_known = msgspec.json.Decoder(_Known)


def read_call(body: bytes, content_type: str) -> Asked:
    """The call in a caller's body: a form when the Content-Type says so, else JSON. Raises InvalidRequest."""
    boundary = boundary_of(content_type)
    if boundary is not None:
        return _form(body, content_type, boundary)
    known, fields = read_body(body, _known)
    return Asked(known.model or None, _JSON, _json_writer(fields, always=False), fields)


def _json_writer(fields: Mapping[str, Any], *, always: bool) -> Callable[[str], bytes]:
    def write(model: str) -> bytes:
        return msgspec.json.encode({**fields, "model": model} if always or "model" in fields else fields)

    return write


def _form(body: bytes, content_type: str, boundary: bytes) -> Asked:
    try:
        named = next((part for part in parts_of(body, boundary) if part.name == "model"), None)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    if named is None or named.end <= named.start:
        return Asked(None, content_type, lambda _: body)
    before, after = body[: named.start], body[named.end :]
    name = body[named.start : named.end].decode("utf-8", "replace").strip()
    if name and boundary in name.encode():
        raise InvalidRequest("'model' may not hold the boundary of its form", param="model")
    return Asked(name or None, content_type, lambda model: b"%b%b%b" % (before, model.encode(), after))
