"""Chat requests in no dialect and back: what a caller wrote is all there, in whatever form they wrote it."""

from __future__ import annotations

import json
from typing import Any

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
from tidegate.core.request import OutputFormat, Prompt, Reasoning
from tidegate.core.tool import HostedTool, ToolChoice, ToolDefinition
from tidegate.dialects import load_dialect
from tidegate.errors import InvalidRequest

CHAT = load_dialect("openai-chat")
USER = [{"role": "user", "content": "q"}]
MARK = {"type": "ephemeral"}


def prompt(messages: list[Any] | None = None, **fields: Any) -> Prompt:
    body = json.dumps({"messages": USER if messages is None else messages, **fields}).encode()
    return CHAT.read_prompt(CHAT.read_request(body))


def parts(content: Any, role: str = "user", **fields: Any) -> tuple[Any, ...]:
    [message] = prompt([{"role": role, "content": content, **fields}]).messages
    return message.parts


def body(asked: Prompt, *quirks: str) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(CHAT.write_prompt(asked, "theirs", frozenset(quirks)))
    return written


def messages(*asked: Message) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = body(Prompt(messages=asked))["messages"]
    return written


# Reading


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("hi", (TextPart(text="hi"),)),
        ("", ()),
        (None, ()),
        ([{"type": "text", "text": "a"}], (TextPart(text="a"),)),
        (
            [{"type": "text", "text": "a", "cache_control": MARK}],
            (TextPart(text="a", cache=MARK),),
        ),
        (
            [{"type": "image_url", "image_url": {"url": "https://h/i.png", "detail": "low"}}],
            (MediaPart(kind="image", url="https://h/i.png", detail="low"),),
        ),
        (
            [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}],
            (MediaPart(kind="image", media_type="image/png", data="QUJD"),),
        ),
        (
            [{"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}}],
            (MediaPart(kind="audio", media_type="audio/mp3", data="QUJD"),),
        ),
        (
            [
                {
                    "type": "file",
                    "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a"},
                }
            ],
            (MediaPart(kind="document", media_type="application/pdf", data="QUJD", name="a"),),
        ),
        ([{"type": "file", "file": {"file_id": "f"}}], (MediaPart(kind="document", file_id="f"),)),
        ([{"type": "new", "x": 1}], (ForeignPart(dialect="openai-chat", value={"type": "new", "x": 1}),)),
    ],
)
def test_content_in_any_form(content: Any, expected: tuple[Any, ...]) -> None:
    assert parts(content) == expected


def test_instructions_stay_where_they_stand() -> None:
    asked = [{"role": role, "content": role} for role in ("system", "user", "developer", "assistant", "user")]
    assert [message.role for message in prompt(asked).messages] == [each["role"] for each in asked]


def test_what_an_assistant_did() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    custom = {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "free"}}
    said = parts("text", "assistant", reasoning_content="hm", refusal="no", tool_calls=[call, custom])
    assert said == (
        ThinkingPart(text="hm"),
        TextPart(text="text"),
        RefusalPart(text="no"),
        CallPart(call_id="c1", name="f", arguments='{"a": 1}'),
        CallPart(call_id="c2", name="g", arguments="free", custom=True),
    )


def test_signed_reasoning_comes_back_with_the_text_that_it_was_streamed_beside() -> None:
    details = [
        {"type": "reasoning.text", "text": "", "signature": "s", "format": "anthropic-messages", "index": 0},
        {"type": "reasoning.encrypted", "data": "d", "format": "anthropic-messages", "index": 1},
    ]
    said = parts(None, "assistant", reasoning_content="hm", reasoning_details=details)
    assert said == (
        ThinkingPart(text="hm", signature="s", origin="anthropic-messages"),
        ThinkingPart(text="", redacted="d", origin="anthropic-messages"),
    )


def test_results_belong_to_their_calls() -> None:
    answered = prompt([{"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "r"}]}])
    assert answered.messages == (Message("user", (ResultPart(call_id="c", content=(TextPart(text="r"),)),)),)


def test_legacy_functions_are_tools() -> None:
    asked = prompt(
        [
            *USER,
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "r"},
        ],
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
    )
    assert asked.tools == (ToolDefinition(name="f", parameters={"type": "object"}),)
    assert asked.tool_choice == ToolChoice("tool", ("f",))
    call, result = asked.messages[1].parts[0], asked.messages[2].parts[0]
    assert isinstance(call, CallPart)
    assert isinstance(result, ResultPart)
    assert call.call_id == result.call_id


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("tool", ("f",))),
        ({"type": "custom", "custom": {"name": "g"}}, ToolChoice("tool", ("g",))),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "f"}}],
                },
            },
            ToolChoice("required", ("f",)),
        ),
    ],
)
def test_tool_choice_in_any_form(choice: Any, expected: ToolChoice) -> None:
    assert prompt(tool_choice=choice).tool_choice == expected


def test_tools_of_every_kind() -> None:
    search = {"type": "web_search"}
    asked = prompt(
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "strict": True}},
            {"type": "custom", "custom": {"name": "g", "format": {"type": "text"}}},
            search,
        ]
    )
    assert asked.tools == (
        ToolDefinition(name="f", description="d", strict=True),
        ToolDefinition(name="g", custom=True, format={"type": "text"}),
        HostedTool("openai-chat", search),
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reasoning_effort": "high"}, Reasoning(effort="high")),
        ({"reasoning": {"max_tokens": 2000}}, Reasoning(budget=2000)),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, Reasoning(budget=9, enabled=True)),
        ({"thinking": {"type": "disabled"}}, Reasoning(enabled=False)),
        ({"enable_thinking": False}, Reasoning(enabled=False)),
        ({}, None),
    ],
)
def test_how_much_to_think_in_any_vendors_words(fields: dict[str, Any], expected: Reasoning | None) -> None:
    assert prompt(**fields).reasoning == expected


def test_settings_and_what_has_no_form() -> None:
    asked = prompt(
        max_tokens=5,
        max_completion_tokens=6,
        stop="END",
        n=2,
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        prediction={"type": "content"},
        seed=None,
    )
    assert asked.max_tokens == 6
    assert asked.stop == ("END",)
    assert asked.choices == 2
    assert asked.output == OutputFormat("json_schema", schema={"type": "object"}, name="n")
    assert asked.extra == {"prediction": {"type": "content"}}
    assert asked.seed is None


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"messages": [{"role": "nobody", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
    ],
)
def test_what_makes_no_sense_is_named(asked: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        prompt(**asked)
    assert raised.value.param == param
    assert param in raised.value.message


def test_other_shapes_are_refused_and_not_crashed_on() -> None:
    with pytest.raises(InvalidRequest, match="shape"):
        prompt(tools=[{"type": "function"}])


# Writing


def test_settings_are_written_under_their_names() -> None:
    settings: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "user": "u", "max_tokens": 9}
    written = body(Prompt(messages=(), stop=("a", "b"), choices=2, logprobs=True, **settings))
    assert settings.items() <= written.items()
    assert written["stop"] == ["a", "b"]
    assert written["n"] == 2
    assert written["logprobs"] is True
    assert written["model"] == "theirs"
    assert written["stream"] is True


def test_quirks_apply_to_what_is_written() -> None:
    asked = Prompt(messages=(Message("developer", (TextPart(text="d"),)),), max_tokens=9, top_k=4)
    written = body(asked, "max_completion_tokens", "no_developer_role", "no_top_k")
    assert written["max_completion_tokens"] == 9
    assert written["messages"][0]["role"] == "system"
    assert "top_k" not in written


def test_text_is_one_string() -> None:
    said = Message("user", (TextPart(text="a"), TextPart(text="b")))
    assert messages(said) == [{"role": "user", "content": "a\n\nb"}]


def test_results_come_before_what_the_user_says_beside_them() -> None:
    image = MediaPart(kind="image", media_type="image/png", data="QUJD")
    results = (
        ResultPart(call_id="c1", content=(TextPart(text="r"), image)),
        ResultPart(call_id="c2", content=(TextPart(text="it broke"),), error=True),
    )
    written = messages(Message("user", (TextPart(text="and now?"), *results)))
    assert [each["role"] for each in written] == ["tool", "tool", "user"]
    assert written[0] == {"role": "tool", "tool_call_id": "c1", "content": "r"}
    assert written[1]["content"] == "Error: it broke"
    assert [part["type"] for part in written[2]["content"]] == ["image_url", "text"]


def test_an_assistants_turn_is_one_message() -> None:
    turn = Message(
        "assistant",
        (
            ThinkingPart(text="hm", signature="s", origin="anthropic-messages"),
            TextPart(text="a"),
            CallPart(call_id="c", name="f", arguments=""),
            CallPart(call_id="d", name="g", arguments="free", custom=True),
        ),
    )
    [written] = messages(turn)
    assert written["content"] == "a"
    assert written["reasoning_content"] == "hm"
    assert [call["function"]["arguments"] for call in written["tool_calls"]] == ["{}", '{"input":"free"}']


def test_custom_tools_are_functions_of_one_string() -> None:
    tool = ToolDefinition(
        name="g", custom=True, format={"type": "grammar", "syntax": "lark", "definition": "D"}
    )
    [written] = body(Prompt(messages=(), tools=(tool,)))["tools"]
    assert written["function"]["parameters"]["required"] == ["input"]
    assert "D" in written["function"]["description"]


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [
        (Reasoning(effort="minimal"), "minimal"),
        (Reasoning(budget=1024), "low"),
        (Reasoning(budget=8000, enabled=True), "medium"),
        (Reasoning(budget=31999), "high"),
        (Reasoning(enabled=True), "medium"),
        (Reasoning(enabled=False), None),
    ],
)
def test_how_hard_to_think(reasoning: Reasoning, effort: str | None) -> None:
    assert body(Prompt(messages=(), reasoning=reasoning)).get("reasoning_effort") == effort


def test_what_was_read_from_what_was_written_is_the_same() -> None:
    asked = Prompt(
        messages=(
            Message("system", (TextPart(text="s"),)),
            Message("user", (TextPart(text="q"), MediaPart(kind="image", url="https://h/i.png"))),
            Message("assistant", (TextPart(text="a"), CallPart(call_id="c", name="f", arguments="{}"))),
            Message("user", (ResultPart(call_id="c", content=(TextPart(text="r"),)),)),
        ),
        tools=(ToolDefinition(name="f", parameters={"type": "object"}, strict=True),),
        tool_choice=ToolChoice("auto", ("f",)),
        parallel_tools=False,
        max_tokens=9,
        stop=("x",),
        reasoning=Reasoning(effort="low"),
        output=OutputFormat("json_schema", schema={"type": "object"}, name="n", strict=True),
        user="u",
    )
    again = CHAT.read_prompt(CHAT.read_request(CHAT.write_prompt(asked, "m", frozenset())))
    assert again.messages == asked.messages
    assert again.tools == asked.tools
    assert {name: getattr(again, name) for name in SAME} == {name: getattr(asked, name) for name in SAME}


SAME = ("tool_choice", "parallel_tools", "max_tokens", "stop", "reasoning", "output", "user")
