"""What operations below ``/api`` share: AnythingLLM's forms of refusals, bare phrases, pieces of schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidegate.server.openapi.shared import json_content, object_of, ref
from tidegate.workspaces.settings import MOST

Json = dict[str, Any]

STRING: Final = {"type": "string"}
FLAG: Final = {"type": "boolean"}
COUNT: Final = {"type": "integer", "minimum": 0}
NUMBER: Final = {"type": "integer", "minimum": 1, "maximum": MOST}
"""An id in AnythingLLM's tables."""
MAYBE_NUMBER: Final = {"type": ["integer", "null"]}
MAYBE_STRING: Final = {"type": ["string", "null"]}
NOTHING: Final = {"type": "null"}
MOMENT: Final = {"type": "string", "format": "date-time"}
OBJECT: Final = {"type": "object"}
STRINGS: Final = {"type": "array", "items": STRING}
NUMBERS: Final = {"type": "array", "items": NUMBER}
DONE: Final = object_of({"success": FLAG, "error": MAYBE_STRING})
"""Whether it was done, and if not, why."""

ABORT: Final = ref("schemas", "AnythingLLMAbort")
_BAD_BODY: Final = "The body is no JSON object, or has far too many values."
_SOME_ONLY: Final = "The key is missing or wrong, or for some workspaces only; or it is not from here."
_NO_KEY: Final = (
    "The key is missing or wrong; or, while access is open, `Host` or `Origin` is not this machine."
)


def schemas() -> Json:
    """The two forms of refusals."""
    return {
        "AnythingLLMAbort": object_of(
            {
                "id": {"type": "string", "format": "uuid"},
                "type": {"const": "abort"},
                "textResponse": NOTHING,
                "sources": {"type": "array", "maxItems": 0},
                "close": {"const": True},
                "error": {"type": "string", "description": "One sentence that says what to change."},
                "errorMsg": {"type": "string", "description": "With status 429 only: why."},
            },
            ["id", "type", "textResponse", "sources", "close", "error"],
            "AnythingLLM's form of an error.",
        ),
        "AnythingLLMRefusal": object_of(
            {"error": {"type": "string", "description": "`No valid api key found.`, or what else is wrong."}},
            description="AnythingLLM's form of status 403.",
        ),
    }


def operation(
    name: str,
    tag: str,
    summary: str,
    answers: Mapping[str, Json],
    *,
    parameters: Sequence[Json] = (),
    body: Json | None = None,
    needs_body: bool = False,
    public: bool = False,
    creates: bool = False,
    description: str = "",
) -> Json:
    """An operation. ``body`` is the schema of a JSON object; without one the request has no body.

    ``creates`` says that a key that is for some workspaces only is refused.
    """
    told: Json = {"operationId": name, "tags": [tag], "summary": summary}
    if description:
        told["description"] = description
    if public:
        told["security"] = []
    if parameters:
        told["parameters"] = list(parameters)
    if body is not None:
        told["requestBody"] = {"required": needs_body, "content": json_content(body)}
        answers = {"400": aborted(_BAD_BODY), **answers}
    refused = answer(_SOME_ONLY if creates else _NO_KEY, ref("schemas", "AnythingLLMRefusal"))
    told["responses"] = dict(sorted({"403": refused, **answers}.items()))
    return told


def path_parameters(**names: str) -> list[Json]:
    """Parameters of a path, each with its meaning."""
    return [
        {"name": name, "in": "path", "required": True, "description": about, "schema": STRING}
        for name, about in names.items()
    ]


def query(name: str, schema: Json, description: str) -> Json:
    """A parameter of the query."""
    return {"name": name, "in": "query", "description": description, "schema": schema}


def answer(description: str, schema: Json) -> Json:
    """An answer in JSON."""
    return {"description": description, "content": json_content(schema)}


def aborted(description: str, *others: Json) -> Json:
    """An error in AnythingLLM's form; ``others`` are the schemas of what else may be told."""
    return answer(description, {"oneOf": [*others, ABORT]} if others else ABORT)


def phrase(description: str, words: str, *, or_aborted: bool = False) -> Json:
    """A status with its own name for a body."""
    content: Json = {"text/plain": {"schema": {"const": words}}}
    if or_aborted:
        content |= json_content(ABORT)
    return {"description": description, "content": content}


def list_of(schema: Json) -> Json:
    """The schema of a list."""
    return {"type": "array", "items": schema}
