"""Requests of Gemini's dialect: what a caller's says, and what an upstream is asked for another dialect's."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tidegate.core.message import (
    CallPart,
    ForeignPart,
    MediaPart,
    Message,
    ResultPart,
    TextPart,
    ThinkingPart,
)
from tidegate.core.request import OutputFormat, Prompt, Reasoning
from tidegate.core.tool import HostedTool, ToolChoice, ToolDefinition
from tidegate.dialects import load_dialect, translate, understand
from tidegate.dialects.gemini.signatures import tag
from tidegate.errors import InvalidRequest, Unsupported

GEMINI, CHAT = load_dialect("gemini"), load_dialect("openai-chat")
PATH = "/v1beta/models/gemini-2.5-flash:generateContent"
Json = dict[str, Any]


def written(prompt: Prompt, model: str = "gemini-3-pro") -> Json:
    value: Json = msgspec.json.decode(GEMINI.write_prompt(prompt, model, frozenset()))
    return value


def asked(body: Json, path: str = PATH) -> Prompt:
    return understand(GEMINI.read_request(msgspec.json.encode(body), {}, path))


def of_chat(body: Json, model: str = "gemini-3-pro") -> tuple[Json, tuple[str, ...]]:
    """What an upstream is asked for a Chat request, and what it is not told."""
    request = CHAT.read_request(msgspec.json.encode({"messages": [], **body}))
    translated = translate(request, GEMINI, model, frozenset())
    return msgspec.json.decode(translated.body), translated.dropped


def user(*parts: Any) -> Message:
    return Message("user", tuple(TextPart(text=part) if isinstance(part, str) else part for part in parts))


def model(*parts: Any) -> Message:
    return msgspec.structs.replace(user(*parts), role="assistant")


# What a path says.


@pytest.mark.parametrize(
    ("path", "name", "stream", "form"),
    [
        ("/v1beta/models/m:generateContent", "m", False, ""),
        ("/v1beta/models/m:streamGenerateContent?alt=sse", "m", True, ""),
        ("/v1beta/models/m:streamGenerateContent?key=k&alt=sse", "m", True, ""),
        ("/v1beta/models/m:streamGenerateContent", "m", True, "array"),
        ("/v1beta/models/m:streamGenerateContent?alt=json", "m", True, "array"),
        ("/models/up/org/m:generateContent", "up/org/m", False, ""),
        ("/v1/models/up%2Fm%20x:generateContent", "up/m x", False, ""),
        ("/v1beta/models/qwen3:8b:generateContent", "qwen3:8b", False, ""),
    ],
)
def test_the_path_names_the_model_and_the_form(path: str, name: str, stream: bool, form: str) -> None:
    request = GEMINI.read_request(b'{"contents":[{"parts":[{"text":"Hi"}]}]}', {}, path)
    assert (request.model, request.stream, request.form) == (name, stream, form)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("gemini-2.5-flash", "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
        ("models/m", "/models/m:streamGenerateContent?alt=sse"),
        ("tunedModels/m", "/tunedModels/m:streamGenerateContent?alt=sse"),
        ("a b?c", "/models/a%20b%3Fc:streamGenerateContent?alt=sse"),
    ],
)
def test_an_upstream_is_always_asked_for_events(name: str, target: str) -> None:
    assert GEMINI.target(name) == target


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": [{"parts": []}], "generationConfig": {"candidateCount": 9}}, None),
        ({"contents": [{"role": "system", "parts": [{"text": "x"}]}]}, "contents[0].role"),
        ({"contents": [{"parts": [{"functionCall": 1}]}]}, None),
    ],
)
def test_what_makes_no_sense_is_refused(body: Json, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked(body)
    assert param in (refused.value.param, None)


def test_a_request_passes_through_to_its_own_dialect_as_it_came() -> None:
    body = (
        b'{"contents":[{"parts":[{"text":"\xc3\xa9","x":1.0}]}],"generationConfig":{"topK":4e1},'
        b'"safetySettings":[],"model":"models/m"}'
    )
    request = GEMINI.read_request(body, {}, PATH)
    sent = GEMINI.write_request(request, "other", frozenset())
    assert sent == body.replace(b',"model":"models/m"', b"")


def test_a_wish_for_thought_beside_the_body_wins() -> None:
    body = b'{"contents":[{}],"generation_config":{"temperature":1,"thinking_config":{"thinkingBudget":5}}}'
    request = msgspec.structs.replace(GEMINI.read_request(body, {}, PATH), reasoning=Reasoning(effort="high"))
    sent = msgspec.json.decode(GEMINI.write_request(request, "gemini-3-pro", frozenset()))
    assert sent["generationConfig"] == {
        "temperature": 1,
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "high"},
    }


# What a caller's request says.


WHOLE: Json = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [
        {
            "role": "user",
            "parts": [{"text": "Look"}, {"inlineData": {"mimeType": "image/png", "data": "-_8="}}],
        },
        {
            "role": "model",
            "parts": [
                {"text": "Hm", "thought": True},
                {"text": "Let "},
                {"text": "me."},
                {"functionCall": {"name": "f", "args": {"a": "é"}}, "thoughtSignature": "c2ln"},
                {"functionCall": {"name": "f", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "f", "response": {"output": "one"}}},
                {"functionResponse": {"name": "f", "response": {"error": "two"}}},
            ],
        },
    ],
    "generationConfig": {
        "temperature": 0.5,
        "topK": 40.0,
        "maxOutputTokens": 100,
        "stopSequences": ["END"],
        "candidateCount": 2,
        "responseLogprobs": True,
        "logprobs": 3,
        "thinkingConfig": {"thinkingBudget": 512, "includeThoughts": True},
        "responseMimeType": "application/json",
        "responseSchema": {
            "type": "OBJECT",
            "properties": {
                "n": {"type": "INTEGER", "nullable": True},
                "l": {"type": "ARRAY", "minItems": "2"},
            },
        },
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
    },
    "tools": [
        {"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]},
        {"googleSearch": {}},
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "safetySettings": [],
}


def test_a_whole_request_is_understood() -> None:
    assert asked(WHOLE) == Prompt(
        messages=(
            Message("system", (TextPart(text="Be brief."),)),
            user("Look", MediaPart(kind="image", media_type="image/png", data="+/8=")),
            model(
                ThinkingPart(text="Hm"),
                "Let me.",
                ThinkingPart(text="", signature="c2ln", origin="gemini"),
                CallPart(call_id="call_1_3", name="f", arguments='{"a":"é"}'),
                CallPart(call_id="call_1_4", name="f", arguments="{}"),
            ),
            user(
                ResultPart(call_id="call_1_3", name="f", content=(TextPart(text="one"),)),
                ResultPart(call_id="call_1_4", name="f", content=(TextPart(text="two"),), error=True),
            ),
        ),
        tools=(
            ToolDefinition(name="f", parameters={"type": "object"}),
            HostedTool("gemini", {"googleSearch": {}}),
        ),
        tool_choice=ToolChoice("tool", ("f",)),
        temperature=0.5,
        top_k=40,
        max_tokens=100,
        stop=("END",),
        choices=2,
        logprobs=True,
        top_logprobs=3,
        reasoning=Reasoning(budget=512, summary="auto"),
        output=OutputFormat(
            "json_schema",
            schema={
                "type": "object",
                "properties": {"n": {"type": ["integer", "null"]}, "l": {"type": "array", "minItems": 2}},
            },
        ),
        extra={"safetySettings": [], "generationConfig.mediaResolution": "MEDIA_RESOLUTION_LOW"},
    )


def test_names_of_protocol_buffers_mean_the_same() -> None:
    camel = {
        "systemInstruction": {"parts": [{"text": "S"}]},
        "contents": [{"parts": [{"fileData": {"mimeType": "image/png", "fileUri": "https://x.y/z.png"}}]}],
        "generationConfig": {"maxOutputTokens": 5, "candidateCount": 2},
        "toolConfig": {"functionCallingConfig": {"mode": "NONE"}},
    }
    snake = {
        "system_instruction": {"parts": {"text": "S"}},
        "contents": {"parts": [{"file_data": {"mime_type": "image/png", "file_uri": "https://x.y/z.png"}}]},
        "generation_config": {"max_output_tokens": 5, "candidate_count": 2},
        "tool_config": {"function_calling_config": {"mode": "none"}},
    }
    assert asked(snake) == asked(camel)
    assert asked(camel).choices == 2


@pytest.mark.parametrize(
    ("config", "reasoning"),
    [
        ({"thinkingLevel": "LOW"}, Reasoning(effort="low")),
        ({"thinkingBudget": 0}, Reasoning(enabled=False)),
        ({"thinkingBudget": -1}, Reasoning(enabled=True)),
        ({"include_thoughts": True}, Reasoning(summary="auto")),
    ],
)
def test_wishes_for_thought(config: Json, reasoning: Reasoning) -> None:
    body = {"contents": "Hi", "generationConfig": {"thinkingConfig": config}}
    assert asked(body).reasoning == reasoning


@pytest.mark.parametrize("alphabet", ["+/", "-_"])
def test_what_another_upstream_signed_comes_back_to_it(alphabet: str) -> None:
    """Clients decode and encode signatures, with either alphabet."""
    signature = tag("anthropic-messages", "\xff\xfe>>??", None)
    hidden = tag("openai-responses", None, "gAAAA/b+c")
    assert signature is not None
    assert hidden is not None
    spelled = str.maketrans("+/", alphabet)
    parts = [
        {"text": "Hm", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": signature.translate(spelled)},
        {"text": "", "thought": True, "thoughtSignature": hidden.translate(spelled)},
    ]
    [said] = asked({"contents": [{"role": "model", "parts": parts}]}).messages
    assert said.parts == (
        ThinkingPart(text="Hm", signature="\xff\xfe>>??", origin="anthropic-messages"),
        ThinkingPart(text="", redacted="gAAAA/b+c", origin="openai-responses"),
    )


# What an upstream is asked.


def test_turns_alternate_and_results_name_their_calls() -> None:
    contents = written(
        Prompt(
            messages=(
                Message("system", (TextPart(text="One"),)),
                Message("developer", (TextPart(text="Two"),)),
                user("Hi"),
                user("there"),
                model(
                    ThinkingPart(text="", signature="c2ln", origin="gemini"),
                    CallPart(call_id="a", name="f", arguments='{"x":1}'),
                    CallPart(call_id="b", name="g", arguments="cut {"),
                ),
                user("And?", ResultPart(call_id="a", content=(TextPart(text='{"y":2}'),))),
                user(ResultPart(call_id="b", content=(TextPart(text="bad"),), error=True)),
                Message("system", (TextPart(text="Late"),)),
                model(""),
            )
        )
    )
    assert contents == {
        "systemInstruction": {"parts": [{"text": "One"}, {"text": "Two"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}, {"text": "there"}]},
            {
                "role": "model",
                "parts": [
                    {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"id": "b", "name": "g", "args": {"arguments": "cut {"}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "a", "name": "f", "response": {"y": 2}}},
                    {"functionResponse": {"id": "b", "name": "g", "response": {"error": "bad"}}},
                    {"text": "And?"},
                    {"text": "Late"},
                ],
            },
        ],
    }


def test_media_go_where_a_model_takes_them() -> None:
    image = MediaPart(kind="image", media_type="image/png", data="aW1n")
    call = model(CallPart(call_id="a", name="f", arguments="{}"))
    result = user(ResultPart(call_id="a", content=(TextPart(text="see"), image)))
    inline = {"inlineData": {"mimeType": "image/png", "data": "aW1n"}}
    response: Json = {"id": "a", "name": "f", "response": {"output": "see"}}
    prompt = Prompt(messages=(user("Hi"), call, result))
    newer, older = written(prompt, "gemini-3-pro"), written(prompt, "gemini-2.5-flash")
    assert newer["contents"][-1]["parts"] == [{"functionResponse": {**response, "parts": [inline]}}]
    assert older["contents"][-1]["parts"] == [{"functionResponse": response}, inline]
    film = MediaPart(kind="video", url="https://x.y/film.mp4?a=b")
    document = MediaPart(kind="document", text="words", name="a.txt")
    sent = written(Prompt(messages=(user(film, document),)))["contents"][0]["parts"]
    assert sent[0]["fileData"] == {"mimeType": "video/mp4", "fileUri": "https://x.y/film.mp4?a=b"}
    assert sent[1] == {"text": "a.txt:\n\nwords"}


def test_a_signature_stands_on_the_part_behind_it() -> None:
    signed = ThinkingPart(text="", signature="c2ln", origin="gemini")
    call = CallPart(call_id="a", name="f", arguments="{}")
    foreign = ThinkingPart(text="Hm", signature="x", origin="anthropic-messages")

    def parts(*given: Any, name: str = "gemini-3-pro") -> list[Json]:
        sent: list[Json] = written(Prompt(messages=(model(*given),)), name)["contents"][0]["parts"]
        return [{**part, "functionCall": "f"} if "functionCall" in part else part for part in sent]

    assert parts(signed, "A", call)[0] == {"text": "A", "thoughtSignature": "c2ln"}
    assert parts("A", signed, call) == [{"text": "A"}, {"functionCall": "f", "thoughtSignature": "c2ln"}]
    assert parts("A", signed) == [{"text": "A"}, {"text": "", "thoughtSignature": "c2ln"}]
    unsigned = {"functionCall": "f", "thoughtSignature": "skip_thought_signature_validator"}
    assert parts(foreign, call, call) == [unsigned, {"functionCall": "f"}]
    assert parts(foreign, call, name="gemini-2.5-pro") == [{"functionCall": "f"}]
    thought = ThinkingPart(text="Hm", signature="c2ln", origin="gemini")
    assert parts(thought, "A") == [
        {"text": "Hm", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "A"},
    ]
    raw = ForeignPart(dialect="gemini", value={"executableCode": {}})
    assert parts(raw, ForeignPart(dialect="x", value={})) == [{"executableCode": {}}]


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("tool", ("f",)), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice("required", ("f", "g")), {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}),
        (ToolChoice("auto", ("f",)), {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tools_and_their_choice(choice: ToolChoice, config: Json) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    tools = (
        ToolDefinition(name="f", description="F", parameters=schema),
        ToolDefinition(name="g", parameters={"type": "object", "properties": {}}),
        ToolDefinition(name="h", custom=True),
        HostedTool("gemini", {"googleSearch": {}}),
    )
    sent = written(Prompt(messages=(user("Hi"),), tools=tools, tool_choice=choice))
    functions = sent["tools"][0]["functionDeclarations"]
    assert functions[:2] == [{"name": "f", "description": "F", "parametersJsonSchema": schema}, {"name": "g"}]
    assert functions[2]["parametersJsonSchema"]["required"] == ["input"]
    assert sent["tools"][1] == {"googleSearch": {}}
    assert sent["toolConfig"] == {"functionCallingConfig": config}


@pytest.mark.parametrize(
    ("reasoning", "newer", "older"),
    [
        (Reasoning(effort="low"), {"thinkingLevel": "low"}, {"thinkingBudget": 1024}),
        (Reasoning(effort="xhigh"), {"thinkingLevel": "high"}, {"thinkingBudget": 24576}),
        (Reasoning(budget=99), {"thinkingBudget": 99}, {"thinkingBudget": 99}),
        (Reasoning(enabled=True), {}, {}),
    ],
)
def test_how_much_to_think(reasoning: Reasoning, newer: Json, older: Json) -> None:
    prompt = Prompt(messages=(user("Hi"),), reasoning=reasoning)
    for name, config in (("gemini-3-pro", newer), ("models/gemini-2.5-pro", older)):
        thinking = written(prompt, name)["generationConfig"]["thinkingConfig"]
        assert thinking == {"includeThoughts": True, **config}


@pytest.mark.parametrize(
    "reasoning", [Reasoning(effort="none"), Reasoning(enabled=False), Reasoning(budget=0)]
)
def test_not_to_think(reasoning: Reasoning) -> None:
    prompt = Prompt(messages=(user("Hi"),), reasoning=reasoning)
    assert written(prompt)["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "minimal"}
    older = written(prompt, "gemini-2.5-flash")["generationConfig"]["thinkingConfig"]
    assert older == {"thinkingBudget": 0}


def test_settings_of_a_chat_request_have_their_names_here() -> None:
    body, dropped = of_chat(
        {
            "messages": [{"role": "user", "content": "Hi"}],
            "temperature": 0,
            "top_p": 0.5,
            "top_k": 4,
            "max_tokens": 9,
            "seed": 1,
            "n": 2,
            "stop": "END",
            "presence_penalty": 0.1,
            "frequency_penalty": 0.2,
            "logprobs": True,
            "top_logprobs": 3,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": "array"}},
            },
            "user": "u",
            "parallel_tool_calls": False,
            "logit_bias": {"1": 2},
            "metadata": {"a": "b"},
            "odd": 1,
        }
    )
    assert body["generationConfig"] == {
        "temperature": 0,
        "topP": 0.5,
        "topK": 4,
        "maxOutputTokens": 9,
        "seed": 1,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "stopSequences": ["END"],
        "candidateCount": 2,
        "responseLogprobs": True,
        "logprobs": 3,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "array"},
    }
    schema_name = "response_format.json_schema.name"
    assert set(dropped) == {"user", "parallel_tool_calls", "logit_bias", "metadata", schema_name, "odd"}


def test_a_file_of_another_vendor_is_refused_by_its_name() -> None:
    message = {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}
    with pytest.raises(Unsupported, match="document_file"):
        of_chat({"messages": [message]})


@pytest.mark.parametrize("name", ["..", "../../files", "a/../b", "models/../x", "./a", "tunedModels/.."])
def test_a_name_is_no_way_to_another_path(name: str) -> None:
    with pytest.raises(InvalidRequest, match="'model'"):
        GEMINI.target(name)


@pytest.mark.parametrize("config", ["generationConfig", "generation_config"])
@pytest.mark.parametrize("member", ["stopSequences", "stop_sequences"])
def test_a_stop_sequence_outside_of_a_list_is_not_taken_for_its_letters(config: str, member: str) -> None:
    with pytest.raises(InvalidRequest, match="stopSequences"):
        asked({"contents": "q", config: {member: "abc"}})


@pytest.mark.parametrize("config", ["generationConfig", "generation_config"])
@pytest.mark.parametrize("member", ["candidateCount", "candidate_count"])
def test_candidates_are_counted_in_any_spelling(config: str, member: str) -> None:
    assert asked({"contents": "q", config: {member: 2}}).choices == 2


def test_a_configuration_of_null_takes_a_wish_to_think() -> None:
    request = GEMINI.read_request(b'{"contents": "q", "generationConfig": null}', {}, PATH)
    wished = msgspec.structs.replace(request, reasoning=Reasoning(effort="low"))
    body = msgspec.json.decode(GEMINI.write_request(wished, "gemini-3-pro", frozenset()))
    assert body["generationConfig"]["thinkingConfig"]["thinkingLevel"] == "low"
