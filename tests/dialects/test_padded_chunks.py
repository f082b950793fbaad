"""Chunks in which a second string differs, as OpenAI pads them, are decoded as if each were the first."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.feeding import feed
from tidegate.core.event import AnyEvent, Text
from tidegate.dialects.openai_chat import ChatDecoder

TEXTS = st.text(min_size=1) | st.sampled_from(
    ['"', "\\", '"},"finish_reason":null', '","pad":"', "pad", "data: "]
)
PADS = st.text(alphabet='aB9_-"\\é\n', max_size=6)


def frame(text: str, pad: str, place: str, *, compact: bool = True) -> bytes:
    chunk: dict[str, object] = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choice: dict[str, object] = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    if place == "before":
        chunk["pad"] = pad
    if place == "choice":
        choice["pad"] = pad
    chunk["choices"] = [choice]
    if place == "after":
        chunk |= {"usage": None, "pad": pad}
    return (
        b"data: "
        + json.dumps(chunk, separators=(",", ":") if compact else None, ensure_ascii=False).encode()
        + b"\n\n"
    )


def texts(frames: list[bytes], *, together: bool) -> list[AnyEvent]:
    """The events of a decoder that sees all frames, or of one for each frame."""
    events: list[AnyEvent] = []
    decoder = ChatDecoder(1 << 20)
    for each in frames:
        if not together:
            decoder = ChatDecoder(1 << 20)
        feed(decoder, each, events)
    return [event for event in events if isinstance(event, Text)]


@given(
    st.lists(st.tuples(TEXTS, PADS), min_size=3, max_size=12),
    st.sampled_from(["before", "choice", "after"]),
    st.booleans(),
)
def test_padding_changes_nothing_but_itself(said: list[tuple[str, str]], place: str, compact: bool) -> None:
    frames = [frame(text, pad, place, compact=compact) for text, pad in said]
    alone = texts(frames, together=False)
    assert texts(frames, together=True) == alone
    assert texts([b"".join(frames)], together=True) == alone


def test_padding_is_kept() -> None:
    frames = [frame(f"word{number}", f"pad{number}", "after") for number in range(6)]
    events = texts(frames, together=True)
    assert [event.extra for event in events] == [{"chunk": {"pad": f"pad{number}"}} for number in range(6)]
