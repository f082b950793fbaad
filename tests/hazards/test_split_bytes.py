"""How the network cuts an upstream's bytes, and how it spells its events, changes nothing in the answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chat import DONE, USAGE, Json, chunk, envelope, frame, frames, streamed_bytes, text_chunks, tool
from tests.chat_stream import ChatAnswer, stream_chat
from tests.gateway import Gateway
from tests.properties import examples
from tests.script import End, Head, Raw, Send, as_chunk
from tests.upstream import Upstream

WIDE = "世界 😀 é 𠜎 👩‍👩‍👧 end"
WIDE_CHUNKS = text_chunks(["世界 ", "😀 é", " 𠜎 👩‍👩‍👧", " end"])
RECORDED = [
    chunk("", role="assistant"),
    chunk(reasoning="Überlegung 🤔"),
    chunk("data: 世界\n\n"),
    chunk("\u2028 \u0085 \r\n", logprobs_like="x"),
    chunk(tool_calls=[tool(0, "", call_id="call_0", name="look")]),
    chunk(tool_calls=[tool(0, '{"q": "😀"}')]),
    chunk(finish="tool_calls"),
    envelope([], usage=USAGE),
]


def comparable(answer: ChatAnswer) -> list[Json]:
    """The chunks without what differs from stream to stream."""
    return [
        {key: value for key, value in part.items() if key not in {"id", "created"}} for part in answer.chunks
    ]


def test_one_byte_at_a_time(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 15: characters of up to four bytes, every byte in a write and a chunk of its own."""
    upstream.play(streamed_bytes(frames(WIDE_CHUNKS) + DONE, each=1))
    assert stream_chat(gateway.address).succeeded().text() == WIDE


def test_one_byte_at_a_time_with_its_framing(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 15: the heads of the chunks are cut too."""
    body = as_chunk(frames(WIDE_CHUNKS)) + as_chunk(DONE) + b"0\r\n\r\n"
    upstream.play([Head(), Raw(body, each=1)])
    assert stream_chat(gateway.address).succeeded().text() == WIDE


def test_every_place_to_cut_a_character(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 15: two writes, parted at each byte around and inside of the wide characters."""
    event = frame(chunk(WIDE))
    start, end = event.index("世".encode()) - 2, event.index(b" end") + 2
    rest = frames(text_chunks([], role=False)) + DONE
    for offset in range(start, end):
        upstream.play([Head(), Send(event, at=(offset,)), Send(rest), End()])
        assert stream_chat(gateway.address).succeeded().text() == WIDE


def test_no_replacement_character_appears(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 15: nor is one taken away that the model wrote itself."""
    upstream.play(streamed_bytes(frames(text_chunks(["a\ufffd", "😀"])) + DONE, each=3))
    assert stream_chat(gateway.address).succeeded().text() == "a\ufffd😀"


def test_an_emoji_cut_into_two_escapes(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 15: servers that escape half an emoji in each of two deltas."""
    low, high = json.dumps(chunk("@")).replace("@", "\\ud83d"), json.dumps(chunk("@")).replace("@", "\\ude00")
    body = frame(chunk("", role="assistant")) + frame(low) + frame(high) + frames(text_chunks([], role=False))
    upstream.play(streamed_bytes(body + DONE))
    joined = stream_chat(gateway.address).succeeded().text()
    assert joined.encode("utf-16", "surrogatepass").decode("utf-16") == "😀"


@examples(60)
@given(data=st.data())
def test_any_cuts_give_the_same_answer(gateway: Gateway, upstream: Upstream, data: st.DataObject) -> None:
    """hazard 41: a recorded stream, cut anywhere, in chunks of the body and in writes of the socket."""
    body = frames(RECORDED) + DONE
    offsets = st.lists(st.integers(1, len(body) - 1), max_size=40, unique=True).map(sorted)
    upstream.play(streamed_bytes(body), streamed_bytes(body, at=data.draw(offsets)))
    whole = stream_chat(gateway.address).succeeded()
    parted = stream_chat(gateway.address).succeeded()
    assert comparable(parted) == comparable(whole)
    framed = as_chunk(body) + b"0\r\n\r\n"
    upstream.play([Head(), Raw(framed, at=data.draw(offsets))])
    assert comparable(stream_chat(gateway.address).succeeded()) == comparable(whole)


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
DELTAS = st.one_of(
    TEXTS.map(chunk),
    TEXTS.map(lambda text: chunk(reasoning=text)),
    TEXTS.map(lambda text: chunk(text, index=1)),
)


@examples(60)
@given(parts=st.lists(DELTAS, min_size=1, max_size=12), size=st.integers(1, 200))
def test_any_text_arrives_in_order(
    gateway: Gateway, upstream: Upstream, parts: list[Json], size: int
) -> None:
    """hazards 15, 41: whatever the text is, and however it is cut, nothing is lost, added or swapped."""
    indices = sorted({0} | {part["choices"][0]["index"] for part in parts})
    finishes = [chunk(finish="stop", index=index) for index in indices]
    upstream.play(streamed_bytes(frames([*parts, *finishes]) + DONE, each=size))
    answer = stream_chat(gateway.address, n=len(indices)).succeeded()
    for index in indices:
        for name in ("content", "reasoning_content"):
            sent = [part["choices"][0] for part in parts]
            expected = "".join(one["delta"].get(name, "") for one in sent if one["index"] == index)
            assert answer.text(index, name) == expected


SPELLINGS: dict[str, bytes] = {
    "CRLF": b"".join(frame(part, newline="\r\n") for part in WIDE_CHUNKS) + b"data: [DONE]\r\n\r\n",
    "CR": b"".join(frame(part, newline="\r") for part in WIDE_CHUNKS) + b"data: [DONE]\r\r",
    "no space": b"".join(frame(part, space=False) for part in WIDE_CHUNKS) + b"data:[DONE]\n\n",
    "BOM": b"\xef\xbb\xbf" + frames(WIDE_CHUNKS) + DONE,
    "no last blank line": frames(WIDE_CHUNKS) + b"data: [DONE]\n",
    "no last newline": frames(WIDE_CHUNKS) + b"data: [DONE]",
    "no end mark": frames(WIDE_CHUNKS),
    "no end mark and no last blank line": frames(WIDE_CHUNKS)[:-1],
    "comments": b": hi\n\n" + b": ping\n\n".join(frame(part) for part in WIDE_CHUNKS) + b":\n\n" + DONE,
    "ids, retry and event names": b"retry: 1000\n\n"
    + b"".join(frame(part, event="message", event_id=str(n)) for n, part in enumerate(WIDE_CHUNKS))
    + DONE,
    "empty data": b"data:\n\n" + b"data: \n\n".join(frame(part) for part in WIDE_CHUNKS) + DONE,
    "extra blank lines": b"\n\n" + b"\n\n\n".join(frame(part) for part in WIDE_CHUNKS) + DONE + b"\n\n",
    "data in two lines": frames(WIDE_CHUNKS).replace(b', "choices"', b',\ndata: "choices"') + DONE,
    "pings with a name": frame(WIDE_CHUNKS[0])
    + b'event: ping\ndata: {"type": "ping"}\n\n'
    + frames(WIDE_CHUNKS[1:])
    + DONE,
    "a space after the end mark": frames(WIDE_CHUNKS) + b"data: [DONE] \n\n",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("each", [None, 1, 7])
def test_events_in_any_spelling(
    gateway: Gateway, upstream: Upstream, spelling: str, each: int | None
) -> None:
    """hazard 42: upstreams may use every form that the specification allows; ours is always the same."""
    upstream.play(streamed_bytes(SPELLINGS[spelling], each=each))
    answer = stream_chat(gateway.address).succeeded()
    assert answer.text() == WIDE
    assert answer.response.body.startswith(b"data: {")
    assert answer.response.body.endswith(b"data: [DONE]\n\n")
