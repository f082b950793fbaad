"""The decoder of Responses keeps what frames have in common; with and without that it says the same."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.chat_frames import FRAGMENTS, heard, texts
from tests.properties import examples
from tidegate.core.event import Text
from tidegate.dialects import load_dialect
from tidegate.dialects.openai_responses.learned import learn

RESPONSES = load_dialect("openai-responses")
QUICK = examples(120)

FORGET = b'data: {"type":"keepalive"}\n\n'
"""An event that makes a decoder forget what it has learned, and means nothing else."""

BEGIN = [
    b'event: response.created\ndata: {"type":"response.created","response":{"model":"m"}}\n\n',
    b'data: {"type":"response.output_item.added","output_index":0,"item":{"type":"message","id":"m"}}\n\n',
]
END = b'event: response.completed\ndata: {"type":"response.completed","response":{"status":"completed"}}\n\n'

_ORDERS = [
    (
        "type",
        "sequence_number",
        "item_id",
        "output_index",
        "content_index",
        "delta",
        "logprobs",
        "obfuscation",
    ),
    (
        "type",
        "content_index",
        "delta",
        "item_id",
        "logprobs",
        "obfuscation",
        "output_index",
        "sequence_number",
    ),
    ("content_index", "delta", "item_id", "output_index", "sequence_number", "type"),
    ("type", "item_id", "delta"),
]


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Deltas of one kind of server: an order of members, a way of writing JSON, and what else differs."""
    order, named = draw(st.sampled_from(_ORDERS)), draw(st.booleans())
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    ascii_only = draw(st.booleans())
    frames = []
    for number, text in enumerate(draw(st.lists(st.one_of(texts, st.sampled_from(FRAGMENTS)), max_size=12))):
        members = {
            "type": "response.output_text.delta",
            "sequence_number": number + 2,
            "item_id": "m",
            "output_index": 0,
            "content_index": 0,
            "delta": text,
            "logprobs": [],
            "obfuscation": draw(st.sampled_from(["", "abc", 'q"', "世"])),
        }
        event = {name: members[name] for name in order} | draw(st.sampled_from([{}, {}, {}, {"x": 1}]))
        data = json.dumps(event, ensure_ascii=ascii_only, separators=separators)
        name = "event: response.output_text.delta\n" if named else ""
        frames.append(f"{name}data: {data}\n\n".encode("utf-8", "surrogatepass"))
    return [*BEGIN, *frames, END]


def forgetting(sent: Iterable[bytes]) -> Iterable[bytes]:
    for each in sent:
        yield FORGET
        yield each


@QUICK
@given(streams())
def test_learned_surroundings_change_nothing(sent: list[bytes]) -> None:
    expected = heard(RESPONSES, forgetting(sent))
    assert heard(RESPONSES, sent) == expected
    assert heard(RESPONSES, [b"".join(sent)]) == expected


@QUICK
@given(sent=streams(), cuts=st.lists(st.integers(0, 3000), max_size=5))
def test_nor_do_they_when_frames_are_cut(sent: list[bytes], cuts: list[int]) -> None:
    """hazard 41: re-chunked anywhere, the events are the same."""
    whole = b"".join(sent)
    at = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[start:stop] for start, stop in pairwise(at)]
    assert heard(RESPONSES, pieces) == heard(RESPONSES, forgetting(sent))


@pytest.mark.parametrize("text", ["Hello", "\\u4e16\\u754c", 'a \\"quoted\\" word', "世界"])
def test_a_template_is_learned_and_fits_the_next_frame(text: str) -> None:
    """Also from a text in escapes, as all of Chinese is for many servers."""
    head = '{"type":"response.output_text.delta","sequence_number":%d,"item_id":"m","delta":"'
    tail = '","logprobs":[],"obfuscation":"%s"}'
    payload = (head % 7 + text + tail % "ab").encode()
    template = learn(payload, b"response.output_text.delta", json.loads(f'"{text}"'))
    assert template is not None
    frame = f"event: response.output_text.delta\ndata: {head % 12345}x\\ny{tail % ''}\n\n"
    assert template.text(frame.encode()) == "x\ny"
    for broken in (frame.replace("12345", "12a45"), frame.replace('"m"', '"n"'), frame.replace("x", 'x"')):
        assert template.text(broken.encode()) is None


@pytest.mark.parametrize("padding", ["", '","obfuscation":"ab'])
def test_a_template_counts_and_takes_any_number_all_the_same(padding: str) -> None:
    """The next number is expected, and nothing depends on that."""
    made = '{"type":"t","sequence_number":%s,"delta":"%s' + padding + '"}'
    template = learn((made % (7, "a")).encode(), b"", "a")
    assert template is not None
    for number in ("8", "9", "11", "12", "3", "0", "9" * 5000, "4"):
        for text in ("word", 'a \\"quote\\"', "\u4e16"):
            frame = f"data: {made % (number, text)}\n\n".encode()
            assert template.text(frame) == json.loads(f'"{text}"')
            assert template.text(frame + frame) is None
            assert template.text(frame[:-9]) is None


def test_deltas_of_one_block_share_what_stands_beside_them() -> None:
    """So that a renderer can tell by identity that only the text has changed."""
    delta = b'data: {"type":"response.output_text.delta","output_index":0,"delta":"%b","x":{"y":1}}\n\n'
    events, _ = heard(RESPONSES, [*BEGIN, *(delta % each for each in (b"a", b"b", b"c", b"d")), END])
    texts_said = [event for event in events if isinstance(event, Text)]
    assert [event.text for event in texts_said] == ["a", "b", "c", "d"]
    assert texts_said[1].extra is texts_said[2].extra is texts_said[3].extra
    assert texts_said[1].extra == {"openai-responses": {"event": {"x": {"y": 1}}}}
