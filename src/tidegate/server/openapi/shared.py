"""What several operations share: how a caller is known, response headers, errors, token counts."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def ref(kind: str, name: str) -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def json_content(schema: Json) -> Json:
    """The content of a JSON body."""
    return {"application/json": {"schema": schema}}


def object_of(
    properties: Json, required: list[str] | None = None, description: str = "", **more: Any
) -> Json:
    """An object's schema. All properties are required unless ``required`` says which; others are allowed."""
    schema: Json = {"type": "object"}
    if description:
        schema["description"] = description
    schema["required"] = list(properties) if required is None else required
    if not schema["required"]:
        del schema["required"]
    return {**schema, "properties": properties, **more}


def security_schemes() -> Json:
    """The forms in which a key is accepted, in the order in which they are looked for."""
    return {
        "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
        "authorization": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Authorization: KEY`, without a scheme",
        },
        "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        "api-key": {"type": "apiKey", "in": "header", "name": "api-key"},
        "x-goog-api-key": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
    }


def headers() -> Json:
    """The response headers that are ours or that mean something here."""
    return {
        "Tidegate-Stream": {
            "description": "The id of the generation: 32 hexadecimal digits. On every answer for which a "
            "generation was begun, failed ones included.",
            "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        },
        "Tidegate-Dropped": {
            "description": "The fields of the request that the upstream was not told, separated by commas, "
            "since its dialect has no form for them. Only where there are any.",
            "schema": {"type": "string"},
        },
        "X-Request-Id": {
            "description": "The request's own `X-Request-Id` where it sent one of at most 128 ASCII "
            "characters, else the id of the generation, or one made for a request that began none.",
            "schema": {"type": "string"},
        },
        "Retry-After": {
            "description": "Seconds, where it is known when to try again.",
            "schema": {"type": "integer", "minimum": 1},
        },
    }


def generation_headers() -> Json:
    """The headers of every answer for which a generation was begun."""
    return {name: ref("headers", name) for name in ("Tidegate-Stream", "X-Request-Id")}


def schemas() -> Json:
    """The error envelope and the token counts."""
    return {
        "Error": object_of({"error": ref("schemas", "ErrorObject")}, description="OpenAI's error envelope."),
        "ErrorObject": object_of(
            {
                "message": {"type": "string", "description": "One sentence that says what to change."},
                "type": {
                    "type": "string",
                    "description": "`invalid_request_error`, `authentication_error`, `permission_error`, "
                    "`not_found_error`, `timeout_error`, `overloaded_error`, `upstream_error`, "
                    "`engine_unavailable`, `cancelled`, `internal_error`, or an upstream's own word.",
                },
                "param": {"type": ["string", "null"], "description": "The field at fault."},
                "code": {
                    "type": ["string", "null"],
                    "description": "For programs: `model_not_found`, `model_required`, `invalid_api_key`, "
                    "`host_not_allowed`, `origin_not_allowed`, `upstream_authentication`; `connect`, "
                    "`first_token`, `idle` or `total` for the deadline that passed; or an upstream's "
                    "own word.",
                },
            }
        ),
        "Usage": object_of(
            {
                name: {"type": "integer", "minimum": 0}
                for name in ("prompt_tokens", "completion_tokens", "total_tokens")
            },
            description="Token counts: the upstream's own object, with whatever details it holds, and the "
            "three counts always there (0 where the upstream told nothing).",
        ),
    }


def failed(description: str, headers: Json | None = None) -> Json:
    """An error response in the envelope."""
    response: Json = {"description": description, "content": json_content(ref("schemas", "Error"))}
    return {**response, "headers": headers} if headers else response


def responses() -> Json:
    """The error responses of more than one operation."""
    return {
        "Unauthenticated": failed("The key is missing or wrong. Only when keys are required."),
        "NotFromHere": failed(
            "`Host` or `Origin` is not this machine. Only while access is open: any web page could spend the "
            "user's money otherwise."
        ),
    }
