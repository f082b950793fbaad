"""Rerank in the form of Jina and Cohere, of which api-for-open-llm's is a part.

Documents go out as texts, which every server takes; their texts come back from the caller's own request.
(https://jina.ai/reranker, https://docs.cohere.com/v1/reference/rerank)
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from tidegate.dialects.translation.body import read_body
from tidegate.errors import Broken, InvalidRequest
from tidegate.server.calls.embeddings import UNREADABLE


class Wanted(Struct, frozen=True):
    """What is to be ordered, and how much of it is to be told."""

    query: str | dict[str, Any]
    documents: list[str | dict[str, Any]]
    top_n: int | None = None
    return_documents: bool | None = None


_wanted = msgspec.json.Decoder(Wanted)


def read_wanted(body: bytes) -> Wanted:
    """What a body asks for. Raises InvalidRequest."""
    wanted, _ = read_body(body, _wanted)
    if not wanted.documents:
        raise InvalidRequest("'documents' is empty; send at least one", param="documents")
    if wanted.top_n is not None and wanted.top_n < 1:
        raise InvalidRequest("'top_n' must be 1 or more", param="top_n")
    return wanted


def changes(wanted: Wanted) -> dict[str, Any]:
    """The members of the body that an upstream is sent otherwise."""
    return {"documents": [_text_of(each) for each in wanted.documents], "return_documents": None}


def answer(body: bytes, wanted: Wanted, made_id: str) -> dict[str, Any]:
    """The answer for a caller, from an upstream's. Raises Broken for one that holds no order."""
    try:
        told = msgspec.json.decode(body)
        if isinstance(told, list):  # text-embeddings-inference
            told = {"results": told}
        results = [_result(each, wanted) for each in told.get("results") or told["data"]]
    except UNREADABLE as error:
        raise Broken(f"the upstream's answer holds no results ({type(error).__name__})") from None
    results.sort(key=lambda each: -each["relevance_score"])
    return {
        **{name: value for name, value in told.items() if name != "data"},
        "id": told.get("id") or f"rerank-{made_id}",
        "object": "list",
        "results": results[: wanted.top_n],
        "usage": _usage(told),
    }


def _result(told: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    index = range(len(wanted.documents))[told["index"]]
    score = float(told["relevance_score"] if "relevance_score" in told else told["score"])
    document = wanted.documents[index]
    shown = {"text": document} if isinstance(document, str) else document
    return {
        "index": index,
        "relevance_score": score,
        "document": shown if wanted.return_documents else None,
    }


def _text_of(document: str | dict[str, Any]) -> Any:
    """A document as a text; one that holds more, such as an image, stays as it is."""
    if isinstance(document, dict) and document.keys() == {"text"} and isinstance(document["text"], str):
        return document["text"]
    return document


def _usage(told: dict[str, Any]) -> dict[str, Any]:
    usage = told.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    count = usage.get("total_tokens") or usage.get("prompt_tokens") or 0
    return {**usage, "prompt_tokens": usage.get("prompt_tokens") or count, "total_tokens": count}
