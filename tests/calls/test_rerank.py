"""Rerank has one form, a superset of those of Jina, Cohere and api-for-open-llm."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chat import Json, plain
from tests.gateway import Gateway
from tests.raw_http import fetch
from tests.upstream import Upstream

DOCUMENTS = ["first", {"text": "second"}, "third"]
ORDER = [(1, 0.9), (2, 0.5), (0, -3.5)]


def ask(gateway: Gateway, **fields: Any) -> Json:
    body = {"model": "m", "query": "q", "documents": DOCUMENTS, **fields}
    response = fetch(gateway.address, "POST", "/v1/rerank", body)
    assert response.status == 200, response.body
    answer: Json = response.json
    return answer


def rows(*order: tuple[int, float], **more: Any) -> list[Json]:
    return [{"index": index, "relevance_score": score, **more} for index, score in order]


SHAPES: dict[str, Any] = {
    "jina": {"model": "mock", "object": "list", "usage": {"total_tokens": 7}, "results": rows(*ORDER)},
    "llama.cpp": {
        "model": "mock",
        "object": "list",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
        "results": rows(*reversed(ORDER)),
    },
    "vllm": {
        "id": "rerank-1",
        "model": "mock",
        "usage": {"total_tokens": 7},
        "results": rows(*ORDER, document={"text": "?"}),
    },
    "cohere": {"id": "x", "results": rows(*ORDER), "meta": {"billed_units": {"search_units": 1}}},
    "tei": [{"index": index, "score": score} for index, score in ORDER],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_upstream_gives_the_one_form(gateway: Gateway, upstream: Upstream, shape: str) -> None:
    upstream.play(plain(SHAPES[shape]))
    answer = ask(gateway)
    assert answer["results"] == rows(*ORDER, document=None)
    assert answer["object"] == "list"
    assert answer["id"]
    assert answer["model"] in ("mock", "m")
    assert answer["usage"]["total_tokens"] == (0 if shape in ("cohere", "tei") else 7)


def test_documents_go_out_as_texts_and_come_back(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(plain(SHAPES["jina"]))
    answer = ask(gateway, return_documents=True, top_n=2, mine=1)
    assert upstream.request().path == "/v1/rerank"
    assert upstream.request().json == {
        "model": "mock",
        "query": "q",
        "documents": ["first", "second", "third"],
        "top_n": 2,
        "mine": 1,
    }
    assert [each["document"] for each in answer["results"]] == [{"text": "second"}, {"text": "third"}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"query": None}, "query"), ({"documents": []}, "documents"), ({"top_n": 0}, "top_n")],
)
def test_wrong_fields_are_named(gateway: Gateway, upstream: Upstream, fields: Json, param: str) -> None:
    body = {"model": "m", "query": "q", "documents": DOCUMENTS, **fields}
    response = fetch(gateway.address, "POST", "/v1/rerank", body)
    assert (response.status, response.json["error"]["param"]) == (400, param)
    assert not upstream.requests


def test_answer_that_points_nowhere_is_told(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(plain({"results": rows((7, 1.0))}))
    body = {"model": "m", "query": "q", "documents": DOCUMENTS}
    response = fetch(gateway.address, "POST", "/v1/rerank", body)
    assert (response.status, response.json["error"]["type"]) == (502, "upstream_error")


@pytest.mark.parametrize("body", ["text", None, 5, {"results": [None]}, {"data": 5}])
def test_answer_of_another_shape_is_the_upstreams_fault(
    gateway: Gateway, upstream: Upstream, body: Any
) -> None:
    upstream.play(plain(body))
    asked = {"model": "m", "query": "q", "documents": DOCUMENTS}
    assert fetch(gateway.address, "POST", "/v1/rerank", asked).status == 502
