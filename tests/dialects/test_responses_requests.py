"""Requests of the Responses API: what is taken, what it means in no dialect, and how an upstream is asked."""

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
from tidegate.core.request import OutputFormat, Prompt, Reasoning
from tidegate.core.tool import HostedTool, ToolChoice, ToolDefinition
from tidegate.dialects import load_dialect, translate, understand
from tidegate.dialects.openai_responses.tools import flat_name
from tidegate.errors import InvalidRequest, Unsupported

RESPONSES = load_dialect("openai-responses")
CHAT = load_dialect("openai-chat")
NAME = "openai-responses"

Json = dict[str, Any]


def read(**body: Any) -> Prompt:
    return understand(RESPONSES.read_request(json.dumps({"model": "m", **body}).encode()))


def messages(*items: Json) -> tuple[Message, ...]:
    return read(input=list(items)).messages


def written(body: Json, dialect: Any = CHAT) -> Json:
    """What a Responses upstream is asked for a request of another dialect."""
    request = dialect.read_request(json.dumps(body).encode())
    value: Json = json.loads(translate(request, RESPONSES, "up", frozenset()).body)
    return value


def passed(**body: Any) -> Json:
    """What a Responses upstream is asked for a request of its own dialect."""
    request = RESPONSES.read_request(json.dumps({"input": "x", **body}).encode())
    value: Json = json.loads(RESPONSES.write_request(request, "up", frozenset()))
    return value


# Reading


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": "x", "background": True, "store": False}, "store"),
        ({"input": "x", "background": "yes"}, "background"),
        ({"input": "x", "max_output_tokens": "many"}, "max_output_tokens"),
        ({"input": "x", "tools": {}}, "tools"),
    ],
)
def test_what_is_wrong_is_named(body: Json, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        RESPONSES.read_request(json.dumps(body).encode())
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"content": "x"}]}, "input[0]"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0]"),
        ({"input": "x", "tool_choice": "some"}, "tool_choice"),
        ({"input": "x", "previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": "x", "conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ],
)
def test_what_makes_no_sense_elsewhere_is_named(body: Json, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**body)
    assert caught.value.param == param


def test_unknown_fields_are_taken_and_passed_on() -> None:
    body = {"client_metadata": {"a": "b"}, "x_new": [1], "store": False, "truncation": "auto"}
    assert passed(**body) == {"input": "x", **body, "model": "up", "stream": True}
    assert read(input="x", **body).extra == {"x_new": [1]}


def test_a_text_is_a_message_of_the_user() -> None:
    prompt = read(input="Hi", instructions="Be brief.")
    assert prompt.messages == (
        Message("system", (TextPart(text="Be brief."),)),
        Message("user", (TextPart(text="Hi"),)),
    )


def test_every_role_and_every_part() -> None:
    content = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "low"},
        {"type": "input_image", "file_id": "file_1"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
        {"type": "input_new", "x": 1},
    ]
    said = [
        {"type": "output_text", "text": "ok", "annotations": [], "logprobs": []},
        {"type": "refusal", "refusal": "no"},
    ]
    assert messages(
        {"type": "message", "role": "developer", "content": "rules", "id": "msg_1"},
        {"role": "user", "content": content},
        {"type": "message", "role": "assistant", "id": "msg_2", "status": "completed", "content": said},
    ) == (
        Message("developer", (TextPart(text="rules"),)),
        Message(
            "user",
            (
                TextPart(text="see"),
                MediaPart(kind="image", media_type="image/png", data="QUJD", detail="low"),
                MediaPart(kind="image", file_id="file_1"),
                MediaPart(kind="document", media_type="application/pdf", data="QUJD", name="a.pdf"),
                MediaPart(kind="document", url="https://example.com/a.pdf"),
                MediaPart(kind="audio", media_type="audio/mp3", data="QUJD"),
                ForeignPart(dialect=NAME, value={"type": "input_new", "x": 1}),
            ),
        ),
        Message("assistant", (TextPart(text="ok"), RefusalPart(text="no"))),
    )


def test_a_turn_of_the_model_is_one_message_and_so_are_its_results() -> None:
    shown = [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "https://x/i"}]
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    assert messages(
        {"role": "user", "content": "go"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "enc+/==",
        },
        search,
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I call."}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}", "id": "fc_1"},
        {"type": "function_call", "call_id": "c2", "name": "g", "namespace": "ns", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c3", "name": "free", "input": "text"},
        {"type": "function_call_output", "call_id": "c1", "output": "one", "id": "fco_1"},
        {"type": "function_call_output", "call_id": "c2", "output": shown},
        {"type": "custom_tool_call_output", "call_id": "c3", "output": "three"},
        {"role": "user", "content": "next"},
    ) == (
        Message("user", (TextPart(text="go"),)),
        Message(
            "assistant",
            (
                ThinkingPart(text="hm", signature="rs_1.enc+/==", origin=NAME),
                ForeignPart(dialect=NAME, value=search),
                TextPart(text="I call."),
                CallPart(call_id="c1", name="f", arguments="{}"),
                CallPart(call_id="c2", name="ns__g", arguments="{}"),
                CallPart(call_id="c3", name="free", arguments="text", custom=True),
            ),
        ),
        Message(
            "user",
            (
                ResultPart(call_id="c1", content=(TextPart(text="one"),)),
                ResultPart(
                    call_id="c2", content=(TextPart(text="a"), MediaPart(kind="image", url="https://x/i"))
                ),
                ResultPart(call_id="c3", content=(TextPart(text="three"),), custom=True),
            ),
        ),
        Message("user", (TextPart(text="next"),)),
    )


def test_marked_signatures_go_back_to_where_they_came_from() -> None:
    def item(content: str) -> Json:
        return {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": content}

    [message] = messages(
        item("tidegate:anthropic-messages:s:ig"), item("tidegate-redacted:gemini:data"), item("")
    )
    assert message.parts == (
        ThinkingPart(text="", signature="s:ig", origin="anthropic-messages"),
        ThinkingPart(text="", redacted="data", origin="gemini"),
        ThinkingPart(text=""),
    )


def test_settings_have_their_meaning() -> None:
    prompt = read(
        input="x",
        max_output_tokens=5,
        temperature=0.5,
        top_p=0.9,
        top_logprobs=2,
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        parallel_tool_calls=False,
        reasoning={"effort": "high", "summary": "auto"},
        text={
            "format": {"type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": True},
            "verbosity": "low",
        },
        safety_identifier="me",
        metadata={"k": "v"},
        service_tier="flex",
        prompt_cache_key="key",
    )
    assert (prompt.max_tokens, prompt.temperature, prompt.top_p) == (5, 0.5, 0.9)
    assert (prompt.logprobs, prompt.top_logprobs, prompt.parallel_tools) == (True, 2, False)
    assert prompt.reasoning == Reasoning(effort="high", summary="auto")
    assert prompt.output == OutputFormat("json_schema", schema={"a": 1}, name="n", strict=True)
    assert (prompt.verbosity, prompt.user, prompt.metadata) == ("low", "me", {"k": "v"})
    assert (prompt.service_tier, prompt.extra) == ("flex", {})


def test_tools_of_every_kind() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}
    tools = [
        {
            "type": "function",
            "name": "f",
            "description": "d",
            "parameters": {"type": "object"},
            "strict": True,
        },
        {"type": "custom", "name": "free", "format": grammar},
        {"type": "namespace", "name": "ns", "tools": [{"type": "function", "name": "g", "parameters": {}}]},
        {"type": "web_search"},
    ]
    assert read(input="x", tools=tools).tools == (
        ToolDefinition(name="f", description="d", parameters={"type": "object"}, strict=True),
        ToolDefinition(name="free", custom=True, format=grammar),
        ToolDefinition(name="ns__g", parameters={}),
        HostedTool(NAME, {"type": "web_search"}),
    )


@pytest.mark.parametrize(
    ("choice", "meaning"),
    [
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "f"}, ToolChoice("tool", ("f",))),
        ({"type": "custom", "name": "free"}, ToolChoice("tool", ("free",))),
        ({"type": "function", "name": "g", "namespace": "ns"}, ToolChoice("tool", ("ns__g",))),
        ({"type": "web_search"}, None),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
            ToolChoice("required", ("f",)),
        ),
    ],
)
def test_tool_choice_in_every_form(choice: Any, meaning: ToolChoice | None) -> None:
    assert read(input="x", tool_choice=choice).tool_choice == meaning


def test_a_long_name_in_a_namespace_is_cut_and_stays_apart() -> None:
    names = {flat_name(f"{'n' * 60}{number}", "space") for number in range(3)}
    assert len(names) == 3
    assert all(len(name) == 64 for name in names)
    assert flat_name("read", "mcp__disk__") == "mcp__disk__read"


# Writing


def test_a_chat_request_for_a_responses_upstream() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    image = {"type": "image_url", "image_url": {"url": "https://x/i", "detail": "high"}}
    body = written(
        {
            "messages": [
                {"role": "system", "content": "rules"},
                {"role": "developer", "content": "more rules"},
                {"role": "user", "content": [{"type": "text", "text": "see"}, image]},
                {"role": "assistant", "content": "I call.", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "one"},
            ],
            "tools": [tool],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "max_tokens": 5,
            "reasoning_effort": "low",
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}}},
            "logprobs": True,
            "top_logprobs": 2,
            "verbosity": "low",
            "user": "me",
        }
    )
    assert body == {
        "model": "up",
        "stream": True,
        "store": False,
        "instructions": "rules",
        "input": [
            {
                "type": "message",
                "role": "developer",
                "content": [{"type": "input_text", "text": "more rules"}],
            },
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "see"},
                    {"type": "input_image", "detail": "high", "image_url": "https://x/i"},
                ],
            },
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I call."}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
            {"type": "function_call_output", "call_id": "c1", "output": "one"},
        ],
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "top_logprobs": 2,
        "user": "me",
        "max_output_tokens": 5,
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}],
        "tool_choice": {"type": "function", "name": "f"},
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"a": 1}}, "verbosity": "low"},
    }


def test_reasoning_is_written_with_the_id_that_it_was_signed_under() -> None:
    """Two summaries of one item come back as two; what another dialect signed does not come at all."""
    parts = (
        ThinkingPart(text="a"),
        ThinkingPart(text="b", signature="rs_1.enc+/==", origin=NAME),
        ThinkingPart(text="c", signature="other", origin="anthropic-messages"),
        ThinkingPart(text="", signature="bare", origin=NAME),
        TextPart(text="so"),
    )
    body = json.loads(
        RESPONSES.write_prompt(Prompt(messages=(Message("assistant", parts),)), "up", frozenset())
    )
    assert body["input"][:2] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
            "encrypted_content": "enc+/==",
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "bare"},
    ]
    assert body["input"][2]["content"] == [{"type": "output_text", "text": "so"}]


def test_custom_tools_are_written_as_such() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /x/"}}
    tool = {"type": "custom", "custom": {"name": "free", "description": "d", "format": grammar}}
    body = written(
        {
            "messages": [{"role": "user", "content": "x"}],
            "tools": [tool],
            "tool_choice": {"type": "custom", "custom": {"name": "free"}},
        }
    )
    flat = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}
    assert body["tools"] == [{"type": "custom", "name": "free", "description": "d", "format": flat}]
    assert body["tool_choice"] == {"type": "custom", "name": "free"}


def test_what_responses_lack_is_refused_or_named() -> None:
    base = {"messages": [{"role": "user", "content": "x", "name": "me"}]}
    request = CHAT.read_request(
        json.dumps({**base, "stop": ["."], "seed": 1, "logit_bias": {"1": 1}}).encode()
    )
    assert set(translate(request, RESPONSES, "up", frozenset()).dropped) == {
        *("stop", "seed", "logit_bias", "messages.name"),
    }
    request = CHAT.read_request(json.dumps({**base, "n": 2}).encode())
    with pytest.raises(Unsupported) as caught:
        translate(request, RESPONSES, "up", frozenset())
    assert caught.value.param == "n"


def test_what_chat_lacks_is_named_in_the_words_of_responses() -> None:
    body = {
        "input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://x/a.pdf"}]}],
        "tools": [{"type": "web_search"}],
    }
    request = RESPONSES.read_request(json.dumps(body).encode())
    with pytest.raises(Unsupported) as caught:
        translate(request, CHAT, "up", frozenset())
    assert caught.value.param == "input"
    request = RESPONSES.read_request(json.dumps({**body, "input": "x"}).encode())
    assert translate(request, CHAT, "up", frozenset()).dropped == ("tools",)


def test_effort_that_was_asked_for_beside_the_body_wins() -> None:
    body = b'{"input":"x","reasoning":{"effort":"low","summary":"auto"}}'
    request = RESPONSES.read_request(body)
    request = msgspec.structs.replace(request, reasoning=Reasoning(effort="high"))
    asked = json.loads(RESPONSES.write_request(request, "up", frozenset()))
    assert asked["reasoning"] == {"effort": "high", "summary": "auto"}


def test_reasoning_that_is_no_object_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="reasoning"):
        load_dialect("openai-responses").read_request(b'{"input": "q", "reasoning": "high"}')
