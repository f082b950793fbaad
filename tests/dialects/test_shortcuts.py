"""Decoder and renderer keep what similar deltas have in common; with and without that they say the same."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.chat_frames import DONE, FRAGMENTS, Json, chunk, frame, heard, texts
from tests.dialects.feeding import feed
from tests.dialects.recorded import header_for
from tests.properties import examples
from tidegate.core.event import AnyEvent, End, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.usage import Usage
from tidegate.dialects import load_dialect
from tidegate.dialects.openai_chat import ChatDecoder

CHAT = load_dialect("openai-chat")
QUICK = examples(120)

SAYS_NOTHING = b'data: {"choices":[]}\n\n'
"""A chunk that makes a decoder forget what it has learned, and means nothing else."""


@st.composite
def deltas(draw: st.DrawFn) -> Json:
    """A chunk whose surroundings are those of many others, with a text of its own."""
    text = draw(texts)
    kind = draw(
        st.sampled_from(["content", "content", "reasoning_content", "reasoning", "refusal", "arguments"])
    )
    delta: Json = {kind: text}
    if kind == "arguments":
        delta = {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
    others: list[Json] = [{}, {}, {}, {"x": text}, {"usage": None}, {"x": "a"}, {"content": text}]
    beside = draw(st.sampled_from(others))
    return chunk(delta, index=draw(st.sampled_from([0, 0, 0, 1])), **beside)


@st.composite
def frames(draw: st.DrawFn) -> list[bytes]:
    """A stream frame by frame, written in one way, as one server writes it."""
    opening = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    ascii_only, compact = draw(st.booleans()), draw(st.booleans())
    said = draw(st.lists(deltas(), max_size=10))
    repeats = draw(
        st.lists(st.sampled_from(FRAGMENTS).map(lambda text: chunk({"content": text})), max_size=6)
    )
    begins = [chunk({"tool_calls": [opening]}, index=index) for index in (0, 1)]
    ends = [chunk({}, index=index, finish="stop") for index in (0, 1)]
    chunks = [*begins, *said, *repeats, *ends]
    return [*(frame(each, ascii_only=ascii_only, compact=compact) for each in chunks), DONE]


def forgetting(sent: Iterable[bytes]) -> Iterable[bytes]:
    """The same stream for a decoder that never gets to use what it has learned."""
    for number, each in enumerate(sent):
        if number:
            yield SAYS_NOTHING
        yield each


@QUICK
@given(frames())
def test_learned_surroundings_change_nothing(sent: list[bytes]) -> None:
    expected = heard(CHAT, forgetting(sent))
    assert heard(CHAT, sent) == expected
    assert heard(CHAT, [b"".join(sent)]) == expected


@QUICK
@given(sent=frames(), at=st.integers(0, 2000))
def test_learned_surroundings_change_nothing_when_frames_are_cut(sent: list[bytes], at: int) -> None:
    whole = b"".join(sent)
    assert heard(CHAT, [whole[:at], whole[at:]]) == heard(CHAT, forgetting(sent))


@pytest.mark.parametrize(
    "text",
    [
        'b","finish_reason":"stop',
        'b"},"finish_reason":null},{"index":1,"delta":{"content":"c',
        '"',
        "\\",
        "\\u00",
        "a\nb",
        "a\rb",
        "a\r\n\r\nb",
    ],
)
def test_bytes_that_are_no_string_are_not_taken_for_one(text: str) -> None:
    """A frame of learned surroundings in which more than the text differs is read in full."""
    first = frame(chunk({"content": "first"}))
    sent = [frame(chunk({"role": "assistant"})), first, first.replace(b"first", text.encode())]
    assert heard(CHAT, sent) == heard(CHAT, forgetting(sent))


def test_a_frame_that_is_shorter_than_its_surroundings() -> None:
    first = frame(chunk({"content": "first"}))
    begin, end = first.split(b"first")
    sent = [frame(chunk({"role": "assistant"})), first, begin[:-1] + end, begin + end[1:]]
    assert heard(CHAT, sent) == heard(CHAT, forgetting(sent))


def test_a_text_after_the_end_is_ignored_although_its_surroundings_are_known() -> None:
    sent = [frame(chunk({"content": each})) for each in ("ab", "cd")]
    sent += [frame(chunk({}, finish="stop")), DONE, frame(chunk({"content": "ef"}))]
    events, error = heard(CHAT, sent)
    assert ([type(event) for event in events][-1], error) == (End, "")
    assert len(events) == 5


BESIDE = {"y": 1}
PADDED = st.builds(lambda pad: {"chunk": {"x": "data: ", "pad": pad}, "choice": BESIDE}, texts)
"""What stands beside a padded text: new fields of the chunk each time, the same ones beside the delta."""
extras = st.one_of(
    PADDED,
    st.builds(lambda pad: {"chunk": {"pad": pad}} if pad else {"chunk": {}}, texts),
    st.sampled_from(
        [
            None,
            None,
            {"chunk": {"x": "data: "}},
            {"choice": {"y": 1}, "delta": {"z": "世"}},
            {"chunk": {"x": 1}, "delta": {"z": 1}},
            {"name": "reasoning"},
        ]
    ),
)
where: dict[str, Any] = {"choice": st.integers(0, 1), "block": st.integers(0, 2), "extra": extras}
said = st.one_of(
    st.builds(Text, text=texts, logprobs=st.sampled_from([None, None, {"content": []}]), **where),
    st.builds(Text, text=texts),
    st.builds(Thinking, text=texts, signature=st.sampled_from([None, None, "s"]), **where),
    st.builds(Tool, arguments=texts, call_id=st.sampled_from([None, None, "i"]), **where),
    st.builds(
        Item, kind=st.sampled_from(["delta", "choice", "chunk", "citation"]), value=st.just({"k": "v"})
    ),
)
FINISHED: list[AnyEvent] = [Finish(reason="stop", choice=0), Finish(reason="length", choice=1)]
ends = st.sampled_from([End(outcome="completed", usage=Usage(1, 2)), End(outcome="failed")])


@QUICK
@given(events=st.lists(st.builds(Text, text=texts, extra=PADDED), min_size=3, max_size=8))
def test_other_fields_of_the_chunk_change_nothing_but_themselves(events: list[Text]) -> None:
    header = header_for(CHAT)
    alone = [CHAT.renderer(header).render([Text(text="first"), event]) for event in events]
    together = CHAT.renderer(header)
    together.render([Text(text="first")])
    role_and_first = CHAT.renderer(header).render([Text(text="first")])
    assert [role_and_first + together.render([event]) for event in events] == alone


@QUICK
@given(events=st.lists(said, max_size=12), end=ends, asked=st.booleans())
def test_kept_surroundings_change_nothing(events: list[AnyEvent], end: End, asked: bool) -> None:
    """A renderer that another choice distracts after every event writes the same frames."""
    header = header_for(CHAT, include_usage=asked)
    stream: list[AnyEvent] = [Start(model="m"), *events, *FINISHED, end]
    distracted, frames = CHAT.renderer(header), []
    for event in stream[:-1]:
        frames.append(distracted.render([event]))
        distracted.render([Text(text="elsewhere", choice=9)])
    distracted.render([Finish(reason="stop", choice=9)])
    frames.append(distracted.render([end]))
    assert CHAT.renderer(header).render(stream) == b"".join(frames)
    one_by_one = CHAT.renderer(header)
    assert [one_by_one.render([event]) for event in stream] == frames


def test_a_decoder_leaves_nothing_to_the_garbage_collector() -> None:
    """Else every answer would bring the next collection, a stop for all streams, closer."""
    events: list[AnyEvent] = []
    decoder = ChatDecoder(1 << 20)
    for text in ("one", "two", "three"):
        feed(decoder, frame(chunk({"content": text}, pad=text)), events)
    gc.collect()
    gc.disable()
    try:
        del decoder
        assert gc.collect() == 0
    finally:
        gc.enable()
