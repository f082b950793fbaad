"""The life of a stream, over every pair of dialects: silence, order, counts, and any form of it."""

from __future__ import annotations

import json
import random

import pytest

from tests.gateway import Gateway
from tests.matrix.answer import CALLS, TEXT, THOUGHT, Answer
from tests.matrix.clients import CLIENTS
from tests.matrix.forms import at_once, counted, several, snapshots
from tests.matrix.pairs import (
    Silence,
    answer,
    ask,
    in_both_forms,
    pairs,
    patient_answer,
    sent,
)
from tests.matrix.said import Part, said
from tests.script import End, Head, Script, Send
from tests.upstream import Upstream

THINKING, WORDS = Part("thinking", THOUGHT), Part("text", TEXT)
CALL = Part("call", tuple(CALLS[0][1]), CALLS[0][0])
SERVE_SEVERAL = ("openai-chat", "gemini")
OTHERS = ("anthropic-messages", "openai-responses")


def said_by(found: Answer) -> tuple[str, str, list[tuple[str, object]], str | None]:
    """What an answer says, however its arguments are written."""
    return found.thinking, found.text, [(name, json.loads(each)) for name, each in found.calls], found.reason


WHOLE = ("".join(THOUGHT), "".join(TEXT), [(CALL.name, json.loads(CALL.whole))], "tool_calls")


# Silence


@pairs("silence")
@pytest.mark.parametrize("part", [WORDS, CALL], ids=["text", "call"])
def test_clients_live_through_silence(
    eager_matrix: Gateway, upstream: Upstream, spoken: str, served: str, part: Part
) -> None:
    """hazards 3, 9 and 38: before the answer, inside of it and before its end."""
    frames = said(served, part)
    before, inside, behind = Silence(), Silence(), Silence()
    half = len(frames) // 2
    upstream.play(
        [
            *before.steps,
            Head(),
            *map(Send, frames[:half]),
            *inside.steps,
            *map(Send, frames[half:-1]),
            *behind.steps,
            Send(frames[-1]),
            End(),
        ]
    )
    found = patient_answer(eager_matrix, spoken, served, [before, inside, behind])
    assert found.text == (part.whole if part is WORDS else "")
    assert [json.loads(each) for _, each in found.calls] == ([json.loads(part.whole)] if part is CALL else [])
    assert found.ended


# The order of an answer

_RESPONSES_TEXT = ["response.output_item.added", "response.content_part.added", "response.output_text.delta"]
_RESPONSES_TEXT += ["response.output_text.done", "response.content_part.done", "response.output_item.done"]
LIVES = {
    "anthropic-messages": [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ],
    "openai-responses": [
        "response.created",
        "response.in_progress",
        *_RESPONSES_TEXT,
        "response.completed",
    ],
    "openai-chat": [],
    "gemini": [],
}


@pairs("lifecycle")
def test_the_life_of_an_answer(matrix: Gateway, upstream: Upstream, spoken: str, served: str) -> None:
    """hazard 18: every event that a client waits for, once and in order. Two dialects do not name theirs."""
    found = answer(matrix, upstream, spoken, served, sent(said(served, WORDS)))
    assert found.kinds == LIVES[spoken]
    assert (found.text, found.ended, found.counted) == (WORDS.whole, True, 1)


@pairs("lifecycle")
@pytest.mark.parametrize("seed", range(4))
def test_blocks_are_nested_whatever_is_interleaved(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, seed: int
) -> None:
    """hazard 13: the strict readers hold order, indices and kinds; nothing is lost."""
    chance = random.Random(seed)
    calls = [Part("call", tuple(f'{{"at": {at}}}'), f"tool_{at}") for at in range(2)]
    parts = [THINKING, WORDS, calls[0], Part("thinking", ("again",)), Part("text", ("more", ".")), calls[1]]
    turns = [at for at, part in enumerate(parts) for _ in part.pieces]
    chance.shuffle(turns)
    found = answer(matrix, upstream, spoken, served, sent(said(served, *parts, order=turns)))
    assert sorted(found.text) == sorted(WORDS.whole + "more.")
    assert sorted(found.thinking) == sorted(THINKING.whole + "again")
    assert sorted((name, json.loads(each)["at"]) for name, each in found.calls) == [
        ("tool_0", 0),
        ("tool_1", 1),
    ]
    assert found.ended


# Any form of the same answer


@pairs("any form")
@in_both_forms
def test_an_answer_in_pieces_of_any_size(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool
) -> None:
    """hazard 33: in one event, in one, in two and in single characters for each part."""
    forms = [at_once(served, THINKING, WORDS, CALL)]
    for size in (1, 11, 1000):
        parts = [Part(each.kind, cut(each.whole, size), each.name) for each in (THINKING, WORDS, CALL)]
        forms.append(said(served, *parts))
    for frames in forms:
        found = answer(matrix, upstream, spoken, served, sent(frames), stream=streamed)
        assert said_by(found) == WHOLE


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pairs("any form")
def test_snapshots_are_not_said_again(matrix: Gateway, upstream: Upstream, spoken: str, served: str) -> None:
    """hazard 34: an upstream's events that repeat all of a text are no deltas."""
    part = Part("text", ("The quick brown fox ", "jumps over ", "the lazy dog"))
    for frames in snapshots(served, part):
        found = answer(matrix, upstream, spoken, served, sent(frames))
        assert (found.text, found.ended) == (part.whole, True)


@pairs("any form")
def test_an_answer_that_comes_byte_by_byte(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str
) -> None:
    """hazards 15 and 41: every event and every character is cut everywhere."""
    parts = (
        Part("thinking", ("hm \u201c",)),
        Part("text", ("世界", "😀")),
        Part("call", ('{"a":', '"é"}'), "f"),
    )
    body = b"".join(said(served, *parts))
    found = answer(matrix, upstream, spoken, served, [Head(), Send(body, each=1), End()])
    assert said_by(found) == ("hm \u201c", "世界😀", [("f", {"a": "é"})], "tool_calls")


def spellings(frames: list[bytes]) -> dict[str, Script]:
    """The same events in forms that event streams may have, and in some that they may not."""
    body = b"".join(frames)
    unnamed = b"".join(b"data: " + each.split(b"data: ", 1)[1] for each in frames)
    forms = {
        "a BOM": b"\xef\xbb\xbf" + body,
        "no last blank line": body.rstrip(b"\n") + b"\n",
        "no last line end": body.rstrip(b"\n"),
        "no names": unnamed,
        "CRLF": body.replace(b"\n", b"\r\n"),
        "comments": b": hi\n\n" + body.replace(b"\n\n", b"\n\n: ping\n\n"),
        "an end mark": body + b"data: [DONE]\n\n",
    }
    return {name: [Head(), Send(form), End()] for name, form in forms.items()}


@pairs("any form")
def test_events_in_any_spelling(matrix: Gateway, upstream: Upstream, spoken: str, served: str) -> None:
    """hazard 42: upstreams may spell events in any way; ours have one form."""
    for name, script in spellings(said(served, THINKING, WORDS, CALL)).items():
        upstream.play(script)
        response = ask(matrix, spoken, served, stream=True)
        assert said_by(CLIENTS[spoken].stream(response)) == WHOLE, name
        assert response.body.startswith((b"data: {", b"event: "))
        assert response.body.endswith(b"\n\n")
        assert b"\r" not in response.body


# Counts


@pairs("usage")
@in_both_forms
def test_counts_are_told_once_wherever_they_come(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool
) -> None:
    """hazard 21: all members that clients read are numbers, also when the upstream tells none."""
    for name, (frames, counts) in counted(served).items():
        found = answer(matrix, upstream, spoken, served, sent(frames), stream=streamed)
        assert (found.text, found.counted) == ("Hello", 1), name
        if counts is None:
            assert isinstance(found.input_tokens, int), name
            assert isinstance(found.output_tokens, int), name
        else:
            assert (found.input_tokens, found.output_tokens) == counts, name


# Several answers

TEXTS, REASONS = [["Hel", "lo"], ["Bon", "jour", "!"], ["你", "好"]], ["stop", "length", "stop"]
SEVERAL = [("".join(text), reason) for text, reason in zip(TEXTS, REASONS, strict=True)]


@pairs("several answers", spoken=SERVE_SEVERAL, served=SERVE_SEVERAL)
@in_both_forms
def test_several_answers_keep_apart(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool
) -> None:
    """hazard 32: each has its text, and its end once."""
    upstream.play(sent(several(served, TEXTS, REASONS)))
    response = ask(matrix, spoken, served, stream=streamed, count=3)
    client = CLIENTS[spoken]
    found = client.stream(response) if streamed else client.whole(response.json)
    assert [(found.text, found.reason), *found.others] == SEVERAL
    asked = upstream.request().json
    assert (asked.get("n") or asked["generationConfig"]["candidateCount"]) == 3


@pairs("several answers refused", spoken=SERVE_SEVERAL, served=OTHERS)
@in_both_forms
def test_several_answers_are_refused_where_the_upstream_gives_one(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool
) -> None:
    """hazard 32: by the name that the caller knows the field under."""
    response = ask(matrix, spoken, served, stream=streamed, count=3)
    assert response.status == 400
    assert (CLIENTS[spoken].several or "") in CLIENTS[spoken].refusal(response.json)
    assert upstream.requests == []


@pairs("one answer of several", spoken=OTHERS, served=SERVE_SEVERAL)
@in_both_forms
def test_the_first_of_several_answers_that_nobody_asked_for(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool
) -> None:
    """hazard 32: a dialect of one answer shows the first, and nothing of the others."""
    frames = several(served, TEXTS, REASONS)
    found = answer(matrix, upstream, spoken, served, sent(frames), stream=streamed)
    assert (found.text, found.reason) == SEVERAL[0]
