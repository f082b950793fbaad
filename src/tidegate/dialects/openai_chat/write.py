"""A prompt of another dialect as the body of a Chat request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from tidegate.core.message import (
    AnyPart,
    CallPart,
    MediaPart,
    Message,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
    text_of,
)
from tidegate.core.request import Prompt, Reasoning
from tidegate.core.tool import ToolChoice, ToolDefinition
from tidegate.dialects.api import Lack
from tidegate.dialects.openai_chat.quirks import apply_quirks
from tidegate.dialects.openai_chat.thinking import give_back
from tidegate.dialects.translation.customs import arguments_of, function_of
from tidegate.dialects.translation.media import data_url

Fields = dict[str, Any]

LACKS: Final[Mapping[str, Lack]] = {
    "hosted_tools": "drop",
    "foreign_tools": "drop",
    "foreign_seals": "drop",
    "foreign_parts": "drop",
    "image_file": "refuse",
    "document_url": "refuse",
    "audio_url": "refuse",
    "audio_file": "refuse",
    "video_data": "refuse",
    "video_file": "refuse",
    "cache": "drop",
    "media_of_model": "drop",
    "document_citations": "drop",
    "document_context": "drop",
}
"""See :attr:`tidegate.dialects.api.Dialect.lacks`."""

_AS_THEY_ARE: Final = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "top_logprobs",
    "verbosity",
    "user",
    "metadata",
    "service_tier",
)
_EFFORTS: Final = ((2048, "low"), (16384, "medium"))
"""Budgets in tokens below which a model is to think this hard; beyond them ``high``."""


def write_prompt(prompt: Prompt, model: str, quirks: frozenset[str]) -> bytes:
    """See :meth:`tidegate.dialects.api.Dialect.write_prompt`. Always asks for a stream, with usage."""
    fields: Fields = {"model": model, "messages": list(_messages(prompt.messages))}
    fields["stream"] = True
    fields["stream_options"] = {"include_usage": True}
    for name in _AS_THEY_ARE:
        if (value := getattr(prompt, name)) is not None:
            fields[name] = value
    if prompt.stop:
        fields["stop"] = list(prompt.stop)
    if prompt.logprobs:
        fields["logprobs"] = True
    if prompt.choices > 1:
        fields["n"] = prompt.choices
    _write_tools(prompt, fields)
    if prompt.reasoning is not None and (effort := effort_of(prompt.reasoning)):
        fields["reasoning_effort"] = effort
    if prompt.output is not None:
        fields["response_format"] = {"type": prompt.output.kind}
        if prompt.output.kind == "json_schema":
            schema: Fields = {"name": prompt.output.name or "answer", "schema": prompt.output.schema or {}}
            if prompt.output.strict is not None:
                schema["strict"] = prompt.output.strict
            if prompt.output.description is not None:
                schema["description"] = prompt.output.description
            fields["response_format"]["json_schema"] = schema
    if quirks:
        encoded = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
        apply_quirks(encoded, quirks)
        return msgspec.json.encode(encoded)
    return msgspec.json.encode(fields)


def effort_of(reasoning: Reasoning) -> str | None:
    """How hard to think, in OpenAI's words; None where nothing like it was asked for."""
    if reasoning.effort is not None:
        return reasoning.effort
    if reasoning.enabled is False:
        return None
    if reasoning.budget is None:
        return "medium" if reasoning.enabled else None
    return next((word for below, word in _EFFORTS if reasoning.budget < below), "high")


def _write_tools(prompt: Prompt, fields: Fields) -> None:
    functions = [function_of(tool) for tool in prompt.tools if isinstance(tool, ToolDefinition)]
    if not functions:
        return
    fields["tools"] = [{"type": "function", "function": _function(each)} for each in functions]
    if prompt.tool_choice is not None:
        fields["tool_choice"] = _choice(prompt.tool_choice)
    if prompt.parallel_tools is not None:
        fields["parallel_tool_calls"] = prompt.parallel_tools


def _function(tool: ToolDefinition) -> Fields:
    function: Fields = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    if tool.strict is not None:
        function["strict"] = tool.strict
    return function


def _choice(choice: ToolChoice) -> Any:
    named = [{"type": "function", "function": {"name": name}} for name in choice.names]
    if choice.mode == "tool":
        return named[0]
    if named:
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}
    return choice.mode


def _messages(messages: Sequence[Message]) -> Iterator[Fields]:
    for message in messages:
        if message.role == "assistant":
            yield _assistant(message)
            continue
        results = [part for part in message.parts if isinstance(part, ResultPart)]
        for result in results:  # a call must be followed by its results at once
            yield {"role": "tool", "tool_call_id": result.call_id, "content": _result(result)}
        seen = [part for result in results for part in result.content if isinstance(part, MediaPart)]
        rest = [*seen, *(part for part in message.parts if not isinstance(part, ResultPart))]
        if rest or not results:
            written: Fields = {"role": message.role, "content": _content(rest)}
            if message.name is not None:
                written["name"] = message.name
            yield written


def _result(result: ResultPart) -> str:
    """A tool's answer. Chat has neither errors nor images here: the images follow in a message."""
    text = text_of(result.content, "\n")
    if result.error and not text.lower().startswith("error"):
        return f"Error: {text}"
    if not text and result.content:
        return "(see the next message)"
    return text


def _content(parts: Sequence[AnyPart]) -> str | list[Fields]:
    """Text alone is a string, which every server takes."""
    if not any(isinstance(part, MediaPart) for part in parts):
        return text_of(tuple(parts), "\n\n")
    return [written for part in parts if (written := _part(part)) is not None]


def _part(part: AnyPart) -> Fields | None:
    if isinstance(part, (TextPart, RefusalPart)):
        return {"type": "text", "text": part.text}
    if not isinstance(part, MediaPart):
        return None
    if part.text is not None:
        return {"type": "text", "text": f"{part.name}:\n\n{part.text}" if part.name else part.text}
    if part.kind == "image":
        image = {"url": data_url(part)}
        if part.detail is not None:
            image["detail"] = part.detail
        return {"type": "image_url", "image_url": image}
    if part.kind == "audio":
        form = (part.media_type or "audio/wav").removeprefix("audio/")
        return {
            "type": "input_audio",
            "input_audio": {"data": part.data or "", "format": _FORMS.get(form, form)},
        }
    if part.kind == "video":
        return {"type": "video_url", "video_url": {"url": data_url(part)}}
    file = {"file_id": part.file_id} if part.file_id else {"file_data": data_url(part)}
    return {"type": "file", "file": {"filename": part.name or "document.pdf", **file}}


_FORMS: Final = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}


def _assistant(message: Message) -> Fields:
    calls = [part for part in message.parts if isinstance(part, CallPart)]
    text = "".join(part.text for part in message.parts if isinstance(part, TextPart))
    written: Fields = {"role": "assistant", "content": text if text or not calls else None}
    thought = "".join(part.text for part in message.parts if isinstance(part, ThinkingPart))
    if thought:
        written["reasoning_content"] = thought
    sealed = (give_back(part) for part in message.parts if isinstance(part, ThinkingPart))
    if details := [detail for detail in sealed if detail is not None]:
        written["reasoning_details"] = details
    refusal = "".join(part.text for part in message.parts if isinstance(part, RefusalPart))
    if refusal:
        written["refusal"] = refusal
    if calls:
        written["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": arguments_of(call)},
            }
            for call in calls
        ]
    return written
