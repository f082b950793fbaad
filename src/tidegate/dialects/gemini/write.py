"""A prompt of another dialect as the body of a request to Gemini.

https://ai.google.dev/api/generate-content#request-body
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tidegate.core.message import Message, text_of
from tidegate.core.request import OutputFormat, Prompt
from tidegate.core.tool import HostedTool, ToolChoice, ToolDefinition
from tidegate.dialects.api import Lack
from tidegate.dialects.gemini.thinking import is_older, thinking_config
from tidegate.dialects.gemini.turns import write_turns
from tidegate.dialects.gemini.words import NAME
from tidegate.dialects.translation.customs import function_of

Fields = dict[str, Any]

LACKS: Final[Mapping[str, Lack]] = {
    "min_p": "drop",
    "logit_bias": "drop",
    "parallel_tools": "drop",
    "verbosity": "drop",
    "foreign_tools": "drop",
    "foreign_seals": "drop",
    "foreign_parts": "drop",
    "foreign_thinking": "drop",
    "message_name": "drop",
    "schema_name": "drop",
    "schema_description": "drop",
    "schema_strict": "drop",
    "media_in_instructions": "drop",
    "image_detail": "drop",
    "document_name": "drop",
    "document_citations": "drop",
    "document_context": "drop",
    "image_file": "refuse",
    "document_file": "refuse",
    "audio_file": "refuse",
    "video_file": "refuse",
    "cache": "drop",
    "user": "drop",
    "metadata": "drop",
    "service_tier": "drop",
}
"""See :attr:`tidegate.dialects.api.Dialect.lacks`."""

_SETTINGS: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_MODES: Final = {"auto": "AUTO", "required": "ANY", "tool": "ANY", "none": "NONE"}


def write_prompt(prompt: Prompt, model: str, quirks: frozenset[str]) -> bytes:
    """See :meth:`tidegate.dialects.api.Dialect.write_prompt`."""
    instructions, turns = _instructions(prompt.messages)
    fields: Fields = {"contents": write_turns(turns, older=is_older(model))}
    if instructions:
        fields["systemInstruction"] = {"parts": [{"text": text} for text in instructions]}
    _write_tools(prompt, fields)
    if config := _generation_config(prompt, model):
        fields["generationConfig"] = config
    return msgspec.json.encode(fields)


def _instructions(messages: tuple[Message, ...]) -> tuple[list[str], list[Message]]:
    """The system prompt, and the conversation. Instructions in its midst are words of the user.

    So are those that stand alone: there must be something to answer.
    """
    said = next((at for at, each in enumerate(messages) if each.role in ("user", "assistant")), 0)
    texts = [text_of(message.parts, "\n\n") for message in messages[:said]]
    turns = [
        message if message.role in ("user", "assistant") else msgspec.structs.replace(message, role="user")
        for message in messages[said:]
    ]
    return [text for text in texts if text], turns


def _generation_config(prompt: Prompt, model: str) -> Fields:
    config: Fields = {
        theirs: value for ours, theirs in _SETTINGS.items() if (value := getattr(prompt, ours)) is not None
    }
    if prompt.stop:
        config["stopSequences"] = list(prompt.stop)
    if prompt.choices > 1:
        config["candidateCount"] = prompt.choices
    if prompt.logprobs:
        config["responseLogprobs"] = True
        if prompt.top_logprobs is not None:
            config["logprobs"] = prompt.top_logprobs
    if prompt.output is not None:
        config.update(_output(prompt.output))
    if prompt.reasoning is not None and (thinking := thinking_config(prompt.reasoning, model)):
        config["thinkingConfig"] = thinking
    return config


def _output(output: OutputFormat) -> Fields:
    form: Fields = {"responseMimeType": "application/json"}
    if output.kind == "json_schema":
        form["responseJsonSchema"] = output.schema or {"type": "object"}
    return form


def _write_tools(prompt: Prompt, fields: Fields) -> None:
    functions = [_function(function_of(tool)) for tool in prompt.tools if isinstance(tool, ToolDefinition)]
    hosted = [
        dict(tool.value) for tool in prompt.tools if isinstance(tool, HostedTool) and tool.dialect == NAME
    ]
    tools = ([{"functionDeclarations": functions}] if functions else []) + hosted
    if not tools:
        return
    fields["tools"] = tools
    if prompt.tool_choice is not None and functions:
        fields["toolConfig"] = {"functionCallingConfig": _choice(prompt.tool_choice)}


def _function(tool: ToolDefinition) -> Fields:
    function: Fields = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters and tool.parameters.get("properties") != {}:
        function["parametersJsonSchema"] = tool.parameters
    return function


def _choice(choice: ToolChoice) -> Fields:
    config: Fields = {"mode": _MODES[choice.mode]}
    if choice.names:
        config["allowedFunctionNames"] = list(choice.names)
        if choice.mode == "auto":
            config["mode"] = "VALIDATED"  # AUTO takes no names
    return config
