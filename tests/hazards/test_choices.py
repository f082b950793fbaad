"""Several choices keep apart, and no text comes twice."""

from __future__ import annotations

import pytest
from openai import OpenAI

from tests.chat import Json, chunk, envelope, stream
from tests.chat_stream import body_for, post_chat, stream_chat
from tests.gateway import Gateway
from tests.upstream import Upstream

TEXTS = [["Hel", "lo"], ["Bon", "jour", "!"], ["你", "好"]]
REASONS = ["stop", "length", "content_filter"]


def interleaved() -> list[Json]:
    parts = [chunk("", role="assistant", index=index) for index in range(3)]
    for step in range(3):
        parts += [chunk(texts[step], index=i) for i, texts in enumerate(TEXTS) if step < len(texts)]
    return parts + [chunk(finish=REASONS[index], index=index) for index in (2, 0, 1)]


def in_one_chunk() -> list[Json]:
    """All choices side by side in every chunk, as some servers send them."""
    rows: list[list[Json]] = [
        [
            {"index": i, "delta": {"content": texts[step]}, "finish_reason": None}
            for i, texts in enumerate(TEXTS)
        ]
        for step in range(2)
    ]
    last: list[Json] = [
        {"index": 0, "delta": {}, "finish_reason": "stop"},
        {"index": 1, "delta": {"content": "!"}, "finish_reason": "length"},
        {"index": 2, "delta": {}, "finish_reason": "content_filter"},
    ]
    return [envelope(row) for row in [*rows, last]]


@pytest.mark.parametrize("parts", [interleaved(), in_one_chunk()], ids=["interleaved", "in one chunk"])
def test_three_choices_keep_apart(gateway: Gateway, upstream: Upstream, parts: list[Json]) -> None:
    """hazard 32: the text of each is right, and each has exactly one finish."""
    upstream.play(stream(parts))
    answer = stream_chat(gateway.address, n=3).succeeded()
    for index in range(3):
        assert answer.text(index) == "".join(TEXTS[index])
        assert answer.finishes(index) == [REASONS[index]]


@pytest.mark.parametrize("parts", [interleaved(), in_one_chunk()], ids=["interleaved", "in one chunk"])
def test_three_choices_without_streaming(gateway: Gateway, upstream: Upstream, parts: list[Json]) -> None:
    """hazard 32: the folded answer has them in order."""
    upstream.play(stream(parts))
    choices = post_chat(gateway.address, body_for(n=3, stream=False)).json["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert [choice["message"]["content"] for choice in choices] == ["".join(texts) for texts in TEXTS]
    assert [choice["finish_reason"] for choice in choices] == REASONS


def test_the_sdk_folds_three_choices(gateway: Gateway, upstream: Upstream, client: OpenAI) -> None:
    """hazard 32: by its own accumulator."""
    parts = [part for part in interleaved() if not part["choices"][0]["finish_reason"]]
    upstream.play(stream([*parts, *(chunk(finish="stop", index=index) for index in range(3))]))
    with client.chat.completions.stream(
        model="m", messages=[{"role": "user", "content": "x"}], n=3
    ) as answer:
        choices = answer.get_final_completion().choices
    assert [choice.message.content for choice in choices] == ["".join(texts) for texts in TEXTS]


def test_a_repeated_finish_is_sent_once(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 32: servers that send the reason twice."""
    upstream.play(stream([chunk("Hello"), chunk(finish="stop"), chunk(finish="stop")]))
    assert stream_chat(gateway.address).succeeded().finishes() == ["stop"]


def test_a_message_on_the_last_chunk_is_no_delta(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 34: a final chunk that carries the whole message beside an empty delta."""
    message = {"role": "assistant", "content": "Hello world"}
    last = chunk(finish="stop", choice={"message": message})
    upstream.play(stream([chunk("Hello "), chunk("world"), last]))
    assert stream_chat(gateway.address).succeeded().text() == "Hello world"


def test_a_whole_completion_at_the_end_is_no_delta(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 34: a final event in the shape of an answer that was not streamed."""
    message = {"role": "assistant", "content": "Hello world"}
    snapshot = envelope([{"index": 0, "message": message, "finish_reason": "stop"}], object="chat.completion")
    upstream.play(stream([chunk("Hello "), chunk("world"), snapshot]))
    answer = stream_chat(gateway.address).succeeded()
    assert (answer.text(), answer.finishes()) == ("Hello world", ["stop"])


def test_text_repeated_at_an_abort_is_dropped(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 34: an engine that sends all it has said so far as the delta of its last chunk."""
    pieces = ["The quick brown fox ", "jumps over ", "the lazy dog"]
    upstream.play(stream([*map(chunk, pieces), chunk("".join(pieces), finish="abort")]))
    assert stream_chat(gateway.address).succeeded().text() == "".join(pieces)


def test_a_model_may_repeat_itself(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 34, the other way round: a last word that equals the first is text like any other."""
    upstream.play(stream([chunk("ha"), chunk("ha", finish="stop")]))
    assert stream_chat(gateway.address).succeeded().text() == "haha"
    upstream.play(stream([chunk("no, "), chunk("no, "), chunk("no, no, ", finish="stop")]))
    assert stream_chat(gateway.address).succeeded().text() == "no, no, no, no, "
