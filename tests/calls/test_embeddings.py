"""Embeddings have the form that was asked for, whatever form the upstream gives them in."""

from __future__ import annotations

import base64
import json
import struct
from math import sqrt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import BadRequestError, OpenAI

from tests.chat import Json, error, plain
from tests.gateway import Gateway
from tests.raw_http import fetch
from tests.script import Script
from tests.upstream import Request, Upstream
from tidegate.errors import Broken
from tidegate.server.calls import embeddings

PATH = "/v1/embeddings"
VECTOR = [0.5, -0.25, 2.0, 0.125]


def packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def told(*vectors: Any, usage: Json | None = None) -> Json:
    rows = [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(vectors)]
    value: Json = {"object": "list", "model": "mock", "data": rows}
    return value if usage is None else {**value, "usage": usage}


def ask(gateway: Gateway, **fields: Any) -> Json:
    response = fetch(gateway.address, "POST", PATH, {"model": "m", "input": "hi", **fields})
    assert response.status == 200, response.body
    answer: Json = response.json
    return answer


@pytest.mark.parametrize("given_form", [VECTOR, packed(VECTOR)], ids=["floats", "base64"])
@pytest.mark.parametrize("wanted", ["float", "base64", None])
def test_form_is_the_one_that_was_asked_for(
    gateway: Gateway, upstream: Upstream, given_form: Any, wanted: str | None
) -> None:
    upstream.play(plain(told(given_form)))
    answer = ask(gateway, **({"encoding_format": wanted} if wanted else {}))
    assert answer["data"][0]["embedding"] == (packed(VECTOR) if wanted == "base64" else VECTOR)


@pytest.mark.parametrize("given_form", [VECTOR, packed(VECTOR)], ids=["floats", "base64"])
def test_official_sdk_reads_numbers(client: OpenAI, upstream: Upstream, given_form: Any) -> None:
    """It asks for base64 by itself."""
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    upstream.play(plain(told(given_form, VECTOR, usage=usage)))
    answer = client.embeddings.create(model="m", input=["one", "two"])
    assert [each.embedding for each in answer.data] == [VECTOR, VECTOR]
    assert answer.usage.total_tokens == 3
    assert upstream.request().path == PATH
    assert upstream.request().json["model"] == "mock"


@pytest.mark.parametrize("sent", ["text", ["a", "b"], [1, 2, 3], [[1, 2], [3]]])
def test_every_form_of_input_goes_through(gateway: Gateway, upstream: Upstream, sent: Any) -> None:
    upstream.play(plain(told(VECTOR)))
    ask(gateway, input=sent, user="u", mine={"x": [1.50]})
    body = upstream.request().json
    assert body["input"] == sent
    assert body["user"] == "u"
    assert body["mine"] == {"x": [1.5]}


def test_ignored_dimensions_are_cut_to_unit_length(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(plain(told([3.0, 4.0, 12.0])))
    assert ask(gateway, dimensions=2)["data"][0]["embedding"] == [0.6, 0.8]
    assert upstream.request().json["dimensions"] == 2


def test_kept_dimensions_are_left_alone(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(plain(told([3.0, 4.0])))
    assert ask(gateway, dimensions=2)["data"][0]["embedding"] == [3.0, 4.0]


def test_missing_dimensions_are_zeros(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(plain(told([3.0, 4.0])))
    assert ask(gateway, dimensions=3)["data"][0]["embedding"] == [3.0, 4.0, 0.0]


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20),
    st.integers(1, 25),
)
def test_resized_vectors_have_the_size_and_unit_length(vector: list[float], size: int) -> None:
    resized = embeddings.resize(vector, size)
    assert len(resized) == size
    length = sqrt(sum(each * each for each in resized))
    if size < len(vector) and length:
        assert length == pytest.approx(1)
    assert embeddings.unpack(embeddings.pack(vector)) == vector


@pytest.mark.parametrize(
    ("sent", "usage", "count"),
    [("text", None, 0), ([1, 2, 3], None, 3), ([[1, 2], [3]], None, 3), ("text", {"total_tokens": 9}, 9)],
)
def test_usage_is_always_there(
    gateway: Gateway, upstream: Upstream, sent: Any, usage: Json | None, count: int
) -> None:
    upstream.play(plain(told(VECTOR, usage=usage)))
    assert ask(gateway, input=sent)["usage"] == {"prompt_tokens": count, "total_tokens": count}


def test_engines_path_names_the_model(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(plain(told(VECTOR)))
    response = fetch(gateway.address, "POST", "/v1/engines/up/some/model/embeddings", {"input": "hi"})
    assert response.status == 200
    assert upstream.request().json["model"] == "some/model"


def test_upstream_that_refuses_base64_is_asked_for_numbers(gateway: Gateway, upstream: Upstream) -> None:
    def answer(request: Request) -> Script:
        if "encoding_format" in request.json:
            return error(400, "encoding_format is not supported")
        return plain(told(VECTOR))

    upstream.answer = answer
    assert ask(gateway, encoding_format="base64")["data"][0]["embedding"] == packed(VECTOR)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": "x", "dimensions": 0}, "dimensions"),
        ({"input": "x", "encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_wrong_fields_are_named(client: OpenAI, upstream: Upstream, fields: Json, param: str) -> None:
    with pytest.raises(BadRequestError) as raised:
        client.post("/embeddings", body={"model": "m", **fields}, cast_to=object)
    assert raised.value.param == param
    assert not upstream.requests


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"data":[{}]}', b'{"data":[{"embedding":"!"}]}', b"<html>"])
def test_answer_without_embeddings_is_broken(body: bytes) -> None:
    wanted = embeddings.read_wanted(json.dumps({"input": "x", "encoding_format": "float"}).encode())
    with pytest.raises(Broken):
        embeddings.answer(body, wanted)


def test_fallback_answers_when_the_first_makes_no_sense(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(plain({"hello": "world"}), plain(told(VECTOR)))
    assert ask(gateway, model="pair")["data"][0]["embedding"] == VECTOR
    assert [each.json["model"] for each in upstream.requests] == ["mock-a", "mock-b"]


@pytest.mark.parametrize("body", ["text", None, 5, told(["a"]), told([1e300]), told([[]]), {"data": [None]}])
def test_answer_of_another_shape_is_the_upstreams_fault(
    gateway: Gateway, upstream: Upstream, body: Any
) -> None:
    upstream.play(plain(body))
    asked = {"model": "m", "input": "hi", "encoding_format": "base64"}
    assert fetch(gateway.address, "POST", PATH, asked).status == 502
