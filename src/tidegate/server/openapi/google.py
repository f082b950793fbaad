"""The operations on Google's paths: generations in Gemini's own form, its models, and counting tokens."""

from __future__ import annotations

from typing import Any, Final

from tidegate.server.openapi.shared import generation_headers, json_content, object_of, ref

Json = dict[str, Any]

TAG: Final = {"name": "google", "description": "Google's native Gemini API, for Google's SDKs."}

_MODELS: Final = "/v1beta/models"
_MODEL: Final = _MODELS + "/{model}"
_OBJECT: Final = {"type": "object"}
_OBJECTS: Final = {"type": "array", "items": _OBJECT}
_COUNT: Final = {"type": "integer", "minimum": 0}
_KEY: Final = {
    "name": "key",
    "in": "query",
    "description": "A key, where no header has one (`x-goog-api-key` or those of every path).",
    "schema": {"type": "string"},
}
_NAME: Final = {
    "name": "model",
    "in": "path",
    "required": True,
    "description": "A listed name, or `provider/model`; slashes need not be escaped.",
    "schema": {"type": "string"},
}
_ALT: Final = {
    "name": "alt",
    "in": "query",
    "description": "`sse` streams server-sent events; without it the chunks are one JSON array.",
    "schema": {"enum": ["sse", "json"]},
}


def paths() -> Json:
    """Operations by path and method. All are served below `/v1alpha`, `/v1` and without a version as well."""
    return {
        _MODELS: {"get": _operation("listGoogleModels", "List the models", _models(), [])},
        _MODEL: {
            "get": _operation("getGoogleModel", "Show one model", ref("schemas", "GoogleModel"), [_NAME])
        },
        f"{_MODEL}:generateContent": {"post": _generation("generateContent", "Ask a model", [_NAME])},
        f"{_MODEL}:streamGenerateContent": {
            "post": _generation("streamGenerateContent", "Ask a model for a stream", [_NAME, _ALT])
        },
        f"{_MODEL}:countTokens": {
            "post": _asking(
                _operation("countTokens", "Estimate how many tokens a request has", _counted(), [_NAME])
            )
        },
    }


def schemas() -> Json:
    """The schemas of the body, of an answer or a chunk of one, of a model, and Google's error envelope."""
    text = {"type": "string"}
    return {
        "GenerateContentRequest": object_of(
            {
                "contents": _OBJECTS,
                "systemInstruction": _OBJECT,
                "tools": _OBJECTS,
                "toolConfig": _OBJECT,
                "generationConfig": _OBJECT,
            },
            ["contents"],
        ),
        "GenerateContentResponse": object_of(
            {
                "candidates": _OBJECTS,
                "usageMetadata": _OBJECT,
                "modelVersion": text,
                "responseId": text,
            },
            ["modelVersion", "responseId"],
        ),
        "GoogleModel": object_of(
            {"name": {"type": "string", "pattern": "^models/"}, "displayName": text}, ["name"]
        ),
        "GoogleError": object_of(
            {"error": object_of({"code": _COUNT, "message": text, "status": text})},
            description="Google's error envelope.",
        ),
    }


def _models() -> Json:
    return object_of({"models": {"type": "array", "items": ref("schemas", "GoogleModel")}})


def _counted() -> Json:
    return object_of({"totalTokens": _COUNT})


def _generation(name: str, summary: str, parameters: list[Json]) -> Json:
    operation = _asking(_operation(name, summary, ref("schemas", "GenerateContentResponse"), parameters))
    answer = operation["responses"]["200"]
    answer["headers"] = generation_headers()
    if _ALT in parameters:
        chunk = ref("schemas", "GenerateContentResponse")
        answer["content"] = {
            **json_content({"type": "array", "items": chunk}),
            "text/event-stream": {"schema": {"type": "string"}, "x-itemSchema": chunk},
        }
    return operation


def _asking(operation: Json) -> Json:
    body = json_content(ref("schemas", "GenerateContentRequest"))
    operation["responses"]["400"] = _failed("The body is wrong, or has what the upstream has no form for.")
    return {**operation, "requestBody": {"required": True, "content": body}}


def _operation(name: str, summary: str, schema: Json, parameters: list[Json]) -> Json:
    answers = {
        "200": {"description": "Done.", "content": json_content(schema)},
        "401": _failed("The key is missing or wrong."),
        "403": _failed("While access is open: not from this machine."),
    }
    if parameters:
        answers["404"] = _failed("There is no such model; the message names the nearest ones.")
    return {
        "operationId": name,
        "tags": [TAG["name"]],
        "summary": summary,
        "parameters": [*parameters, _KEY],
        "responses": answers,
    }


def _failed(description: str) -> Json:
    return {"description": description, "content": json_content(ref("schemas", "GoogleError"))}
