"""The operations beside generations: calls that are forwarded, kept responses, files."""

from __future__ import annotations

from typing import Any, Final

from tidegate.server import urls
from tidegate.server.openapi.shared import failed, json_content, object_of, ref

Json = dict[str, Any]

TAGS: Final = [
    {"name": "calls", "description": "Ask a model for something else than an answer."},
    {"name": "responses", "description": "Responses that are kept."},
    {"name": "files", "description": "Files that are kept, each caller's apart."},
]

_FORWARDED: Final = {
    "/moderations": ("createModeration", "Judge a text"),
    "/images/generations": ("createImage", "Make images"),
    "/images/edits": ("editImage", "Change an image"),
    "/images/variations": ("varyImage", "Vary an image"),
    "/audio/speech": ("createSpeech", "Speak a text"),
    "/audio/transcriptions": ("createTranscription", "Write down what is said"),
    "/audio/translations": ("createTranslation", "Write down what is said, in English"),
}
_AS_IT_IS = (
    "Goes to an upstream as it came, JSON or `multipart/form-data`, with the model's name there; "
    "the answer comes back as the upstream sends it. Upstreams that speak `openai-chat` or "
    "`openai-responses` have such endpoints. Without a `model` the default model's upstream is asked."
)
_STRING: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_OBJECT: Final = {"type": "object"}


def paths() -> Json:
    """Operations by path, without its ``/v1``, and method."""
    return {
        urls.EMBEDDINGS: {"post": _embeddings("createEmbedding")},
        urls.ENGINE_EMBEDDINGS: {"post": _with(_embeddings("createEngineEmbedding"), "model")},
        urls.RERANK: {"post": _call("createRerank", "Order documents by a query", "Rerank")},
        **{path: {"post": _forwarded(*told)} for path, told in _FORWARDED.items()},
        urls.RESPONSE: {
            "get": _kept("retrieveResponse", "Show a kept response", _OBJECT),
            "delete": _kept("deleteResponse", "Delete a response, or stop it", ref("schemas", "Deleted")),
        },
        urls.RESPONSE_CANCEL: {"post": _kept("cancelResponse", "Stop a response", _OBJECT, refuses=True)},
        urls.RESPONSE_INPUT: {
            "get": _kept(
                "listInputItems", "List what a response was shown", ref("schemas", "Page"), refuses=True
            )
        },
        urls.FILES: {
            "get": _file("listFiles", "List the files", ref("schemas", "Page"), missing=False),
            "post": _upload(),
        },
        urls.FILES_SPLIT: {"post": _split()},
        urls.FILE: {
            "get": _with(_file("retrieveFile", "Show a file", ref("schemas", "File")), "file_id"),
            "delete": _with(_file("deleteFile", "Delete a file", ref("schemas", "Deleted")), "file_id"),
        },
        urls.FILE_CONTENT: {"get": _content()},
    }


def schemas() -> Json:
    """The schemas of all these."""
    page = {"type": ["string", "null"]}
    return {
        "Embeddings": _embeddings_answer(),
        "Rerank": _rerank_answer(),
        "Deleted": object_of({"id": _STRING, "object": _STRING, "deleted": {"const": True}}),
        "Page": object_of(
            {
                "object": {"const": "list"},
                "data": {"type": "array", "items": _OBJECT},
                "first_id": page,
                "last_id": page,
                "has_more": {"type": "boolean"},
            }
        ),
        "File": object_of(
            {
                "id": {"type": "string", "pattern": "^file-[0-9a-f]{24}$"},
                "object": {"const": "file"},
                "bytes": _COUNT,
                "created_at": _COUNT,
                "expires_at": {"type": "null"},
                "filename": _STRING,
                "purpose": _STRING,
                "status": {"const": "processed"},
                "status_details": {"type": "null"},
            }
        ),
        "Passages": object_of(
            {"id": _STRING, "object": {"const": "docs"}, "docs": {"type": "array", "items": _passage()}}
        ),
    }


def _embeddings_answer() -> Json:
    vector = {"oneOf": [{"type": "array", "items": {"type": "number"}}, _STRING]}
    row = object_of({"object": {"const": "embedding"}, "index": _COUNT, "embedding": vector})
    usage = object_of({"prompt_tokens": _COUNT, "total_tokens": _COUNT})
    return object_of(
        {
            "object": {"const": "list"},
            "data": {"type": "array", "items": row},
            "model": _STRING,
            "usage": usage,
        },
        description="`embedding` is a list of numbers, or with `encoding_format: base64` their little-endian "
        "float32 values, whatever the upstream gives; `dimensions` numbers each where that was asked for.",
    )


def _rerank_answer() -> Json:
    result = object_of(
        {"index": _COUNT, "relevance_score": {"type": "number"}, "document": {"type": ["object", "null"]}}
    )
    return object_of(
        {
            "id": _STRING,
            "model": _STRING,
            "object": {"const": "list"},
            "results": {"type": "array", "items": result},
            "usage": object_of({"prompt_tokens": _COUNT, "total_tokens": _COUNT}),
        },
        description="The best first; `document` only with `return_documents`.",
    )


def _passage() -> Json:
    return object_of({"page_content": _STRING, "metadata": _OBJECT, "type": {"const": "Document"}})


def _embeddings(name: str) -> Json:
    return _call(name, "Make vectors of texts", "Embeddings")


def _call(name: str, summary: str, schema: str) -> Json:
    answer = {"description": "The answer.", "content": json_content(ref("schemas", schema))}
    operation = _operation(name, "calls", summary, {"200": answer, **_call_failures()})
    return {**operation, "requestBody": {"required": True, "content": json_content(_OBJECT)}}


def _forwarded(name: str, summary: str) -> Json:
    answer = {"description": "The upstream's own answer.", "content": {"*/*": {"schema": {}}}}
    operation = _operation(name, "calls", summary, {"200": answer, **_call_failures()})
    content = {**json_content(_OBJECT), "multipart/form-data": {"schema": _OBJECT}}
    return {**operation, "description": _AS_IT_IS, "requestBody": {"required": True, "content": content}}


def _call_failures() -> Json:
    return {
        "400": failed("A field is wrong, or no deployment of the model has such an endpoint."),
        "404": failed("There is no such model, or its upstream has no such endpoint."),
        "413": failed("The body is over `server.max_body`."),
        "4XX": failed("The upstream's own refusal."),
        "5XX": failed("The upstream's failure, after retry and fallback; 503 when the gateway is full."),
    }


def _kept(name: str, summary: str, schema: Json, *, refuses: bool = False) -> Json:
    answers = {
        "200": {"description": "Done.", "content": json_content(schema)},
        "404": failed("The caller has no such response."),
    }
    if refuses:
        answers["400"] = failed("A parameter is wrong, or the response is not in a state for this.")
    return _with(_operation(name, "responses", summary, answers), "response_id")


def _file(name: str, summary: str, schema: Json, *, missing: bool = True) -> Json:
    answers = {"200": {"description": "Done.", "content": json_content(schema)}}
    if missing:
        answers["404"] = failed("The caller has no such file.")
    else:
        answers["400"] = failed("A parameter is wrong.")
    return _operation(name, "files", summary, answers)


def _upload() -> Json:
    operation = _file("createFile", "Keep a file", ref("schemas", "File"), missing=False)
    operation["responses"]["413"] = failed("It is over `server.max_body`, or the caller has no room left.")
    binary = {"type": "string", "format": "binary"}
    form = object_of({"file": binary, "purpose": _STRING}, ["file"])
    return {
        **operation,
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
    }


def _split() -> Json:
    operation = _file("splitFile", "Cut a text into passages", ref("schemas", "Passages"))
    operation["responses"]["400"] = failed("A field is wrong, or the file is no text.")
    names = ["ChineseRecursiveTextSplitter", "SpacyTextSplitter"]
    names += ["RecursiveCharacterTextSplitter", "MarkdownHeaderTextSplitter"]
    body = object_of(
        {
            "file_id": _STRING,
            "chunk_size": {"type": "integer", "default": 250},
            "chunk_overlap": {"type": "integer", "default": 50},
            "text_splitter_name": {"enum": names, "default": names[0]},
            "zh_title_enhance": {"type": "boolean", "default": False},
        },
        ["file_id"],
    )
    return {**operation, "requestBody": {"required": True, "content": json_content(body)}}


def _content() -> Json:
    operation = _with(_file("downloadFile", "Hand out a file", _OBJECT), "file_id")
    content: Json = {"application/octet-stream": {"schema": {}}}
    operation["responses"]["200"] = {"description": "Its bytes, as an attachment.", "content": content}
    return operation


def download(*, named: bool) -> Json:
    """What an agent made, at the address that its answer told."""
    operation = _with(_file("saveFile" if named else "saveFileById", "Save a file", _OBJECT), "file_id")
    if named:
        about = "For whoever saves it; the id alone decides."
        name = {"name": "name", "in": "path", "required": True, "schema": _STRING, "description": about}
        operation["parameters"].append(name)
    content: Json = {"*/*": {"schema": {}}}
    told = "Its bytes, in the type that the file has, as an attachment; `Range` is understood."
    operation["responses"]["200"] = {"description": told, "content": content}
    operation["responses"]["206"] = {"description": "The part that was asked for.", "content": content}
    return operation


def _with(operation: Json, name: str) -> Json:
    """The operation with a parameter of its path."""
    parameter = {"name": name, "in": "path", "required": True, "schema": _STRING}
    return {**operation, "parameters": [parameter]}


def _operation(name: str, tag: str, summary: str, answers: Json) -> Json:
    everywhere = {
        "401": ref("responses", "Unauthenticated"),
        "403": ref("responses", "NotFromHere"),
    }
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "responses": dict(sorted({**answers, **everywhere}.items())),
    }
