"""A request whose upstream speaks another dialect is translated, dropped by name, or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from tests.dialects.recorded import dialects
from tidegate.core.message import MediaPart, Message, ResultPart, TextPart, ThinkingPart
from tidegate.core.request import OutputFormat, Prompt, Reasoning
from tidegate.core.tool import HostedTool, ToolChoice, ToolDefinition
from tidegate.dialects import load_dialect, understand
from tidegate.dialects.api import Dialect, Lack
from tidegate.dialects.translation import FEATURES, features, translate
from tidegate.errors import InvalidRequest, Unsupported

CHAT = load_dialect("openai-chat")
USER = [{"role": "user", "content": "q"}]


class Narrow:
    """A dialect that takes Chat's form and has no form for some things."""

    name = "narrow"

    def __init__(self, **lacks: Lack) -> None:
        self.lacks: Mapping[str, Lack] = lacks

    def write_prompt(self, prompt: Prompt, model: str, quirks: frozenset[str]) -> bytes:
        return CHAT.write_prompt(prompt, model, quirks)


def translated(target: Any, *quirks: str, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    request = CHAT.read_request(json.dumps({"messages": USER, **fields}).encode())
    body, dropped = translate(request, CHAT, target, "theirs", frozenset(quirks))
    return json.loads(body), dropped


def test_equal_dialects_pass_everything_through() -> None:
    written, dropped = translated(CHAT, unknown=1)
    assert written["unknown"] == 1
    assert dropped == ()


def test_what_is_dropped_is_named_in_the_callers_words() -> None:
    _, dropped = translated(Narrow(parallel_tools="drop", seed="drop"), parallel_tool_calls=False, seed=1)
    assert set(dropped) == {"parallel_tool_calls", "seed"}


def test_unknown_fields_are_dropped_by_name() -> None:
    assert translated(Narrow(), prediction={}, store=True)[1] == ("prediction", "store")


def test_what_was_not_asked_for_is_not_named() -> None:
    assert translated(Narrow(seed="drop", choices="refuse"), seed=None, n=1)[1] == ()


def test_what_is_refused_names_the_field_and_the_reason() -> None:
    with pytest.raises(Unsupported, match="'n' cannot be passed on") as raised:
        translated(Narrow(choices="refuse"), n=2)
    assert raised.value.param == "n"
    assert raised.value.status == 400
    assert not raised.value.retryable


def test_quirks_drop_what_a_vendor_lacks() -> None:
    written, dropped = translated(
        Narrow(), "no_top_k", "no_reasoning_effort", top_k=4, reasoning_effort="low"
    )
    assert set(dropped) == {"top_k", "reasoning_effort"}
    assert not {"top_k", "reasoning_effort"} & set(written)


EVERYTHING = Prompt(
    messages=(
        Message("user", (MediaPart(kind="image", url="u", cache={"type": "ephemeral"}),), name="n"),
        Message("user", (MediaPart(kind="document", text="t"), MediaPart(kind="audio", data="d"))),
        Message("user", (ResultPart(call_id="c", content=(MediaPart(kind="image", file_id="f"),)),)),
        Message("assistant", (ThinkingPart(text="t", origin="x"), TextPart(text="a"))),
    ),
    tools=(
        ToolDefinition(name="f"),
        ToolDefinition(name="g", custom=True),
        HostedTool("x", {}),
        HostedTool("y", {}),
    ),
    tool_choice=ToolChoice("auto", ("f",)),
    temperature=0.0,
    choices=2,
    reasoning=Reasoning(effort="low"),
    output=OutputFormat("json_object"),
)


def test_features_are_told_by_what_a_prompt_makes_use_of() -> None:
    assert set(features(EVERYTHING, "x")) == {
        *("image_url", "document_text", "audio_data", "result_media", "image_file", "cache", "message_name"),
        *("thinking", "tools", "custom_tools", "hosted_tools", "foreign_tools", "allowed_tools"),
        *("temperature", "choices", "reasoning", "json_object"),
    }
    assert "foreign_thinking" in set(features(EVERYTHING, "y"))


@pytest.mark.parametrize("dialect", dialects(), ids=lambda dialect: dialect.name)
def test_every_feature_of_a_dialects_tables_is_one(dialect: Dialect) -> None:
    assert set(dialect.lacks) <= set(FEATURES)
    assert set(dialect.fields) <= set(FEATURES)


@pytest.mark.parametrize("upstream", dialects(), ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
        {"messages": [{"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": []}]}]},
        {"tools": [{"type": "function", "function": {"name": [], "parameters": 5}}], "tool_choice": "auto"},
        {"tools": [{"type": "custom", "custom": {"name": "f", "format": 5}}]},
        {"reasoning_effort": [], "top_p": "0.9"},
    ],
    ids=["text", "result", "function", "custom", "numbers"],
)
def test_a_field_of_another_kind_is_the_callers_mistake(upstream: Dialect, fields: dict[str, Any]) -> None:
    request = CHAT.read_request(json.dumps({"messages": USER, **fields}).encode())
    with suppress(InvalidRequest, Unsupported):  # or the upstream says it
        translate(request, CHAT, upstream, "claude-3-5-sonnet", frozenset())
    with pytest.raises(InvalidRequest):
        understand(request)


def test_a_defect_of_a_writer_is_no_mistake_of_the_caller() -> None:
    class Defective(Narrow):
        def write_prompt(self, prompt: Prompt, model: str, quirks: frozenset[str]) -> bytes:
            raise KeyError(model)

    with pytest.raises(KeyError):
        translated(Defective())


@pytest.mark.parametrize("upstream", ["openai-chat", "openai-responses", "gemini"])
@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "redacted_thinking", "data": "hidden"},
    ],
)
def test_a_signature_that_nobody_else_can_check_is_not_lost_in_silence(
    upstream: str, block: dict[str, Any]
) -> None:
    turns = [*USER, {"role": "assistant", "content": [block, {"type": "text", "text": "a"}]}, *USER]
    messages = load_dialect("anthropic-messages")
    request = messages.read_request(json.dumps({"max_tokens": 5, "messages": turns}).encode())
    body, dropped = translate(request, messages, load_dialect(upstream), "theirs", frozenset())
    assert dropped == ("messages.content.thinking",)
    assert b"hidden" not in body


@pytest.mark.parametrize("upstream", ["anthropic-messages", "gemini"])
def test_a_grammar_in_chats_form_is_told_where_it_has_no_form(upstream: str) -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /x/"}}
    tool = {"type": "custom", "custom": {"name": "free", "format": grammar}}
    body, _ = translated(load_dialect(upstream), tools=[tool])
    assert "grammar (lark):\\nstart: /x/" in json.dumps(body)


def test_a_number_that_nobody_can_read_is_the_callers_mistake() -> None:
    body = b'{"messages": [{"role": "user", "content": "q", "number": 1e999}]}'
    with pytest.raises(InvalidRequest):
        translate(CHAT.read_request(body), CHAT, CHAT, "theirs", frozenset({"no_message_name"}))
    body = b'{"contents": "q", "generation_config": {"topP": 1e999}}'
    with pytest.raises(InvalidRequest):
        load_dialect("gemini").read_request(body, {}, "/models/m:generateContent")
