"""A prompt of another dialect as the body of a Messages request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tidegate.core.message import CallPart
from tidegate.core.request import Prompt
from tidegate.core.tool import HostedTool, ToolChoice, ToolDefinition
from tidegate.dialects.anthropic_messages.reasoning import (
    DEFAULT_MAX_TOKENS,
    fits,
    is_adaptive,
    takes_sampling,
    wants_thinking,
    write_reasoning,
)
from tidegate.dialects.anthropic_messages.turns import signed_here, write_turns
from tidegate.dialects.anthropic_messages.usage import NAME
from tidegate.dialects.api import Lack
from tidegate.dialects.translation.customs import function_of

Fields = dict[str, Any]

LACKS: Final[Mapping[str, Lack]] = {
    "min_p": "drop",
    "seed": "drop",
    "presence_penalty": "drop",
    "frequency_penalty": "drop",
    "logit_bias": "drop",
    "logprobs": "refuse",
    "top_logprobs": "refuse",
    "choices": "refuse",
    "verbosity": "drop",
    "json_object": "drop",
    "foreign_tools": "drop",
    "foreign_seals": "drop",
    "foreign_parts": "drop",
    "foreign_thinking": "drop",
    "message_name": "drop",
    "metadata": "drop",
    "service_tier": "drop",
    "schema_name": "drop",
    "schema_description": "drop",
    "schema_strict": "drop",
    "media_in_instructions": "drop",
    "media_of_model": "drop",
    "image_detail": "drop",
    "image_file": "refuse",
    "document_file": "refuse",
    "audio_data": "refuse",
    "audio_url": "refuse",
    "audio_file": "refuse",
    "video_data": "refuse",
    "video_url": "refuse",
    "video_file": "refuse",
}
"""See :attr:`tidegate.dialects.api.Dialect.lacks`."""

_SAMPLING: Final = ("temperature", "top_p", "top_k")


def conflicts(prompt: Prompt, model: str) -> Iterator[str]:
    """What a request asks for that the model takes in other requests only, or never; it is left out."""
    thinks = wants_thinking(prompt.reasoning)
    if thinks and not _can_think(prompt, model):
        thinks = False
        yield "reasoning"
    if not takes_sampling(model):
        yield from _SAMPLING
    elif thinks:
        yield from ("temperature", "top_k")
        if prompt.top_p is not None and prompt.top_p < 0.95:
            yield "top_p"
    elif prompt.temperature is not None:
        yield "top_p"  # models from 4.1 on take one of the two


def _can_think(prompt: Prompt, model: str) -> bool:
    """Whether thinking goes together with the rest of a request."""
    assert prompt.reasoning is not None
    choice = prompt.tool_choice
    if choice is not None and choice.mode in ("required", "tool"):
        return False
    if not fits(prompt.reasoning, model, prompt.max_tokens):
        return False
    if is_adaptive(model):
        return True
    # With a budget, a turn of calls must begin with the thinking that led to them, which others have not.
    for message in reversed(prompt.messages):
        if message.role == "assistant":
            called = any(isinstance(part, CallPart) for part in message.parts)
            return not called or any(signed_here(part) for part in message.parts)
    return True


def write_prompt(prompt: Prompt, model: str, quirks: frozenset[str]) -> bytes:
    """See :meth:`tidegate.dialects.api.Dialect.write_prompt`. Always asks for a stream."""
    system, turns = write_turns(prompt.messages)
    fields: Fields = {"model": model, "messages": turns, "stream": True}
    if system:
        fields["system"] = system
    fields["max_tokens"] = prompt.max_tokens or DEFAULT_MAX_TOKENS
    if prompt.temperature is not None:
        fields["temperature"] = min(prompt.temperature, 1.0)  # others count up to 2
    for name in ("top_p", "top_k"):
        if (value := getattr(prompt, name)) is not None:
            fields[name] = value
    if prompt.stop:
        fields["stop_sequences"] = list(prompt.stop)
    if prompt.user is not None:
        fields["metadata"] = {"user_id": prompt.user}
    _write_tools(prompt, fields)
    if prompt.reasoning is not None:
        fields.update(write_reasoning(prompt.reasoning, model, prompt.max_tokens))
    if prompt.output is not None and prompt.output.kind == "json_schema":
        form = {"type": "json_schema", "schema": prompt.output.schema or {}}
        fields["output_config"] = {**fields.get("output_config", {}), "format": form}
    return msgspec.json.encode(fields)


def _write_tools(prompt: Prompt, fields: Fields) -> None:
    choice = prompt.tool_choice
    tools = [_tool(tool) for tool in prompt.tools if _offered(tool, choice)]
    if not tools:
        return
    fields["tools"] = tools
    written = None if choice is None else _choice(choice)
    if prompt.parallel_tools is False and (choice is None or choice.mode != "none"):
        written = {**(written or {"type": "auto"}), "disable_parallel_tool_use": True}
    if written is not None:
        fields["tool_choice"] = written


def _offered(tool: ToolDefinition | HostedTool, choice: ToolChoice | None) -> bool:
    """Whether a tool is to be offered: a choice among some is told by leaving out the others."""
    if isinstance(tool, HostedTool):
        return tool.dialect == NAME
    return choice is None or not choice.names or choice.mode == "tool" or tool.name in choice.names


def _tool(tool: ToolDefinition | HostedTool) -> Mapping[str, Any]:
    if isinstance(tool, HostedTool):
        return tool.value
    function = function_of(tool)
    written: Fields = {"name": function.name}
    if function.description is not None:
        written["description"] = function.description
    written["input_schema"] = {"type": "object", **(function.parameters or {"properties": {}})}
    if function.strict:
        written["strict"] = True
    if tool.cache is not None:
        written["cache_control"] = tool.cache
    return written


def _choice(choice: ToolChoice) -> Fields:
    if choice.mode == "tool":
        return {"type": "tool", "name": choice.names[0]}
    return {"type": "any" if choice.mode == "required" else choice.mode}
