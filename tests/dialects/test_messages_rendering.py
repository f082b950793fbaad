"""Messages streams: what an upstream said is told, blocks are nested, and shortcuts change nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import messages
from tests.dialects.chat_frames import FRAGMENTS, texts
from tests.dialects.feeding import feed
from tests.dialects.recorded import header_for
from tests.messages import event
from tests.properties import examples
from tidegate.core.event import AnyEvent, End, Failure, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.usage import Usage
from tidegate.dialects import load_dialect
from tidegate.errors import Broken, SourceError

Json = dict[str, Any]

DIALECT = load_dialect("anthropic-messages")
NAME = DIALECT.name
HEADER = header_for(DIALECT)
QUICK = examples(100)
STOP, DONE = Finish(reason="stop"), End(outcome="completed")


def heard(pieces: Iterable[bytes]) -> tuple[list[AnyEvent], str]:
    """What a new decoder makes of a stream in pieces, and the error that it ends in."""
    events: list[AnyEvent] = []
    decoder = DIALECT.decoder(1 << 20)
    try:
        for piece in pieces:
            feed(decoder, piece, events)
        if not events or type(events[-1]) is not End:
            decoder.finish(events)
    except SourceError as error:
        return events, error.message
    return events, ""


def told(body: bytes) -> list[Json]:
    """The events of a rendering, whose framing is checked."""
    assert body.isascii()
    found = []
    for frame in body.decode("ascii").split("\n\n")[:-1]:
        name, data = frame.split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        found.append(value)
    return found


def rendered(events: Sequence[AnyEvent]) -> list[Json]:
    return told(DIALECT.renderer(HEADER).render(events))


def whole(events: Sequence[AnyEvent]) -> Json:
    renderer = DIALECT.renderer(msgspec.structs.replace(HEADER, stream=False))
    value: Json = json.loads(renderer.render(events))
    return value


# Fidelity


kept: st.SearchStrategy[Any] = st.sampled_from(
    [False, 0, -1.5, [], {}, [None, [{}]], {"a": None}, None, "", *FRAGMENTS]
)
members = st.dictionaries(st.sampled_from(["x_a", "x_b"]), kept, max_size=2)


def extended(value: Json, more: Json, inner: str | None = None, inside: Json | None = None) -> Json:
    value = {**value, **more}
    return {**value, inner: {**value[inner], **(inside or {})}} if inner else value


@st.composite
def blocks(draw: st.DrawFn, index: int) -> list[Json]:
    """A block of any kind, with members that nobody knows at every level."""
    kind = draw(st.sampled_from(["text", "thinking", "tool", "redacted", "unknown"]))
    pieces = draw(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=4))
    if kind == "text":
        made = messages.text(index, pieces)
    elif kind == "thinking":
        made = messages.thinking(index, pieces, "c2ln")
    elif kind == "tool":
        made = messages.call(index, "f", ['{"a":', *(["1"] * len(pieces)), "}"])
    elif kind == "redacted":
        made = messages.redacted(index, "Emw")
    else:
        made = messages.block(index, {"type": "x_block"}, [{"type": "x_delta", "x": each} for each in pieces])
    begin, *deltas, end = made
    same = draw(members), draw(members)  # equal members in a row, so that shortcuts are taken
    return [
        extended(begin, draw(members), "content_block", draw(members)),
        *(extended(each, same[0], "delta", same[1]) for each in deltas),
        extended(end, draw(members)),
    ]


@st.composite
def answers(draw: st.DrawFn) -> list[Json]:
    said: list[Json] = [extended(messages.message_start(), draw(members), "message", draw(members))]
    for index in range(draw(st.integers(0, 4))):
        said += draw(blocks(index))
        if draw(st.booleans()):
            said.append({"type": draw(st.sampled_from(["ping", "x_event"])), **draw(members)})
    delta, end = messages.message_end(
        "tool_use" if any("tool_use" in str(each) for each in said) else "end_turn"
    )
    return [*said, extended(delta, draw(members), "delta", draw(members)), extended(end, draw(members))]


@QUICK
@given(sent=answers(), step=st.integers(1, 400))
def test_every_event_of_an_upstream_reaches_the_client(sent: list[Json], step: int) -> None:
    """Equal as a JSON value, but for the id of the message; pings are ours."""
    body = b"".join(map(event, sent))
    events, error = heard(body[at : at + step] for at in range(0, len(body), step))
    assert error == ""
    assert heard(map(event, sent)) == (events, "")
    expected = [each for each in sent if each["type"] != "ping"]
    expected[0] = extended(expected[0], {}, "message", {"id": f"msg_{HEADER.id}"})
    assert rendered(events) == expected


@QUICK
@given(sent=answers())
def test_a_second_gateway_changes_nothing(sent: list[Json]) -> None:
    once = DIALECT.renderer(HEADER).render(heard(map(event, sent))[0])
    again, error = heard([once])
    assert error == ""
    assert DIALECT.renderer(HEADER).render(again) == once


@QUICK
@given(sent=answers())
def test_a_whole_answer_is_the_stream_added_up(sent: list[Json]) -> None:
    events, _ = heard(map(event, sent))
    said = whole(events)
    assert said["usage"] == {"input_tokens": 11, "output_tokens": 7}
    starts = [each["content_block"] for each in sent if each["type"] == "content_block_start"]
    assert [block["type"] for block in said["content"]] == [block["type"] for block in starts]
    for index, block in enumerate(said["content"]):
        if block["type"] in ("text", "thinking"):
            assert block[block["type"]] == text_of_block(sent, index)


def text_of_block(sent: list[Json], index: int) -> str:
    """Its deltas in one, in which two halves of an emoji are the emoji; between blocks they stay halves."""
    deltas = [
        each["delta"] for each in sent if each["type"] == "content_block_delta" and each["index"] == index
    ]
    text: str = json.loads(
        json.dumps("".join(each.get("text") or each.get("thinking") or "" for each in deltas))
    )
    return text


# Whatever comes


said = st.one_of(
    st.builds(Text, text=texts, block=st.sampled_from([0, 3]), extra=st.sampled_from([None, {"chunk": {}}])),
    st.builds(Thinking, text=texts, block=st.just(1), signature=st.sampled_from([None, None, "s"])),
    st.builds(Tool, arguments=st.sampled_from(["", '{"a"', ":1}", "{}"]), block=st.sampled_from([2, 4])),
    st.builds(Item, kind=st.sampled_from(["citation", "chunk", "delta"]), value=st.just({"k": "v"})),
    st.just(Text(text="elsewhere", choice=1)),
)
ends = st.sampled_from(
    [
        (STOP, DONE),
        (Finish(reason="length"), End(outcome="completed", usage=Usage(9, 2, cached_tokens=4))),
        (DONE,),
        (End(outcome="failed", error=Failure("broken")),),
        (STOP, End(outcome="cancelled", error=Failure("gone", type="cancelled", status=499))),
    ]
)


@QUICK
@given(events=st.lists(said, max_size=14), end=ends, batch=st.integers(1, 5))
def test_blocks_are_nested_whatever_is_interleaved(
    events: list[AnyEvent], end: tuple[AnyEvent, ...], batch: int
) -> None:
    """Numbered from 0, of one kind each, with deltas of their kind; one terminal, and nothing after it."""
    stream = [Start(model="m"), *events, *end]
    renderer = DIALECT.renderer(HEADER)
    body = b"".join(renderer.render(stream[at : at + batch]) for at in range(0, len(stream), batch))
    assert body == DIALECT.renderer(HEADER).render(stream)
    values = told(body)
    kinds: list[str] = []
    opened = False
    deltas = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking"}
    for value in values:
        if value["type"] == "content_block_start":
            assert not opened
            assert value["index"] == len(kinds)
            kinds.append(value["content_block"]["type"])
            opened = True
        elif value["type"] == "content_block_delta":
            assert opened
            assert value["index"] == len(kinds) - 1
            assert deltas.get(value["delta"]["type"], "tool_use") == kinds[-1]
            assert value["delta"].get("partial_json") != ""
        elif value["type"] == "content_block_stop":
            assert opened
            opened = False
    names = [value["type"] for value in values]
    assert names[0] == "message_start"
    if end[-1].outcome == "completed":  # type: ignore[union-attr]
        assert not opened
        assert names[-2:] == ["message_delta", "message_stop"]
        assert names.count("message_delta") == names.count("message_stop") == 1
    else:
        assert names[-1] == "error"
        assert "message_stop" not in names
        assert "message_delta" not in names


@QUICK
@given(pieces=st.lists(texts, max_size=8), pad=st.integers(0, 3), compact=st.booleans())
def test_learned_surroundings_change_nothing(pieces: list[str], pad: int, compact: bool) -> None:
    """Frames one at a time, padded as Anthropic pads them, or with a ping between that makes one forget."""
    separators = (",", ":") if compact else None
    frames = []
    for number, value in enumerate(messages.answer(messages.text(0, pieces))):
        data = json.dumps(value, ensure_ascii=False, separators=separators)
        if value["type"] == "content_block_delta":
            data = f"{data[:-1]}{' ' * (number % (pad + 1))}{data[-1]}{' ' * (number % 2)}"
        frames.append(f"event: {value['type']}\ndata: {data}\n\n".encode("utf-8", "surrogatepass"))
    ping = event(messages.PING)
    expected = heard(frames)
    assert heard([b"".join(frames)]) == expected
    assert heard(each for frame in frames for each in (ping, frame)) == expected
    assert "".join(each.text for each in expected[0] if isinstance(each, Text)) == "".join(pieces)


@pytest.mark.parametrize("odd", ['b"},"index":1}\n\ndata: {"x":"', 'b","x":"', "\\", '"', "\\u00"])
def test_bytes_that_are_no_string_are_not_taken_for_one(odd: str) -> None:
    """A frame of learned surroundings in which more than the text differs is read in full."""
    first = event(messages.text(0, ["first"])[1])
    start = [event(messages.message_start()), event(messages.text(0, [])[0])]
    sent = [*start, first, first, first.replace(b"first", odd.encode()), first]
    ping = event(messages.PING)
    assert heard(sent) == heard([*start, first, ping, first, ping, sent[-2], ping, first])


# What single upstreams do


def test_a_turn_of_calls_that_says_end_turn_means_tool_use() -> None:
    sent = messages.answer(messages.text(0, ["a"]), messages.call(1, "f", ["{}"]), reason="end_turn")
    events, _ = heard(map(event, sent))
    assert rendered(events)[-2]["delta"]["stop_reason"] == "tool_use"
    assert [each.reason for each in events if isinstance(each, Finish)] == ["tool_calls"]


def test_a_call_that_the_limit_cut_is_told_as_it_is() -> None:
    sent = messages.answer(messages.call(0, "f", ['{"a": "']), reason="max_tokens")
    events, _ = heard(map(event, sent))
    assert [each.reason for each in events if isinstance(each, Finish)] == ["length"]
    said = whole(events)
    assert (said["stop_reason"], said["content"][0]["input"]) == ("max_tokens", {"INVALID_JSON": '{"a": "'})


def test_deltas_whose_block_was_not_started_or_is_another() -> None:
    """Text and thinking can be placed; arguments without a call cannot."""
    start, end = messages.message_start(), messages.message_end()
    text, thought = messages.text(0, ["a"])[1], messages.thinking(0, ["b"], "s")[1]
    events, error = heard(map(event, [start, text, thought, text, *end]))
    assert error == ""
    assert [type(each) for each in events[1:4]] == [Text, Thinking, Text]
    lost = messages.call(0, "f", ["{}"])[1]
    assert "not started" in heard(map(event, [start, lost]))[1]


def test_an_end_inside_a_call_names_the_tool_even_when_the_message_claims_to_stop() -> None:
    begun = [messages.message_start(), *messages.call(0, "write_file", ["{"])[:-1]]
    assert "'write_file'" in heard(map(event, begun))[1]
    assert "'write_file'" in heard(map(event, [*begun, *messages.message_end("tool_use")]))[1]


@pytest.mark.parametrize("body", ["[]", "nothing", '{"type":"message"}', '{"content":[1]}', '{"content":5}'])
def test_a_whole_answer_that_is_none(body: str) -> None:
    with pytest.raises(SourceError):
        DIALECT.decoder(1 << 20).whole(body.encode(), [])


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "content_block_start", "index": 0},
        {"type": "content_block_delta", "index": 0, "delta": 5},
        {"type": "message_start"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 5}},
    ],
)
def test_events_of_the_wrong_shape_break_the_answer(odd: Json) -> None:
    decoder = DIALECT.decoder(1 << 20)
    with pytest.raises(Broken):
        feed(decoder, event(odd), [])


# For upstreams of other dialects


def test_thinking_of_another_origin_is_marked() -> None:
    events: list[AnyEvent] = [
        Thinking(text="a", block=0),
        Thinking(text="", block=0, signature="s", origin="gemini"),
        Thinking(text="", block=1, redacted="r", origin="openai-responses"),
        Thinking(text="b", block=2),
        Thinking(text="", block=2, redacted="r", origin="openai-responses"),
        STOP,
        DONE,
    ]
    content = whole(events)["content"]
    assert content == [
        {"type": "thinking", "thinking": "a", "signature": "tidegate:gemini:s"},
        {"type": "redacted_thinking", "data": "tidegate:openai-responses:r"},
        {"type": "thinking", "thinking": "b", "signature": "tidegate-redacted:openai-responses:r"},
    ]
    body = {"max_tokens": 1, "messages": [{"role": "assistant", "content": content}]}
    prompt = DIALECT.read_prompt(DIALECT.read_request(json.dumps(body).encode()))
    thoughts: list[Any] = list(prompt.messages[0].parts)
    seals = [(each.signature, each.redacted, each.origin) for each in thoughts]
    assert seals == [("s", None, "gemini"), (None, "r", "openai-responses"), (None, "r", "openai-responses")]


@pytest.mark.parametrize(
    ("finish", "refused", "expected"),
    [
        (Finish(reason="stop"), False, ("end_turn", None)),
        (Finish(reason="stop", stop="X"), False, ("stop_sequence", "X")),
        (Finish(reason="length"), False, ("max_tokens", None)),
        (Finish(reason="content_filter"), False, ("refusal", None)),
        (Finish(reason="pause_turn"), False, ("pause_turn", None)),
        (Finish(reason="eos"), False, ("end_turn", None)),
        (Finish(reason="stop"), True, ("refusal", None)),
    ],
)
def test_reasons(finish: Finish, refused: bool, expected: tuple[str, str | None]) -> None:
    events: list[AnyEvent] = [Start(), Text(text="a", refusal=refused), finish, DONE]
    for said in (rendered(events)[-2]["delta"], whole(events)):
        assert (said["stop_reason"], said["stop_sequence"]) == expected


def test_members_that_the_published_schemas_require_are_there() -> None:
    usage = Usage(10, 5, cached_tokens=3, cache_write_tokens=2, reasoning_tokens=1)
    events: list[AnyEvent] = [Text(text="a"), Tool(arguments="{}", block=1, name="f"), STOP]
    said = whole([Start(), *events, End(outcome="completed", usage=usage)])
    text, call = said["content"]
    assert text["citations"] == []
    assert call["caller"] == {"type": "direct"}
    assert call["id"].startswith("toolu_")
    assert {"stop_details", "container", "stop_sequence"} <= said.keys()
    counts = said["usage"]
    assert (counts["input_tokens"], counts["output_tokens"]) == (5, 5)
    assert (counts["cache_read_input_tokens"], counts["cache_creation_input_tokens"]) == (3, 2)
    assert counts["output_tokens_details"] == {"thinking_tokens": 1}
    assert {"cache_creation", "server_tool_use", "service_tier", "inference_geo"} <= counts.keys()


def test_counts_that_the_start_could_not_tell_come_with_the_end() -> None:
    """The start was sent before the upstream had said anything."""
    sent = messages.answer(messages.text(0, ["a"]))
    events, _ = heard(map(event, sent))
    late = rendered([Start(), *events[1:]])
    assert late[0]["message"]["usage"]["input_tokens"] == 0
    assert late[-2]["usage"] == {"input_tokens": 11, "output_tokens": 7}
