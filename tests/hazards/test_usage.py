"""Token counts come in many places from upstreams, and leave in one, only for those who asked."""

from __future__ import annotations

import pytest
from openai import OpenAI

from tests.chat import USAGE, Json, chunk, completion, envelope, plain, stream
from tests.chat_stream import body_for, post_chat, stream_chat
from tests.gateway import Gateway
from tests.upstream import Upstream

ASKED = {"include_usage": True}
ROLE = chunk("", role="assistant")
PARTIAL = {"completion_tokens": 7}
DETAILED = {
    **USAGE,
    "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2},
    "cost": 0.0125,
}
GROWING = [{"prompt_tokens": 11, "completion_tokens": n, "total_tokens": 11 + n} for n in (3, 7)]

PLACEMENTS: dict[str, list[Json]] = {
    "a chunk of its own": [ROLE, chunk("Hello"), chunk(finish="stop"), envelope([], usage=USAGE)],
    "on the finish": [ROLE, chunk("Hello"), chunk(finish="stop", usage=USAGE)],
    "on a finish that carries text": [ROLE, chunk("Hello", finish="stop", usage=USAGE)],
    "on an empty delta after the finish": [
        ROLE,
        chunk("Hello"),
        chunk(finish="stop"),
        chunk(delta={}, usage=USAGE),
    ],
    "on every chunk, growing": [
        ROLE,
        chunk("Hel", usage=GROWING[0]),
        chunk("lo", usage=GROWING[1]),
        chunk(finish="stop", usage=GROWING[1]),
    ],
    "on every chunk, and again at the end": [
        ROLE,
        chunk("Hel", usage=GROWING[0]),
        chunk("lo", usage=GROWING[1]),
        chunk(finish="stop"),
        envelope([], usage=USAGE),
    ],
    "inside of the choice": [ROLE, chunk("Hello"), chunk(finish="stop", choice={"usage": USAGE})],
    "null on all but one": [
        {**ROLE, "usage": None},
        {**chunk("Hello"), "usage": None},
        {**chunk(finish="stop"), "usage": None},
        envelope([], usage=USAGE),
    ],
    "before the finish": [ROLE, chunk("Hello"), envelope([], usage=USAGE), chunk(finish="stop")],
    "first of all, without choices": [envelope([], usage=USAGE), ROLE, chunk("Hello"), chunk(finish="stop")],
}


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_usage_is_sent_once_to_those_who_asked(gateway: Gateway, upstream: Upstream, placement: str) -> None:
    """hazard 21: exactly one chunk without choices, before [DONE], and null on all others."""
    upstream.play(stream(PLACEMENTS[placement]))
    answer = stream_chat(gateway.address, stream_options=ASKED).succeeded()
    assert answer.text() == "Hello"
    assert answer.usages == [USAGE]
    assert answer.chunks[-1]["choices"] == []
    assert [value["usage"] for value in answer.chunks[:-1]] == [None] * (len(answer.chunks) - 1)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_usage_is_kept_from_those_who_did_not_ask(
    gateway: Gateway, upstream: Upstream, placement: str
) -> None:
    """hazard 22: no chunk without choices, and no usage anywhere."""
    upstream.play(stream(PLACEMENTS[placement]))
    answer = stream_chat(gateway.address).succeeded()
    assert answer.text() == "Hello"
    assert not any(value.get("usage") for value in answer.chunks)
    assert all(value["choices"] for value in answer.chunks)


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_usage": None}])
def test_not_asking_has_many_forms(gateway: Gateway, upstream: Upstream, options: Json | None) -> None:
    """hazard 22: absent, empty, false and null."""
    upstream.play(stream(PLACEMENTS["a chunk of its own"]))
    answer = stream_chat(gateway.address, stream_options=options).succeeded()
    assert all(value["choices"] and not value.get("usage") for value in answer.chunks)


def test_the_upstream_is_always_asked(gateway: Gateway, upstream: Upstream) -> None:
    """hazards 21, 22: counts are needed here whether or not the client wants them."""
    stream_chat(gateway.address)
    post_chat(gateway.address, body_for(stream=False))
    stream_chat(gateway.address, stream_options={"include_obfuscation": False})
    assert [request.json["stream_options"]["include_usage"] for request in upstream.requests] == [True] * 3
    assert upstream.request(2).json["stream_options"]["include_obfuscation"] is False


def test_asking_changes_nothing_else(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 22: the finish and the end are the same with usage and without."""
    with_usage = stream_chat(gateway.address, stream_options=ASKED).succeeded()
    without = stream_chat(gateway.address).succeeded()

    def comparable(values: list[Json]) -> list[Json]:
        return [{key: value[key] for key in value.keys() - {"id", "created", "usage"}} for value in values]

    assert comparable(with_usage.chunks[:-1]) == comparable(without.chunks)


def test_absent_usage_is_still_one_valid_chunk(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 21: a client that asked gets counts, also when the upstream gave none."""
    upstream.play(stream([ROLE, chunk("Hello"), chunk(finish="stop")]))
    answer = stream_chat(gateway.address, stream_options=ASKED).succeeded()
    (usage,) = answer.usages
    assert answer.chunks[-1]["choices"] == []
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_partial_usage_is_completed(gateway: Gateway, upstream: Upstream, client: OpenAI) -> None:
    """hazard 21: a usage object without its core fields would crash typed clients."""
    parts = [ROLE, chunk("Hello"), chunk(finish="stop"), envelope([], usage=PARTIAL)]
    upstream.play(stream(parts))
    (usage,) = stream_chat(gateway.address, stream_options=ASKED).succeeded().usages
    assert usage["completion_tokens"] == 7
    assert isinstance(usage["prompt_tokens"], int)
    assert usage["total_tokens"] == usage["prompt_tokens"] + 7
    upstream.play(stream(parts))
    whole = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 7


def test_details_of_usage_are_kept(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 21: cached and reasoning tokens, and what a vendor adds."""
    upstream.play(stream([ROLE, chunk("Hello"), chunk(finish="stop"), envelope([], usage=DETAILED)]))
    assert stream_chat(gateway.address, stream_options=ASKED).succeeded().usages == [DETAILED]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_whole_answer_has_usage(gateway: Gateway, upstream: Upstream, placement: str) -> None:
    """hazard 21: without streaming it is part of the answer."""
    upstream.play(stream(PLACEMENTS[placement]))
    assert post_chat(gateway.address, body_for(stream=False)).json["usage"] == USAGE


@pytest.mark.parametrize("streamed", [True, False])
def test_an_upstream_that_does_not_stream(gateway: Gateway, upstream: Upstream, streamed: bool) -> None:
    """hazard 21: a plain JSON answer to a streaming call is unfolded, usage included."""
    upstream.play(plain(completion("Hello")))
    if streamed:
        answer = stream_chat(gateway.address, stream_options=ASKED).succeeded()
        assert (answer.text(), answer.finishes(), answer.usages) == ("Hello", ["stop"], [USAGE])
    else:
        whole = post_chat(gateway.address, body_for(stream=False)).json
        assert whole["choices"][0]["message"]["content"] == "Hello"
        assert whole["usage"] == USAGE
