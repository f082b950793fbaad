"""A model file on this machine embeds and reranks, in a real llama.cpp."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest
from openai import BadRequestError, OpenAI

from tests.gateway import Gateway
from tests.raw_http import fetch
from tests.tiny_gguf import TinyModel, shared_tiny_gguf

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="needs xllamacpp: pip install 'tidegate[local]'"
)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    file = str(shared_tiny_gguf(tmp_path_factory, TinyModel(context=512)))
    engine = {"gguf": file, "threads": 1, "slots": 1, "retry": {"attempts": 1}}
    models = {"vectors": {**engine, "embedding": True}, "order": {**engine, "rerank": True}}
    running = Gateway(tmp_path_factory.mktemp("local"), {"models": models})
    yield running
    running.stop()


@pytest.fixture
def sdk(local: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=local.base_url, api_key="any", max_retries=0, timeout=30) as client:
        yield client


def test_texts_become_vectors(sdk: OpenAI) -> None:
    answer = sdk.embeddings.create(model="vectors", input=["the quick fox", "the lazy dog", "the quick fox"])
    first, second, again = (each.embedding for each in answer.data)
    assert len(first) == 64
    assert sum(each * each for each in first) == pytest.approx(1, abs=1e-3)
    assert first == pytest.approx(again)
    assert first != pytest.approx(second)
    assert answer.usage.prompt_tokens > 3


def test_dimensions_are_cut_where_the_engine_ignores_them(sdk: OpenAI) -> None:
    answer = sdk.embeddings.create(model="vectors", input=[1, 2, 3], dimensions=8, encoding_format="float")
    assert len(answer.data[0].embedding) == 8
    assert sum(each * each for each in answer.data[0].embedding) == pytest.approx(1, abs=1e-3)


def test_text_that_is_too_long_is_refused(sdk: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="too large"):
        sdk.embeddings.create(model="vectors", input="the quick brown fox " * 500)


def test_documents_are_put_in_order(local: Gateway) -> None:
    body = {"model": "order", "query": "fox", "documents": ["the quick fox", {"text": "a dog"}, "tools"]}
    response = fetch(local.address, "POST", "/v1/rerank", {**body, "top_n": 2, "return_documents": True})
    assert response.status == 200, response.body
    results = response.json["results"]
    scores = [each["relevance_score"] for each in results]
    assert len(results) == 2
    assert scores == sorted(scores, reverse=True)
    assert all(each["document"]["text"] for each in results)
    assert response.json["usage"]["total_tokens"] > 3
