"""Messages requests in no dialect and back: what a caller wrote is all there, in whatever form it came."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tidegate.core.message import (
    CallPart,
    ForeignPart,
    MediaPart,
    Message,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
)
from tidegate.core.request import OutputFormat, Prompt, Reasoning, Request
from tidegate.core.tool import HostedTool, ToolChoice, ToolDefinition
from tidegate.dialects import load_dialect, translate
from tidegate.dialects.anthropic_messages import estimate_tokens, read_count
from tidegate.errors import InvalidRequest, Unsupported

MESSAGES = load_dialect("anthropic-messages")
CHAT = load_dialect("openai-chat")
NAME = MESSAGES.name
USER = [{"role": "user", "content": "q"}]
MARK = {"type": "ephemeral", "ttl": "1h"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
BUDGETED, ADAPTIVE = "claude-sonnet-4-5-20250929", "claude-opus-4-7"


def request(messages: list[Any] | None = None, **fields: Any) -> Request:
    body = {"max_tokens": 9, "messages": USER if messages is None else messages, **fields}
    return MESSAGES.read_request(json.dumps(body).encode())


def prompt(messages: list[Any] | None = None, **fields: Any) -> Prompt:
    return MESSAGES.read_prompt(request(messages, **fields))


def parts(*blocks: Any, role: str = "user") -> tuple[Any, ...]:
    [message] = prompt([{"role": role, "content": list(blocks)}]).messages
    return message.parts


def body(asked: Prompt, *quirks: str, model: str = "theirs") -> dict[str, Any]:
    written: dict[str, Any] = json.loads(MESSAGES.write_prompt(asked, model, frozenset(quirks)))
    return written


def turns(*asked: Message) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = body(Prompt(messages=asked))["messages"]
    return written


def said(role: Any, *content: Any) -> Message:
    return Message(role, tuple(TextPart(text=each) if isinstance(each, str) else each for each in content))


# Reading


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "text", "text": "a", "cache_control": MARK}, TextPart(text="a", cache=MARK)),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
            MediaPart(kind="image", media_type="image/png", data="QUJD"),
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://h/i"}, "cache_control": MARK},
            MediaPart(kind="image", url="https://h/i", cache=MARK),
        ),
        (
            {"type": "image", "source": {"type": "file", "file_id": "f"}},
            MediaPart(kind="image", file_id="f"),
        ),
        (
            {
                "type": "document",
                "title": "T",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"},
            },
            MediaPart(kind="document", media_type="application/pdf", data="QUJD", name="T"),
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
            MediaPart(kind="document", media_type="text/plain", text="words"),
        ),
        (
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "w"}]}},
            MediaPart(kind="document", media_type="text/plain", text="w"),
        ),
        (
            {"type": "document", "source": {"type": "file", "file_id": "f"}},
            MediaPart(kind="document", file_id="f"),
        ),
        (
            {
                "type": "search_result",
                "title": "T",
                "source": "https://h",
                "content": [{"type": "text", "text": "found"}],
            },
            MediaPart(kind="document", media_type="text/plain", text="found", name="T https://h"),
        ),
        (
            {"type": "tool_result", "tool_use_id": "t", "content": "ok", "is_error": True},
            ResultPart(call_id="t", content=(TextPart(text="ok"),), error=True),
        ),
        ({"type": "tool_result", "tool_use_id": "t"}, ResultPart(call_id="t")),
        (
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "cache_control": MARK,
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image", "source": {"type": "url", "url": "https://h"}},
                    {"type": "tool_reference", "tool_name": "f"},
                ],
            },
            ResultPart(
                call_id="t",
                cache=MARK,
                content=(
                    TextPart(text="a"),
                    MediaPart(kind="image", url="https://h"),
                    TextPart(text='{"type": "tool_reference", "tool_name": "f"}'),
                ),
            ),
        ),
        (
            {"type": "container_upload", "file_id": "f"},
            ForeignPart(dialect=NAME, value={"type": "container_upload", "file_id": "f"}),
        ),
    ],
)
def test_a_block_is_a_part(block: dict[str, Any], expected: object) -> None:
    assert parts(block) == (expected,)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            ThinkingPart(text="hm", signature="c2ln", origin=NAME),
        ),
        ({"type": "thinking", "thinking": "hm", "signature": ""}, ThinkingPart(text="hm")),
        (
            {"type": "thinking", "thinking": "", "signature": "tidegate:gemini:c2:ln"},
            ThinkingPart(text="", signature="c2:ln", origin="gemini"),
        ),
        (
            {"type": "thinking", "thinking": "s", "signature": "tidegate-redacted:openai-responses:gA=="},
            ThinkingPart(text="s", redacted="gA==", origin="openai-responses"),
        ),
        (
            {"type": "redacted_thinking", "data": "Emw"},
            ThinkingPart(text="", redacted="Emw", origin=NAME),
        ),
        (
            {"type": "redacted_thinking", "data": "tidegate:openai-responses:gA=="},
            ThinkingPart(text="", redacted="gA==", origin="openai-responses"),
        ),
        (
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": "世"}},
            CallPart(call_id="t", name="f", arguments='{"a":"世"}'),
        ),
        (
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            ForeignPart(
                dialect=NAME,
                value={"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            ),
        ),
    ],
)
def test_what_an_assistant_said_is_a_part(block: dict[str, Any], expected: object) -> None:
    assert parts(block, role="assistant") == (expected,)


def test_instructions_are_a_string_or_blocks_or_a_message() -> None:
    assert prompt(system="s").messages[0] == said("system", "s")
    blocks = [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": MARK}]
    assert prompt(system=blocks).messages[0] == said("system", "a", TextPart(text="b", cache=MARK))
    assert prompt([*USER, {"role": "system", "content": "late"}]).messages[1] == said("system", "late")


def test_settings() -> None:
    asked = prompt(
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        stop_sequences=["a", "b"],
        metadata={"user_id": "u", "other": 1},
        service_tier="auto",
        output_config={"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
        thinking={"type": "enabled", "budget_tokens": 2000},
        container="c",
        mcp_servers=[],
        context_management={"edits": []},
        cache_control=MARK,
    )
    assert (asked.max_tokens, asked.temperature, asked.top_p, asked.top_k) == (9, 0.5, 0.9, 4)
    assert (asked.stop, asked.user, asked.metadata) == (("a", "b"), "u", {"other": 1})
    assert asked.output == OutputFormat("json_schema", schema=SCHEMA, strict=True)
    assert asked.reasoning == Reasoning(effort="high", budget=2000, enabled=True)
    assert set(asked.extra or ()) == {"container", "mcp_servers", "context_management", "cache_control"}


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        ({"type": "disabled"}, Reasoning(enabled=False)),
        ({"type": "adaptive"}, Reasoning(enabled=True)),
        ({"type": "adaptive", "display": "summarized"}, Reasoning(enabled=True, summary="auto")),
    ],
)
def test_thinking(thinking: dict[str, Any], expected: Reasoning) -> None:
    assert prompt(thinking=thinking).reasoning == expected


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        ({"type": "auto"}, ToolChoice("auto"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("required"), False),
        ({"type": "tool", "name": "f", "disable_parallel_tool_use": False}, ToolChoice("tool", ("f",)), True),
        ({"type": "none"}, ToolChoice("none"), None),
    ],
)
def test_tool_choice(choice: dict[str, Any], expected: ToolChoice, parallel: bool | None) -> None:
    asked = prompt(tool_choice=choice)
    assert (asked.tool_choice, asked.parallel_tools) == (expected, parallel)


def test_tools() -> None:
    own = {"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True, "cache_control": MARK}
    hosted = {"type": "web_search_20250305", "name": "web_search"}
    assert prompt(tools=[own, {"type": "custom", "name": "g", "input_schema": SCHEMA}, hosted]).tools == (
        ToolDefinition(name="f", description="d", parameters=SCHEMA, strict=True, cache=MARK),
        ToolDefinition(name="g", parameters=SCHEMA),
        HostedTool(NAME, hosted),
    )


def test_a_long_name_of_a_user_is_hashed() -> None:
    """Others take no more than 64 characters; Claude Code sends 150."""
    name = prompt(metadata={"user_id": "user_" + "f" * 150}).user
    assert name is not None
    assert len(name) == 64


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": "q"}, "messages"),
        ({"stop_sequences": "a"}, "stop_sequences"),
        ({"temperature": "hot"}, "temperature"),
        ({"system": 1}, "system"),
    ],
)
def test_a_wrong_field_is_named_at_once(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest, match=param) as told:
        request(**fields)
    assert told.value.param == param


def test_a_limit_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidRequest, match="'max_tokens' is missing"):
        MESSAGES.read_request(json.dumps({"messages": USER}).encode())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "tool", "content": "q"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [1]}]}, "messages[0].content[0]"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tools": [{}]}, None),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_translated(
    fields: dict[str, Any], param: str | None
) -> None:
    with pytest.raises(InvalidRequest) as told:
        prompt(**fields)
    assert told.value.param == param


# Writing for another dialect's caller


def test_a_conversation_alternates() -> None:
    """Leading instructions in system, later ones as text; results first; what is empty left out."""
    asked = Prompt(
        messages=(
            said("system", "a"),
            said("developer", TextPart(text="b", cache=MARK)),
            said("user", "one"),
            said("user", "two"),
            said("assistant", "", CallPart(call_id="c", name="f", arguments='{"a":1}')),
            said("assistant", CallPart(call_id="d", name="g", arguments="")),
            said("system", "odd"),
            said("user", ResultPart(call_id="c", content=(TextPart(text="r"),))),
            said("user", ResultPart(call_id="d", error=True), "and?"),
            said("assistant", " \n"),
        )
    )
    written = body(asked)
    assert written["system"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b", "cache_control": MARK},
    ]
    assert written["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "d", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c", "content": "r"},
                {"type": "tool_result", "tool_use_id": "d", "is_error": True},
                {"type": "text", "text": "odd"},
                {"type": "text", "text": "and?"},
            ],
        },
    ]


def test_a_conversation_of_the_assistant_or_of_instructions_alone_has_a_user() -> None:
    assert [turn["role"] for turn in turns(said("assistant", "a"), said("user", "b"))] == [
        "user",
        "assistant",
        "user",
    ]
    assert turns(said("system", "only")) == [{"role": "user", "content": [{"type": "text", "text": "only"}]}]
    assert len(turns()) == 1


def test_a_beginning_of_the_answer_is_kept_without_its_last_space() -> None:
    assert turns(said("user", "q"), said("assistant", "It is \n"))[1]["content"] == [
        {"type": "text", "text": "It is"}
    ]


def test_media_and_their_results() -> None:
    image = MediaPart(kind="image", media_type="image/png", data="QUJD", cache=MARK)
    document = MediaPart(kind="document", data="QUJD", name="T")
    result = ResultPart(call_id="c", content=(TextPart(text="see"), MediaPart(kind="image", url="https://h")))
    content = turns(said("user", "a", image, document, MediaPart(kind="document", text="w"), result))[0]
    assert content["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "c",
            "content": [
                {"type": "text", "text": "see"},
                {"type": "image", "source": {"type": "url", "url": "https://h"}},
            ],
        },
        {"type": "text", "text": "a"},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"},
            "cache_control": MARK,
        },
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"},
            "title": "T",
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "w"}},
    ]


def test_signatures_go_to_their_own_origin_only() -> None:
    thoughts = [
        ThinkingPart(text="mine", signature="s", origin=NAME),
        ThinkingPart(text="", redacted="r", origin=NAME),
        ThinkingPart(text="theirs", signature="s", origin="gemini"),
        ThinkingPart(text="unsigned"),
    ]
    [_, turn] = turns(said("user", "q"), said("assistant", *thoughts, RefusalPart(text="no")))
    assert turn["content"] == [
        {"type": "thinking", "thinking": "mine", "signature": "s"},
        {"type": "redacted_thinking", "data": "r"},
        {"type": "text", "text": "no"},
    ]


def test_ids_and_arguments_that_would_be_refused() -> None:
    """The id is changed in the same way in the call and in its result; odd arguments stay readable."""
    odd = CallPart(call_id="functions.f:0", name="f", arguments='{"cut": ')
    listed = CallPart(call_id="b", name="f", arguments="[1]")
    free = CallPart(call_id="c", name="f", arguments="words", custom=True)
    [_, turn, result] = turns(
        said("user", "q"), said("assistant", odd, listed, free), said("user", ResultPart(call_id=odd.call_id))
    )
    ids = [block["id"] for block in turn["content"]]
    assert ids[0].startswith("functions_f_0_")
    assert ids[1:] == ["b", "c"]
    assert result["content"][0]["tool_use_id"] == ids[0]
    inputs = [block["input"] for block in turn["content"]]
    assert inputs == [{"arguments": '{"cut": '}, {"arguments": [1]}, {"input": "words"}]


TOOLS = (ToolDefinition(name="f", parameters=SCHEMA, strict=True, cache=MARK), ToolDefinition(name="g"))


def test_tools_are_written() -> None:
    custom = ToolDefinition(name="h", custom=True)
    hosted = HostedTool(NAME, {"type": "web_search_20250305", "name": "web_search"})
    foreign = HostedTool("openai-responses", {"type": "web_search"})
    written = body(Prompt(messages=(said("user", "q"),), tools=(*TOOLS, custom, hosted, foreign)))["tools"]
    assert written[0] == {"name": "f", "input_schema": SCHEMA, "strict": True, "cache_control": MARK}
    assert written[1] == {"name": "g", "input_schema": {"type": "object", "properties": {}}}
    assert written[2]["input_schema"]["required"] == ["input"]
    assert written[3:] == [hosted.value]


@pytest.mark.parametrize(
    ("choice", "parallel", "expected", "names"),
    [
        (None, None, None, ["f", "g"]),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}, ["f", "g"]),
        (ToolChoice("required"), None, {"type": "any"}, ["f", "g"]),
        (
            ToolChoice("tool", ("g",)),
            False,
            {"type": "tool", "name": "g", "disable_parallel_tool_use": True},
            ["f", "g"],
        ),
        (ToolChoice("none"), False, {"type": "none"}, ["f", "g"]),
        (ToolChoice("required", ("g",)), None, {"type": "any"}, ["g"]),
    ],
)
def test_a_choice_of_tools(
    choice: ToolChoice | None, parallel: bool | None, expected: Any, names: list[str]
) -> None:
    asked = Prompt(messages=(said("user", "q"),), tools=TOOLS, tool_choice=choice, parallel_tools=parallel)
    written = body(asked)
    assert written.get("tool_choice") == expected
    assert [tool["name"] for tool in written["tools"]] == names


def test_settings_are_written() -> None:
    asked = Prompt(
        messages=(said("user", "q"),),
        temperature=1.7,
        stop=("a",),
        user="u",
        output=OutputFormat("json_schema", schema=SCHEMA),
    )
    written = body(asked)
    assert (written["max_tokens"], written["temperature"], written["stop_sequences"]) == (8192, 1.0, ["a"])
    assert written["metadata"] == {"user_id": "u"}
    assert written["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert written["stream"] is True


@pytest.mark.parametrize(
    ("reasoning", "limit", "model", "expected"),
    [
        (Reasoning(effort="low"), None, BUDGETED, ("enabled", 2048, 10240, None)),
        (Reasoning(effort="high"), 8000, BUDGETED, ("enabled", 6000, 8000, None)),
        (Reasoning(budget=50), 8000, BUDGETED, ("enabled", 1024, 8000, None)),
        (Reasoning(budget=9000), 8000, "qwen3", ("enabled", 7999, 8000, None)),
        (Reasoning(enabled=False), 8000, BUDGETED, ("disabled", None, 8000, None)),
        (Reasoning(effort="minimal"), None, ADAPTIVE, ("adaptive", None, 8192, "low")),
        (Reasoning(effort="xhigh"), 500, ADAPTIVE, ("adaptive", None, 500, "xhigh")),
        (Reasoning(budget=5000), 500, "claude-sonnet-5", ("adaptive", None, 500, "medium")),
        (Reasoning(enabled=True), 500, "anthropic/claude-4.6-opus", ("adaptive", None, 500, None)),
        (Reasoning(effort="none"), 500, ADAPTIVE, (None, None, 500, None)),
    ],
)
def test_reasoning_is_a_budget_or_an_effort(
    reasoning: Reasoning, limit: int | None, model: str, expected: tuple[Any, ...]
) -> None:
    asked = Prompt(messages=(said("user", "q"),), reasoning=reasoning, max_tokens=limit)
    written = body(asked, model=model)
    thinking, config = written.get("thinking", {}), written.get("output_config", {})
    found = (thinking.get("type"), thinking.get("budget_tokens"), written["max_tokens"], config.get("effort"))
    assert found == expected
    assert thinking.get("budget_tokens", 0) < written["max_tokens"]


CHAT_TOOLS: dict[str, Any] = {"tools": [{"type": "function", "function": {"name": "f"}}]}
LOOP = [
    *USER,
    {
        "role": "assistant",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c", "content": "r"},
]


@pytest.mark.parametrize(
    ("model", "fields", "dropped"),
    [
        (BUDGETED, {"temperature": 0.2, "top_p": 0.5}, ("top_p",)),
        (BUDGETED, {"temperature": 0.2, "reasoning_effort": "low"}, ("temperature",)),
        (BUDGETED, {"top_p": 0.5, "top_k": 3, "reasoning_effort": "low"}, ("top_p", "top_k")),
        (BUDGETED, {"top_p": 0.95, "reasoning_effort": "low"}, ()),
        (BUDGETED, {"max_tokens": 1000, "reasoning_effort": "low"}, ("reasoning_effort",)),
        (ADAPTIVE, {"max_tokens": 1000, "reasoning_effort": "low"}, ()),
        (ADAPTIVE, {"temperature": 0.2, "top_p": 0.5, "top_k": 1}, ("temperature", "top_p", "top_k")),
        (BUDGETED, {"messages": LOOP, "reasoning_effort": "low"}, ("reasoning_effort",)),
        (ADAPTIVE, {"messages": LOOP, "reasoning_effort": "low"}, ()),
        (
            ADAPTIVE,
            {**CHAT_TOOLS, "tool_choice": "required", "reasoning_effort": "low"},
            ("tool_choice", "reasoning_effort"),
        ),
        ("qwen3", {"seed": 1, "logit_bias": {"1": 1}, "user": "u"}, ("seed", "logit_bias")),
    ],
)
def test_what_does_not_go_together_is_dropped_and_named(
    model: str, fields: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    asked = CHAT.read_request(json.dumps({"messages": USER, **fields}).encode())
    written = translate(asked, MESSAGES, model, frozenset())
    assert set(written.dropped) == set(dropped) - {"tool_choice"}
    sent = msgspec.json.decode(written.body)
    named = {"reasoning_effort": "thinking"}
    assert not {named.get(name, name) for name in written.dropped} & sent.keys()


@pytest.mark.parametrize("fields", [{"n": 2}, {"logprobs": True}])
def test_what_has_no_form_is_refused(fields: dict[str, Any]) -> None:
    asked = CHAT.read_request(json.dumps({"messages": USER, **fields}).encode())
    with pytest.raises(Unsupported) as told:
        translate(asked, MESSAGES, "m", frozenset())
    assert told.value.param in fields


# Passing on


def test_an_upstream_of_the_same_dialect_gets_what_the_caller_wrote() -> None:
    raw = b'{"model":"mine","max_tokens":9,"messages":[{"role":"user","content":"\xe4\xb8\x96"}],"x":1.50}'
    written = MESSAGES.write_request(MESSAGES.read_request(raw), "theirs", frozenset())
    assert b'"x":1.50' in written
    assert b'[{"role":"user","content":"\xe4\xb8\x96"}]' in written
    assert msgspec.json.decode(written)["model"] == "theirs"
    assert msgspec.json.decode(written)["stream"] is True


THOUGHTS = [
    {"type": "thinking", "thinking": "mine", "signature": "s"},
    {"type": "thinking", "thinking": "theirs", "signature": "tidegate:gemini:s"},
    {"type": "redacted_thinking", "data": "tidegate:openai-responses:r"},
    {"type": "thinking", "thinking": "unsigned", "signature": ""},
]


@pytest.mark.parametrize(("quirks", "kept"), [((), [0, 3]), (("signed_thinking",), [0])])
def test_thinking_of_others_is_not_passed_on(quirks: tuple[str, ...], kept: list[int]) -> None:
    """An earlier turn may have been answered by an upstream of another dialect."""
    only = {"role": "assistant", "content": [THOUGHTS[1]]}
    asked = request([*USER, only, {"role": "assistant", "content": THOUGHTS}])
    sent = msgspec.json.decode(MESSAGES.write_request(asked, "m", frozenset(quirks)))["messages"]
    assert sent == [*USER, {"role": "assistant", "content": [THOUGHTS[at] for at in kept]}]


def test_effort_that_was_asked_for_beside_the_body_wins() -> None:
    asked = request(max_tokens=9000, thinking={"type": "disabled"})
    asked = msgspec.structs.replace(asked, reasoning=Reasoning(effort="low"))
    sent = msgspec.json.decode(MESSAGES.write_request(asked, BUDGETED, frozenset()))
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 2048}


def test_quirks() -> None:
    asked = request(top_k=3, thinking={"type": "adaptive"}, fallback_models=["b"])
    assert asked.fallback_models == ("b",)
    sent = msgspec.json.decode(
        MESSAGES.write_request(asked, "m", frozenset({"no_top_k", "no_reasoning_effort"}))
    )
    assert not {"top_k", "thinking", "fallback_models"} & sent.keys()


# Counting


def test_an_estimate_counts_instructions_messages_and_tools() -> None:
    def estimate(**fields: Any) -> int:
        return estimate_tokens(read_count(json.dumps({"messages": USER, **fields}).encode(), {}))

    least = estimate()
    assert least < 10
    assert estimate(system="x" * 400) == pytest.approx(least + 100, abs=2)
    assert estimate(tools=[{"name": "f", "description": "x" * 4000}]) > 1000
    data = {"type": "base64", "media_type": "image/png", "data": "A" * 10**6}
    image = [{"role": "user", "content": [{"type": "image", "source": data}]}]
    assert 1000 < estimate(messages=image) < 2000


# Claude Code


def claude_code() -> dict[str, Any]:
    """A first request of the size and shape that it sends."""
    tool = {
        "name": "Tool",
        "description": "Runs something. " * 200,
        "input_schema": {"$schema": "http://json-schema.org/draft-07/schema#", **SCHEMA},
    }
    return {
        "model": "m",
        "max_tokens": 32000,
        "stream": True,
        "system": [
            {"type": "text", "text": "You are.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Long. " * 500, "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Env."},
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<system-reminder>…</system-reminder>"},
                    {"type": "text", "text": "fix it", "cache_control": {"type": "ephemeral"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": ""},
                    {"type": "text", "text": "Looking."},
                    {"type": "tool_use", "id": "toolu_1", "name": "Tool0", "input": {"a": "b"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "content": "no such file",
                        "is_error": True,
                        "cache_control": {"type": "ephemeral"},
                    }
                ],
            },
        ],
        "tools": [{**tool, "name": f"Tool{number}"} for number in range(24)],
        "thinking": {"type": "enabled", "budget_tokens": 31999},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "metadata": {"user_id": "user_" + "0" * 140},
    }


def test_a_request_of_claude_code_for_a_chat_upstream() -> None:
    asked = MESSAGES.read_request(json.dumps(claude_code()).encode())
    written = translate(asked, CHAT, "gpt", frozenset())
    sent = msgspec.json.decode(written.body)
    assert [each["role"] for each in sent["messages"]] == ["system", "user", "assistant", "tool"]
    assert len(sent["tools"]) == 24
    assert sent["messages"][3] == {
        "role": "tool",
        "tool_call_id": "toolu_1",
        "content": "Error: no such file",
    }
    assert (sent["reasoning_effort"], sent["max_tokens"]) == ("high", 32000)
    assert set(written.dropped) == {"cache_control", "context_management"}
