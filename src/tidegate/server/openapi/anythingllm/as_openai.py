"""The operations below ``/api/v1/openai``: workspaces as models of OpenAI's API."""

from __future__ import annotations

from typing import Any, Final

from tidegate.server import urls
from tidegate.server.anythingllm import paths as at
from tidegate.server.openapi import chat
from tidegate.server.openapi.anythingllm.forms import (
    COUNT,
    FLAG,
    MAYBE_STRING,
    OBJECT,
    STRING,
    STRINGS,
    aborted,
    answer,
    list_of,
    operation,
)
from tidegate.server.openapi.shared import json_content, object_of, ref

Json = dict[str, Any]

_TAG: Final = "workspaces"
_CHAT: Final = urls.CHAT_POSTS[-1]
(_IMAGES,) = urls.CALLS_OF_WORKSPACES


def paths() -> Json:
    """Operations by path and method."""
    return {
        at.OPENAI_MODELS: {"get": _models()},
        _CHAT: {"post": _chat()},
        at.OPENAI_EMBEDDINGS: {"post": _embeddings()},
        at.VECTOR_STORES: {"get": _stores()},
        _IMAGES: {"post": _images()},
    }


def _models() -> Json:
    model = {"id": STRING, "object": {"const": "model"}, "created": COUNT, "owned_by": STRING}
    told = object_of({"object": {"const": "list"}, "data": list_of(object_of(model))})
    return operation(
        "listWorkspacesAsModels", _TAG, "List the workspaces as models", {"200": answer("All.", told)}
    )


def _chat() -> Json:
    asked = chat.operation()
    return {
        **asked,
        "operationId": "askWorkspaceAsModel",
        "tags": [_TAG],
        "summary": "Ask a workspace in OpenAI's words",
        "description": "`model` is a workspace's slug. Request, answer and errors are those of "
        "`POST /v1/chat/completions`, the answer to a wrong key too.",
        "requestBody": {"required": True, "content": json_content(ref("schemas", "ChatRequest"))},
    }


def _embeddings() -> Json:
    row = {"object": {"const": "embedding"}, "embedding": list_of({"type": "number"}), "index": COUNT}
    told = {"object": {"const": "list"}, "data": list_of(object_of(row)), "model": STRING}
    texts = {"oneOf": [STRING, {**STRINGS, "minItems": 1, "maxItems": 2048}]}
    answers = {
        "200": answer("The vectors.", object_of(told)),
        "400": aborted("`input` is no text, no model makes vectors, or the body is no JSON object."),
        "4XX": aborted("The upstream's own refusal."),
        "5XX": aborted("The upstream's failure, after retry and fallback."),
    }
    body = object_of({"input": texts, "inputs": texts}, [], "One of the two.")
    return operation("embedAsWorkspaces", _TAG, "Make vectors of texts", answers, body=body, needs_body=True)


def _stores() -> Json:
    store = {
        "id": STRING,
        "object": {"const": "vector_store"},
        "name": STRING,
        "file_counts": object_of({"total": COUNT}),
        "provider": {"const": "lancedb"},
    }
    told = {
        "first_id": MAYBE_STRING,
        "last_id": MAYBE_STRING,
        "data": list_of(object_of(store)),
        "has_more": FLAG,
    }
    answers = {"200": answer("All; none where there is a query.", object_of(told, ["data", "has_more"]))}
    return operation("listVectorStores", _TAG, "List the workspaces as vector stores", answers)


def _images() -> Json:
    whole: Json = {"*/*": {"schema": {}}}
    answers = {
        "200": {"description": "The upstream's own answer.", "content": whole},
        "400": aborted("A field is wrong, or no deployment of the model makes images."),
        "404": aborted("There is no such model, or its upstream makes no images."),
        "4XX": aborted("The upstream's own refusal; or the body is too large."),
        "5XX": aborted("The upstream's failure, after retry and fallback."),
    }
    told = operation("createImageAsWorkspaces", _TAG, "Make images", answers, body=OBJECT, needs_body=True)
    told["requestBody"]["content"] |= {"multipart/form-data": {"schema": OBJECT}}
    return {**told, "description": "As `POST /v1/images/generations`."}
