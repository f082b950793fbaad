"""The operations beside generations: models, health, metrics, pages."""

from __future__ import annotations

from typing import Any

from tidegate.server.openapi.shared import failed, json_content, object_of, ref

Json = dict[str, Any]


def schemas() -> Json:
    """The schemas of models."""
    return {"ModelList": _model_list(), "Model": _model()}


def list_models() -> Json:
    """``GET /v1/models``."""
    return _operation(
        "listModels",
        "models",
        "List the models",
        {"200": {"description": "All models.", "content": json_content(ref("schemas", "ModelList"))}},
    )


def one_model() -> Json:
    """``GET /v1/models/{model}``."""
    answers = {
        "200": {"description": "The model.", "content": json_content(ref("schemas", "Model"))},
        "404": failed("There is no such model; the message names the nearest ones."),
    }
    operation = _operation("retrieveModel", "models", "Show one model", answers)
    operation["parameters"] = [
        {
            "name": "model",
            "in": "path",
            "required": True,
            "description": "A listed name, or `provider/model`; slashes need not be escaped.",
            "schema": {"type": "string"},
            "example": "demo",
        }
    ]
    return operation


def health() -> Json:
    """``GET /healthz``."""
    content = json_content(object_of({"status": {"const": "ok"}}))
    return _operation(
        "health",
        "operation",
        "Whether the process answers",
        {"200": {"description": "It does.", "content": content}},
        public=True,
    )


def ready() -> Json:
    """``GET /readyz``."""
    count = {"type": "integer", "minimum": 0}
    is_ready = object_of(
        {"status": {"const": "ready"}, "streams": count, "workers": count}, ["status", "streams"]
    )
    is_not = object_of({"status": {"enum": ["starting", "shutting down"]}})
    return _operation(
        "ready",
        "operation",
        "Whether new generations are taken",
        {
            "200": {
                "description": "Yes; `streams` are open. `workers` are there, where there are several.",
                "content": json_content(is_ready),
            },
            "503": {
                "description": "Not yet, or not any more. While the gateway starts, connections wait "
                "instead; while it shuts down, new ones are refused.",
                "content": json_content(is_not),
            },
        },
        public=True,
    )


def metrics() -> Json:
    """``GET /metrics``."""
    return _operation(
        "metrics",
        "operation",
        "Metrics for Prometheus",
        {
            "200": {
                "description": "The exposition text. Names follow OpenTelemetry's `gen_ai.server.*`, with "
                "underscores: `gen_ai_server_request_duration_seconds`, "
                "`gen_ai_server_time_to_first_token_seconds`, `gen_ai_server_time_per_output_token_seconds`; "
                "ours are `tidegate_open_streams` and `tidegate_attempts_total`.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            }
        },
    )


def page(name: str, summary: str) -> Json:
    """An HTML page."""
    content = {"text/html": {"schema": {"type": "string"}}}
    answer = {"200": {"description": "HTML without scripts.", "content": content}}
    return _operation(name, "pages", summary, answer, public=True)


def openapi() -> Json:
    """``GET /openapi.json``."""
    content = json_content({"type": "object"})
    return _operation(
        "openapi",
        "pages",
        "This document",
        {"200": {"description": "OpenAPI 3.1.", "content": content}},
        public=True,
    )


def _operation(name: str, tag: str, summary: str, answers: Json, *, public: bool = False) -> Json:
    """An operation; a public one needs no key, and every one is guarded while access is open."""
    operation: Json = {"operationId": name, "tags": [tag], "summary": summary}
    if public:
        operation["security"] = []
    else:
        answers = {**answers, "401": ref("responses", "Unauthenticated")}
    answers = {**answers, "403": ref("responses", "NotFromHere")}
    return {**operation, "responses": dict(sorted(answers.items()))}


def _model_list() -> Json:
    return object_of(
        {
            "object": {"const": "list"},
            "success": {"const": True, "description": "For clients of new-api."},
            "data": {"type": "array", "items": ref("schemas", "Model")},
        }
    )


def _model() -> Json:
    return object_of(
        {
            "id": {"type": "string"},
            "object": {"const": "model"},
            "created": {"type": "integer", "description": "Unix time; 0 where it is not known."},
            "owned_by": {"type": "string"},
            "root": {"type": "string", "description": "The same as `id`."},
            "parent": {"type": "null"},
            "permission": {"type": "array", "maxItems": 0},
            "display_name": {"type": "string"},
            "type": {"type": ["string", "null"], "description": "`chat`, `embedding`, `rerank` …, if known."},
            "context_length": {"type": ["integer", "null"], "description": "Tokens, where it is known."},
            "max_output_tokens": {"type": ["integer", "null"]},
            "capabilities": object_of({"supports_streaming": {"type": "boolean"}}),
            "pricing": {"type": "object", "description": "For a million tokens; absent where not known."},
        },
        [
            *("id", "object", "created", "owned_by", "root", "parent", "permission", "display_name"),
            *("type", "context_length", "max_output_tokens", "capabilities"),
        ],
        description="OpenAI's members first, then those that other systems' clients look for.",
    )
