"""Legacy completions: any text arrives as it was, however it is cut; what is no text leaves no trace."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chat_stream import payloads
from tests.dialects.chat_frames import Json, frame, texts
from tests.dialects.feeding import feed
from tests.dialects.recorded import header_for
from tests.properties import examples
from tidegate.core.event import AnyEvent, End, Failure, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.message import Message, TextPart
from tidegate.core.request import Prompt
from tidegate.dialects import load_dialect

RAW = load_dialect("openai-completions")
END = End(outcome="completed")


def piece(text: str, index: int, finish: str | None = None) -> Json:
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
    return {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}


def rendered(events: list[AnyEvent], *, one_by_one: bool = False) -> bytes:
    renderer = RAW.renderer(header_for(RAW))
    if one_by_one:
        return b"".join(renderer.render([event]) for event in events)
    return renderer.render(events)


def said(body: bytes) -> dict[int, str]:
    """The text of each choice in a rendered stream."""
    found: dict[int, str] = {}
    for data in payloads(body):
        for choice in json.loads(data)["choices"] if data != "[DONE]" else ():
            found[choice["index"]] = found.get(choice["index"], "") + choice["text"]
    return found


@examples(100)
@given(
    pieces=st.lists(st.tuples(texts, st.integers(0, 2)), max_size=10),
    each=st.integers(1, 400),
    ascii_only=st.booleans(),
    compact=st.booleans(),
)
def test_any_text_arrives_however_it_is_cut(
    pieces: list[tuple[str, int]], each: int, ascii_only: bool, compact: bool
) -> None:
    expected = {0: "", **{index: "" for _, index in pieces}}
    for text, index in pieces:
        expected[index] += text
    # Halves of an emoji become one on their way through JSON, within a piece and between two.
    expected = {index: json.loads(json.dumps(text)) for index, text in expected.items()}
    sent = [piece(text, index) for text, index in pieces]
    sent += [piece("", index, "stop") for index in expected]
    frames = [frame(one, ascii_only=ascii_only, compact=compact) for one in sent] + [b"data: [DONE]\n\n"]
    body = b"".join(frames)
    for cut in (frames, [body[at : at + each] for at in range(0, len(body), each)]):
        events: list[AnyEvent] = []
        decoder = RAW.decoder(1 << 20)
        for part in cut:
            feed(decoder, part, events)
        assert isinstance(events[-1], End)
        assert {
            index: json.loads(json.dumps(text)) for index, text in said(rendered(events)).items()
        } == expected
        assert rendered(events) == rendered(events, one_by_one=True)


def test_only_text_is_shown() -> None:
    events: list[AnyEvent] = [
        Start(model="m"),
        Thinking(text="hm"),
        Tool(arguments="{}", block=1, name="f"),
        Item(kind="gemini", value={}),
        Text(text="a", block=2),
        Finish(reason="tool_calls"),
        END,
    ]
    first, text, finish, done = payloads(rendered(events))
    assert [json.loads(each)["choices"][0]["text"] for each in (first, text, finish)] == ["", "a", ""]
    assert json.loads(finish)["choices"][0]["finish_reason"] == "stop"
    assert done == "[DONE]"


@pytest.mark.parametrize(
    ("reason", "told"),
    [("end_turn", "stop"), ("refusal", "content_filter"), ("max_tokens", "length"), ("x", "x")],
)
def test_reasons_are_in_the_words_of_this_form(reason: str, told: str) -> None:
    events: list[AnyEvent] = [Start(), Text(text="a"), Finish(reason=reason), END]
    assert json.loads(payloads(rendered(events))[-2])["choices"][0]["finish_reason"] == told
    whole = RAW.renderer(header_for(RAW, stream=False)).render(events)
    assert json.loads(whole)["choices"][0]["finish_reason"] == told


def test_a_failure_is_told_as_in_chat() -> None:
    body = rendered([Start(), Text(text="a"), End(outcome="failed", error=Failure("why", code="idle"))])
    last = json.loads(payloads(body)[-1])
    assert (last["choices"][0]["finish_reason"], last["error"]["message"]) == ("error", "why")
    assert b"[DONE]" not in body


def test_a_conversation_that_ends_in_an_answer_is_gone_on_with() -> None:
    turns = (Message("user", (TextPart(text="Hi"),)), Message("assistant", (TextPart(text="Well,"),)))
    asked = json.loads(RAW.write_prompt(Prompt(messages=turns), "m", frozenset()))
    assert asked["prompt"] == "User: Hi\n\nAssistant: Well,"


def test_quirks_that_concern_this_form_are_heeded() -> None:
    body = json.dumps({"prompt": "x", "seed": 1, "max_tokens": 5, "stream_options": {}}).encode()
    quirks = frozenset({"no_stream_options", "random_seed", "max_completion_tokens"})
    passed = json.loads(RAW.write_request(RAW.read_request(body), "m", quirks))
    assert passed == {"model": "m", "prompt": "x", "random_seed": 1, "max_tokens": 5, "stream": True}
    prompt = Prompt(messages=(Message("user", (TextPart(text="x"),)),), seed=1, max_tokens=5)
    assert json.loads(RAW.write_prompt(prompt, "m", quirks)) == passed
