"""Paths however clients join them, to the one spelling that stands in the table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tidegate.server.urls import GENERATIONS, PUBLIC, canonical, generation_at, stream_at


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/chat/completions", "/chat/completions"),
        ("/v1/chat/completions", "/chat/completions"),
        ("/v1/chat/completions/", "/chat/completions"),
        ("//v1//chat//completions//", "/chat/completions"),
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/v1", "/"),
        ("/v1/", "/"),
        ("/", "/"),
        ("", "/"),
        ("///", "/"),
        ("/v1x/models", "/v1x/models"),
        ("/v10/models", "/v10/models"),
        ("/V1/models", "/V1/models"),
        ("/v1/models/a/b", "/models/a/b"),
        ("/api/v1/models", "/api/v1/models"),
    ],
)
def test_paths(path: str, ours: str) -> None:
    assert canonical(path) == ours


@examples(200)
@given(st.lists(st.sampled_from(["/", "//", "v1", "models", "a", "."]), max_size=8).map("".join))
def test_a_canonical_path_has_single_slashes_and_none_at_its_end(path: str) -> None:
    ours = canonical(path)
    assert "//" not in ours
    assert ours == "/" or not ours.endswith("/")


@examples(100)
@given(
    path=st.sampled_from([*GENERATIONS, *sorted(PUBLIC)]),
    before=st.sampled_from(["", "/", "//", "/v1", "//v1/", "/v1//"]),
    after=st.sampled_from(["", "/", "///"]),
)
def test_every_path_of_the_table_is_found_in_every_spelling(path: str, before: str, after: str) -> None:
    assert canonical(before + path + after) == path


def test_googles_paths_name_model_and_method() -> None:
    for target in (
        "/v1beta/models/m:generateContent",
        "/v1/models/a/b:c:streamGenerateContent?alt=sse&key=k",
        "//v1alpha/models/m:streamGenerateContent/",
        "/models/m:generateContent",
    ):
        assert generation_at(target) == ("gemini", target)
    for target in (
        "/v1beta/models/m:countTokens",
        "/v1beta/models",
        "/v1/models/a:b",
        "/models/:generateContent",
    ):
        assert generation_at(target) is None
    assert generation_at("/v1//chat/completions/?x=:generateContent") == (
        "openai-chat",
        "/v1//chat/completions/",
    )


def test_a_target_may_be_a_whole_url() -> None:
    assert generation_at("http://localhost:7860/v1/messages?x=1") == ("anthropic-messages", "/v1/messages")
    target = "/v1beta/models/m:generateContent?key=http://k"
    assert generation_at(f"http://[::1]{target}") == ("gemini", target)
    assert generation_at("http://localhost") is None


def test_streams_are_read_at_their_own_path_and_at_that_of_a_response() -> None:
    for target in (
        "/v1/streams/abc",
        "/streams/abc?after=1",
        "//v1//streams//abc/",
        "/v1/responses/resp_abc?stream=true",
        "/responses/resp_abc?starting_after=1&stream=true",
    ):
        assert stream_at(target) == ("openai-chat", target)
    assert stream_at("http://localhost/v1/streams/abc?x") == ("openai-chat", "/v1/streams/abc?x")
    for target in (
        "/v1/streams",
        "/v1/streams/",
        "/v1/streams/abc/more",
        "/v1/responses/resp_abc",
        "/v1/responses/resp_abc?stream=false",
        "/v1/responses/resp_abc/input_items?stream=true",
        "/v1/models/streams/abc",
        "/v1/chat/completions",
    ):
        assert stream_at(target) is None
