"""What callers may ask for in Chat Completions, what they are told otherwise, and what an upstream gets."""

from __future__ import annotations

import gzip
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.chat_frames import Json, strict_object
from tests.properties import examples
from tidegate.config import QUIRKS
from tidegate.core.request import Request
from tidegate.dialects import load_dialect
from tidegate.errors import InvalidRequest

CHAT = load_dialect("openai-chat")
MESSAGES = [{"role": "user", "content": "Hi"}]
NO_QUIRKS: frozenset[str] = frozenset()


def body(**fields: Any) -> bytes:
    return json.dumps({"messages": MESSAGES, **fields}).encode()


def read(**fields: Any) -> Request:
    return CHAT.read_request(body(**fields))


def written(request: Request, *quirks: str) -> Json:
    """What an upstream with these quirks is asked for."""
    return strict_object(CHAT.write_request(request, "theirs", frozenset(quirks)).decode())


def test_what_is_read() -> None:
    request = read(model="m", stream=True, stream_options={"include_usage": True}, n=3)
    assert (request.dialect, request.model) == ("openai-chat", "m")
    assert (request.stream, request.include_usage, request.choices) == (True, True, 3)


@pytest.mark.parametrize("nothing", [None, "absent"])
def test_what_is_not_said_has_defaults(nothing: str | None) -> None:
    names = ("model", "stream", "stream_options", "n", "tools", "stop", "temperature", "max_tokens")
    request = read(**(dict.fromkeys(names) if nothing is None else {}))
    assert request.model is None
    assert (request.stream, request.include_usage, request.choices) == (False, False, 1)


def test_an_empty_model_is_none() -> None:
    assert read(model="").model is None


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "assistant", "content": ""}],
        [{"role": "assistant", "content": None, "tool_calls": []}],
        [{"role": "assistant"}],
        [{"role": "user", "content": []}],
        [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
        [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}],
        [{"role": "assistant", "content": "Once upon"}, {"role": "user", "content": "continue"}],
        [{"role": "tool", "tool_call_id": "x", "content": "{}"}],
        [{"role": "developer", "content": "x", "name": "n"}],
        [{"role": "anything", "content": "x"}],
    ],
)
def test_conversations_that_are_fine(messages: list[Json]) -> None:
    assert written(read(messages=messages))["messages"] == messages


@pytest.mark.parametrize(
    ("sent", "param", "words"),
    [
        (b"", None, "the body is empty"),
        (b"  \n", None, "the body is empty"),
        (b"{", None, "not valid JSON"),
        (b"{}", "messages", "'messages' is missing"),
        (b"nonsense", None, "not valid JSON"),
        (b"{'messages': []}", None, "not valid JSON"),
        (b'{"messages": [],}', None, "not valid JSON"),
        (b'{"messages": NaN}', None, "not valid JSON"),
        (b"[]", None, "must be a JSON object"),
        (b'"x"', None, "must be a JSON object"),
        (b"null", None, "must be a JSON object"),
        (b"1", None, "must be a JSON object"),
        (b"\xef\xbb\xbf" + body(), None, "not valid JSON"),
        ("﻿".encode("utf-16") + body(), None, "not UTF-8|not valid JSON"),
        (gzip.compress(body()), None, "compressed with gzip; send it as it is"),
        (body(model="\xff").replace(b"\\u00ff", b"\xff"), None, "not UTF-8|not valid UTF-8"),
        (body(x="\xff").replace(b"\\u00ff", b"\xff"), None, "not UTF-8|not valid UTF-8"),
        (
            body(messages=[{"role": "user", "content": "*"}]).replace(b"*", b"\\ud83d"),
            None,
            "half of",
        ),
        (body(x="*").replace(b"*", b"\\ud83d"), None, "half of"),
        (body(x="*").replace(b"*", b"\x00"), None, "not valid JSON"),
        (b'{"messages":' + b"[" * 100_000 + b"}", "messages[0]", "is wrong"),
        (b'{"messages":[{"role":"user"}],"x":' + b"[" * 100_000 + b"}", None, "nested too deeply|not valid"),
        (body(messages=[]), "messages", "'messages' is empty"),
        (body(messages=None), "messages", "'messages' is wrong"),
        (body(messages="Hi"), "messages", "'messages' is wrong"),
        (body(messages={}), "messages", "'messages' is wrong"),
        (body(messages=[1]), "messages[0]", "is wrong"),
        (body(messages=[{}]), "messages[0]", "missing required field `role`"),
        (body(messages=[{"role": 1}]), "messages[0].role", "is wrong"),
        (body(messages=[{"role": "user", "content": 1}]), "messages[0].content", "is wrong"),
        (body(messages=[{"role": "user", "content": {}}]), "messages[0].content", "is wrong"),
        (body(model=1), "model", "'model' is wrong"),
        (body(model=[]), "model", "'model' is wrong"),
        (body(stream="yes"), "stream", "'stream' is wrong"),
        (body(stream=1), "stream", "'stream' is wrong"),
        (body(stream_options=1), "stream_options", "is wrong"),
        (body(stream_options={"include_usage": "yes"}), "stream_options.include_usage", "is wrong"),
        (body(n=0), "n", "from 1 to 128"),
        (body(n=-1), "n", "from 1 to 128"),
        (body(n=129), "n", "from 1 to 128"),
        (body(n=1.5), "n", "'n' is wrong"),
        (body(n=10**30), "n", "'n'"),
        (body(max_tokens="5"), "max_tokens", "is wrong"),
        (body(max_completion_tokens=[]), "max_completion_tokens", "is wrong"),
        (body(temperature="hot"), "temperature", "is wrong"),
        (body(tools={}), "tools", "is wrong"),
        (body(stop=1), "stop", "is wrong"),
        (body(stop=[1]), "stop[0]", "is wrong"),
    ],
)
def test_what_is_refused(sent: bytes, param: str | None, words: str) -> None:
    """In one sentence, which names the field."""
    with pytest.raises(InvalidRequest, match=words) as raised:
        CHAT.read_request(sent)
    assert (raised.value.status, raised.value.param) == (400, param)
    assert "\n" not in raised.value.message


def test_of_a_field_that_is_sent_twice_the_last_counts_everywhere() -> None:
    request = CHAT.read_request(body(model="a", n=1)[:-1] + b', "n": 2, "model": "b", "seed": 1, "seed": 2}')
    assert (request.model, request.choices) == ("b", 2)
    assert (written(request)["n"], written(request)["seed"]) == (2, 2)


@examples(120)
@given(st.binary(max_size=30) | st.text(max_size=10).map(str.encode))
def test_bytes_that_are_no_request_are_refused(sent: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"."):  # the shortest request is longer
        CHAT.read_request(sent)


junk: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 10**30, 1.5, "", "x", [], {}, [[]], [None], {"x": []}, [{"role": "x"}]]
)
NAMES = [
    "messages",
    "model",
    "stream",
    "stream_options",
    "n",
    "tools",
    "stop",
    "temperature",
    "max_tokens",
    "x",
]


@examples(120)
@given(fields=st.dictionaries(st.sampled_from(NAMES), junk), quirks=st.sets(st.sampled_from(sorted(QUIRKS))))
def test_any_object_is_passed_on_or_refused(fields: Json, quirks: set[str]) -> None:
    try:
        request = CHAT.read_request(body(**fields))
    except InvalidRequest:
        return
    assert written(request, *quirks)["model"] == "theirs"


def test_an_upstream_is_always_asked_for_a_stream_with_usage() -> None:
    for request in (read(), read(stream=False), read(stream_options={"include_usage": False})):
        assert written(request) == {
            "messages": MESSAGES,
            "model": "theirs",
            "stream": True,
            "stream_options": {"include_usage": True},
        }


def test_other_stream_options_are_kept() -> None:
    request = read(stream_options={"include_obfuscation": False})
    assert written(request)["stream_options"] == {"include_obfuscation": False, "include_usage": True}


def test_every_other_field_is_passed_on_byte_for_byte() -> None:
    odd = b'{ "a" : 1.0e5 , "b":[ 1 ,2], "c" : "\\u0041\\/" , "d":1.10, "e":12345678901234567890123}'
    sent = b'{"messages" : [ {"role":"user" , "content":"\xe4\xb8\x96", "x" : 1.0} ], "x": ' + odd + b"}"
    request = CHAT.read_request(sent)
    out = CHAT.write_request(request, "theirs", NO_QUIRKS)
    assert b'"x":' + odd in out
    assert b'"messages":[ {"role":"user" , "content":"\xe4\xb8\x96", "x" : 1.0} ]' in out


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)


@examples(80)
@given(
    fields=st.dictionaries(st.text("xyz", min_size=1, max_size=4), values, max_size=4), indent=st.booleans()
)
def test_unknown_fields_keep_their_bytes(fields: Json, indent: bool) -> None:
    sent = json.dumps(
        {**fields, "messages": MESSAGES}, indent=1 if indent else None, ensure_ascii=False
    ).encode()
    request = CHAT.read_request(sent)
    out = CHAT.write_request(request, "theirs", NO_QUIRKS)
    parts = msgspec.json.decode(out, type=dict[str, msgspec.Raw])
    original = msgspec.json.decode(sent, type=dict[str, msgspec.Raw])
    for name in [*fields, "messages"]:
        assert bytes(parts[name]) == bytes(original[name])


def test_a_request_may_be_written_more_than_once() -> None:
    """For every attempt, each with quirks of its own."""
    request = read(max_tokens=5, seed=1, messages=[{"role": "developer", "content": "x"}])
    plain = written(request)
    for quirk in sorted(QUIRKS):
        written(request, quirk)
    assert written(request) == plain


# Quirks: what vendors want otherwise. Their names and reasons: docs/configuration.md.

CALL: Json = {"id": "call_abc123", "type": "function", "function": {"name": "f", "arguments": "{}"}}
HISTORY: list[Json] = [
    {"role": "developer", "content": "d", "name": "boss"},
    {"role": "assistant", "content": "a", "reasoning_content": "r", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_abc123", "content": "1"},
]


def quirked(quirk: str, **fields: Any) -> Json:
    """What a single quirk makes of these fields, without what every request has."""
    out = written(read(**fields), quirk)
    return {name: out[name] for name in out if name not in ("model", "stream", "messages")}


USAGE = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    ("quirk", "fields", "sent"),
    [
        ("no_stream_options", {"stream_options": {"include_usage": True}}, {}),
        ("no_stream_options", {}, {}),
        ("max_completion_tokens", {"max_tokens": 5}, {**USAGE, "max_completion_tokens": 5}),
        ("max_completion_tokens", {"max_completion_tokens": 5}, {**USAGE, "max_completion_tokens": 5}),
        (
            "max_completion_tokens",
            {"max_tokens": 5, "max_completion_tokens": 6},
            {**USAGE, "max_completion_tokens": 6},
        ),
        ("max_completion_tokens", {}, USAGE),
        ("max_tokens", {"max_completion_tokens": 5}, {**USAGE, "max_tokens": 5}),
        ("max_tokens", {"max_tokens": 4, "max_completion_tokens": 5}, {**USAGE, "max_tokens": 4}),
        ("random_seed", {"seed": 1}, {**USAGE, "random_seed": 1}),
        ("random_seed", {"seed": 1, "random_seed": 2}, {**USAGE, "random_seed": 2}),
        (
            "no_empty_tools",
            {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True},
            USAGE,
        ),
        ("no_empty_tools", {"tools": None}, USAGE),
        (
            "no_empty_tools",
            {"tools": [1], "tool_choice": "auto"},
            {**USAGE, "tools": [1], "tool_choice": "auto"},
        ),
        ("no_empty_tools", {"tool_choice": "none"}, {**USAGE, "tool_choice": "none"}),
        ("no_model_list", {"seed": 1}, {**USAGE, "seed": 1}),
    ],
)
def test_quirks_of_fields(quirk: str, fields: Json, sent: Json) -> None:
    assert quirked(quirk, **fields) == sent


@pytest.mark.parametrize(
    ("quirk", "changed"),
    [
        ("no_message_name", [{"role": "developer", "content": "d"}, *HISTORY[1:]]),
        ("no_developer_role", [{"role": "system", "content": "d", "name": "boss"}, *HISTORY[1:]]),
        (
            "no_reasoning_content",
            [HISTORY[0], {"role": "assistant", "content": "a", "tool_calls": [CALL]}, HISTORY[2]],
        ),
        ("no_stream_options", HISTORY),
    ],
)
def test_quirks_of_messages(quirk: str, changed: list[Json]) -> None:
    assert written(read(messages=HISTORY), quirk)["messages"] == changed


def test_ids_of_calls_are_shortened_alike_in_call_and_result() -> None:
    messages = written(read(messages=HISTORY), "short_tool_call_ids")["messages"]
    made = messages[1]["tool_calls"][0]["id"]
    assert len(made) == 9
    assert made.isalnum()
    assert messages[2]["tool_call_id"] == made
    assert messages[1]["tool_calls"][0]["function"] == CALL["function"]
    again = written(read(messages=HISTORY), "short_tool_call_ids")["messages"]
    assert again == messages


def test_an_id_that_is_right_stays() -> None:
    messages = [{"role": "tool", "tool_call_id": "D681PevKs", "content": "1"}]
    assert written(read(messages=messages), "short_tool_call_ids")["messages"] == messages


@pytest.mark.parametrize("calls", [None, [], {}, "x", 5, [1], [None], [{}], [{"id": None}], [{"id": 5}]])
@pytest.mark.parametrize("call_id", [None, 5, [], ""])
def test_odd_calls_in_a_history_are_the_upstreams_business(calls: Any, call_id: Any) -> None:
    messages = [{"role": "assistant", "tool_calls": calls}, {"role": "tool", "tool_call_id": call_id}]
    out = written(read(messages=messages), "short_tool_call_ids")["messages"]
    assert out[0] == messages[0]


def test_all_quirks_together() -> None:
    request = read(messages=HISTORY, max_tokens=5, seed=1, tools=[])
    out = written(request, *QUIRKS)
    assert "stream_options" not in out
    assert "tools" not in out
    assert out["random_seed"] == 1
    assert [message["role"] for message in out["messages"]] == ["system", "assistant", "tool"]


@pytest.mark.parametrize("quirk", sorted(QUIRKS))
def test_every_quirk_of_the_configuration_is_known_here(quirk: str) -> None:
    """One that changes no request says so by its name."""
    fields = {"seed": 1, "tools": [], "stream_options": {}, "top_k": 40, "reasoning_effort": "low"}
    everything = read(messages=HISTORY, max_tokens=5, max_completion_tokens=6, **fields)
    assert (written(everything, quirk) != written(everything)) == (
        quirk not in ("no_model_list", "no_completions", "signed_thinking")
    )
