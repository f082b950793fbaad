"""An answer in the upstream's own dialect keeps all that the upstream said.

Compared as JSON values after the documented normalisations: id, created, model and framing are ours; usage
moves to its place; the finish stands on a frame of its own; the role chunk is ours; deltas that say nothing
are dropped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chat import Json, chunk, envelope, stream, tool
from tests.chat_stream import body_for, post_chat, stream_chat
from tests.gateway import Gateway
from tests.properties import examples
from tests.upstream import Upstream

OURS = ("id", "object", "created", "model", "usage", "choices")
EMPTY: tuple[Any, ...] = (None, "", [], {})

Said = tuple[int, str, Any]
"""One thing said: the choice, where it stood, and its value."""


def said(chunks: Iterable[Json]) -> list[Said]:
    """All that a stream says, one thing at a time, without what the normalisations change."""
    things: list[Said] = []
    begun: set[tuple[int, int]] = set()
    for value in chunks:
        for choice in value["choices"]:
            index, delta = choice["index"], dict(choice["delta"] or {})
            delta.pop("role", None)
            for call in delta.pop("tool_calls", None) or ():
                things += said_by_call(index, dict(call), begun)
            things += [(index, f"delta.{key}", part) for key, part in delta.items() if part not in EMPTY]
            inner = {
                key: part for key, part in choice.items() if key not in {"index", "delta", "finish_reason"}
            }
            things += [(index, f"choice.{key}", part) for key, part in inner.items() if part not in EMPTY]
            if choice.get("finish_reason"):
                things.append((index, "finish", choice["finish_reason"]))
        outer = {key: part for key, part in value.items() if key not in OURS}
        things += [(-1, f"chunk.{key}", part) for key, part in outer.items() if part not in EMPTY]
    return things


def said_by_call(index: int, call: Json, begun: set[tuple[int, int]]) -> list[Said]:
    """A tool delta; its id, type and name count once for a call."""
    number = call.pop("index", 0)
    function = dict(call.pop("function", None) or {})
    opening = {"id": call.pop("id", None), "type": call.pop("type", None), "name": function.pop("name", None)}
    things: list[Said] = []
    if (index, number) not in begun:
        begun.add((index, number))
        things.append((index, f"call {number}", opening))
    rest = {**{f"function.{key}": part for key, part in function.items()}, **call}
    return things + [(index, f"call {number}.{key}", part) for key, part in rest.items() if part not in EMPTY]


def test_unknown_fields_are_kept_on_every_level(gateway: Gateway, upstream: Upstream) -> None:
    """Chunk, choice, delta, tool call and its function, each with nested values, nulls and big numbers."""
    odd = {"nested": [{"deep": None}, 1.5, 10**18, "世"], "flag": False}
    call = tool(0, "{}", call_id="c", name="f", vendor_call=odd)
    parts = [
        chunk("", role="assistant", system_fingerprint="fp_1"),
        chunk("a", vendor_chunk=odd),
        chunk("b", choice={"vendor_choice": odd}),
        chunk("c", delta={"vendor_delta": odd}),
        chunk(tool_calls=[call]),
        chunk(delta={"vendor_only": odd}),
        chunk(finish="stop", choice={"stop_reason": 128009}),
    ]
    upstream.play(stream(parts))
    answer = stream_chat(gateway.address).succeeded()
    received = said(answer.chunks)
    for thing in said(parts):
        assert thing in received


def test_a_fingerprint_stays_on_every_chunk(gateway: Gateway, upstream: Upstream) -> None:
    """Fields that upstreams repeat are repeated, ours aside."""
    parts = [chunk(piece, system_fingerprint="fp_1", service_tier="default") for piece in ("a", "b", "c")]
    upstream.play(stream([*parts, chunk(finish="stop", system_fingerprint="fp_1", service_tier="default")]))
    answer = stream_chat(gateway.address).succeeded()
    told = [value for value in answer.chunks if value["choices"][0]["delta"].get("content")]
    assert [value.get("system_fingerprint") for value in told] == ["fp_1"] * 3
    assert [value.get("service_tier") for value in told] == ["default"] * 3


def logprobs(text: str) -> Json:
    top = [{"token": text, "logprob": -0.25, "bytes": list(text.encode())}]
    return {
        "content": [{"token": text, "logprob": -0.25, "bytes": None, "top_logprobs": top}],
        "refusal": None,
    }


def test_logprobs_stay_with_their_text(gateway: Gateway, upstream: Upstream) -> None:
    """Streamed each with its delta, folded into one list."""
    pieces = ["Hel", "lo", " 世"]
    parts = [chunk(piece, choice={"logprobs": logprobs(piece)}) for piece in pieces]
    upstream.answer = lambda request: stream([*parts, chunk(finish="stop", choice={"logprobs": None})])
    answer = stream_chat(gateway.address, logprobs=True).succeeded()
    told = [choice for choice in answer.choices() if choice["delta"].get("content")]
    assert [choice["logprobs"] for choice in told] == [logprobs(piece) for piece in pieces]
    whole = post_chat(gateway.address, body_for(stream=False, logprobs=True)).json["choices"][0]
    assert [row["token"] for row in whole["logprobs"]["content"]] == pieces
    assert upstream.request().json["logprobs"] is True


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_keeps_its_name(gateway: Gateway, upstream: Upstream, name: str) -> None:
    """Clients of a vendor look for the vendor's word."""
    parts = [chunk(reasoning=piece, reasoning_name=name) for piece in ("Let ", "me ", "think")]
    upstream.answer = lambda request: stream([*parts, chunk("Yes"), chunk(finish="stop")])
    answer = stream_chat(gateway.address).succeeded()
    assert answer.text(name=name) == "Let me think"
    assert answer.text() == "Yes"
    message = post_chat(gateway.address, body_for(stream=False)).json["choices"][0]["message"]
    assert (message[name], message["content"]) == ("Let me think", "Yes")


def test_reasoning_details_are_kept(gateway: Gateway, upstream: Upstream) -> None:
    """OpenRouter's form: the text beside a list of typed details, encrypted ones alone."""
    details = [{"type": "reasoning.text", "text": "hm", "format": "anthropic", "index": 0}]
    sealed = [{"type": "reasoning.encrypted", "data": "gAAA==", "index": 1}]
    parts = [
        chunk(reasoning="hm", reasoning_name="reasoning", delta={"reasoning_details": details}),
        chunk(delta={"reasoning_details": sealed}),
        chunk("Yes"),
        chunk(finish="stop"),
    ]
    upstream.play(stream(parts))
    received = said(stream_chat(gateway.address).succeeded().chunks)
    assert (0, "delta.reasoning", "hm") in received
    assert (0, "delta.reasoning_details", details) in received
    assert (0, "delta.reasoning_details", sealed) in received


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (
            "annotations",
            [{"type": "url_citation", "url_citation": {"url": "https://example.com", "title": "x"}}],
        ),
        ("audio", {"id": "audio_1", "data": "UklGRg==", "transcript": "hi"}),
        ("refusal", "I cannot help with that."),
        ("images", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]),
        ("function_call", {"name": "f", "arguments": "{}"}),
    ],
)
def test_other_parts_of_a_message_are_kept(
    gateway: Gateway, upstream: Upstream, name: str, value: Any
) -> None:
    """Citations, sound, refusals, pictures, and calls of the old kind."""
    upstream.play(stream([chunk("x"), chunk(delta={name: value}), chunk(finish="stop")]))
    assert (0, f"delta.{name}", value) in said(stream_chat(gateway.address).succeeded().chunks)


def test_azure_filter_chunks_do_no_harm(gateway: Gateway, upstream: Upstream) -> None:
    """A first chunk without choices that carries results of a prompt filter."""
    results = [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}]
    first = envelope([], prompt_filter_results=results, id="", created=0, model="")
    upstream.play(stream([first, chunk("", role="assistant"), chunk("Hi"), chunk(finish="stop")]))
    answer = stream_chat(gateway.address).succeeded()
    assert answer.text() == "Hi"
    assert all(value["choices"] for value in answer.chunks)


def test_the_request_passes_as_it_is(gateway: Gateway, upstream: Upstream) -> None:
    """Unknown fields, big numbers and messages in any shape; only the model's name is ours."""
    messages = [
        {
            "role": "system",
            "content": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "x"}}],
        },
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}],
        },
        {"role": "assistant", "content": None, "tool_calls": [tool(0, "{}", call_id="c", name="f")]},
        {"role": "tool", "tool_call_id": "c", "content": "世界 \u2028"},
        {"role": "system", "content": "late system"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "continue"},
    ]
    sent = {
        "model": "m",
        "messages": messages,
        "stream": True,
        "temperature": 0.1,
        "seed": 2**53 + 1,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"$defs": {}}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        "vendor": {"nested": [1, None, {"x": 1e-7}]},
    }
    post_chat(gateway.address, sent)
    got = upstream.request().json
    assert got.pop("stream_options") == {"include_usage": True}
    assert got == {**sent, "model": "mock"}
    assert upstream.request().headers["authorization"] == "Bearer sk-up"
    assert upstream.request().path == "/v1/chat/completions"


def test_private_headers_stay_here(gateway: Gateway, upstream: Upstream) -> None:
    """The caller's key, cookies and addresses are not the upstream's business."""
    private = {"Authorization": "Bearer sk-caller", "Cookie": "a=b", "X-Forwarded-For": "10.0.0.1"}
    post_chat(gateway.address, body_for(), private)
    headers = upstream.request().headers
    assert "sk-caller" not in str(headers)
    assert not {"cookie", "x-forwarded-for"} & headers.keys()


VALUES = st.one_of(st.text(min_size=1, max_size=8), st.integers(1, 2**40), st.just([{"a": None}]))
FIELDS = st.dictionaries(st.sampled_from(["x_one", "x_two", "vendor"]), VALUES, max_size=2)
PIECES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@st.composite
def deltas(draw: st.DrawFn) -> Json:
    """One chunk that says something: text, reasoning or an argument, with fields that nobody knows."""
    index = draw(st.integers(0, 2))
    kind = draw(st.sampled_from(["text", "reasoning", "arguments", "unknown"]))
    piece = draw(PIECES)
    choice = draw(FIELDS)
    if kind == "text":
        return chunk(piece, index=index, choice=choice, delta=draw(FIELDS))
    if kind == "reasoning":
        return chunk(reasoning=piece, index=index, choice=choice)
    if kind == "arguments":
        return chunk(tool_calls=[tool(0, piece)], index=index, choice=choice)
    return chunk(index=index, delta={"x_three": piece}, choice=choice)


@examples(100)
@given(parts=st.lists(deltas(), max_size=12))
def test_any_answer_says_the_same(gateway: Gateway, upstream: Upstream, parts: list[Json]) -> None:
    """Whatever an upstream says, in whatever order, the client is told, in this order for each choice."""
    openings = [
        chunk(tool_calls=[tool(0, "", call_id=f"call_{index}", name="f")], index=index) for index in range(3)
    ]
    ends = [chunk(finish="stop", index=index) for index in range(3)]
    sent = [*openings, *parts, *ends]
    upstream.play(stream(sent))
    received = said(stream_chat(gateway.address, n=3).succeeded().chunks)
    for index in range(3):
        assert by_place(received, index) == by_place(said(sent), index)
        assert in_order(received, index) == in_order(said(sent), index)


def by_place(things: list[Said], index: int) -> dict[str, list[Any]]:
    """What one choice said, by place: the fields of one chunk may leave on two, or in another order."""
    places: dict[str, list[Any]] = {}
    for choice, place, value in things:
        if choice == index:
            places.setdefault(place, []).append(value)
    return places


SPOKEN = {"delta.content", "delta.reasoning_content", "call 0.function.arguments", "finish"}


def in_order(things: list[Said], index: int) -> list[Said]:
    """Text, reasoning, arguments and the finish of one choice, which must not change places."""
    return [thing for thing in things if thing[0] == index and thing[1] in SPOKEN]
