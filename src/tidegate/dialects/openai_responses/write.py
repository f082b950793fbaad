"""A prompt of another dialect as the body of a Responses request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from tidegate.core.message import (
    AnyPart,
    CallPart,
    ForeignPart,
    MediaPart,
    Message,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
    text_of,
)
from tidegate.core.request import Prompt
from tidegate.core.tool import ToolDefinition
from tidegate.dialects.api import Lack
from tidegate.dialects.openai_chat.write import effort_of
from tidegate.dialects.openai_responses.reasoning import unsign
from tidegate.dialects.openai_responses.tools import write_choice, write_tool
from tidegate.dialects.openai_responses.usage import NAME
from tidegate.dialects.translation.media import data_url

Fields = dict[str, Any]

LACKS: Final[Mapping[str, Lack]] = {
    "choices": "refuse",
    "stop": "drop",
    "seed": "drop",
    "top_k": "drop",
    "min_p": "drop",
    "presence_penalty": "drop",
    "frequency_penalty": "drop",
    "logit_bias": "drop",
    "message_name": "drop",
    "foreign_tools": "drop",
    "foreign_seals": "drop",
    "foreign_parts": "drop",
    "foreign_thinking": "drop",
    "cache": "drop",
    "media_in_instructions": "drop",
    "media_of_model": "drop",
    "document_citations": "drop",
    "document_context": "drop",
    "audio_url": "refuse",
    "audio_file": "refuse",
    "video_data": "refuse",
    "video_url": "refuse",
    "video_file": "refuse",
}
"""See :attr:`tidegate.dialects.api.Dialect.lacks`."""

_AS_THEY_ARE: Final = ("temperature", "top_p", "top_logprobs", "user", "metadata", "service_tier")
_ENCRYPTED: Final = "reasoning.encrypted_content"
_LOGPROBS: Final = "message.output_text.logprobs"


def write_prompt(prompt: Prompt, model: str) -> bytes:
    """See :meth:`tidegate.dialects.api.Dialect.write_prompt`. Always asks for a stream that is not kept."""
    instructions, messages = _instructions(prompt.messages)
    fields: Fields = {"model": model, "stream": True, "store": False}
    if instructions:
        fields["instructions"] = instructions
    fields["input"] = [item for message in messages for item in _items(message)]
    # What is not kept there must come along whenever the conversation goes on.
    fields["include"] = [_ENCRYPTED, _LOGPROBS] if prompt.logprobs else [_ENCRYPTED]
    for name in _AS_THEY_ARE:
        if (value := getattr(prompt, name)) is not None:
            fields[name] = value
    if prompt.max_tokens is not None:
        fields["max_output_tokens"] = prompt.max_tokens
    _write_tools(prompt, fields)
    if reasoning := _reasoning(prompt):
        fields["reasoning"] = reasoning
    if text := _text(prompt):
        fields["text"] = text
    return msgspec.json.encode(fields)


def _write_tools(prompt: Prompt, fields: Fields) -> None:
    tools = [tool for tool in prompt.tools if isinstance(tool, ToolDefinition) or tool.dialect == NAME]
    if not tools:
        return
    fields["tools"] = [write_tool(tool) for tool in tools]
    if prompt.tool_choice is not None:
        customs = {tool.name: tool.custom for tool in tools if isinstance(tool, ToolDefinition)}
        fields["tool_choice"] = write_choice(prompt.tool_choice, customs)
    if prompt.parallel_tools is not None:
        fields["parallel_tool_calls"] = prompt.parallel_tools


def _reasoning(prompt: Prompt) -> Fields:
    asked = prompt.reasoning
    if asked is None:
        return {}
    written: Fields = {}
    if effort := effort_of(asked):
        written["effort"] = effort
    # Who sets a budget for thinking, or switches it on, speaks a dialect that shows it.
    summary = asked.summary or ("auto" if asked.budget or asked.enabled else None)
    if summary is not None:
        written["summary"] = summary
    return written


def _text(prompt: Prompt) -> Fields:
    written: Fields = {}
    if prompt.output is not None:
        written["format"] = form = {"type": prompt.output.kind}
        if prompt.output.kind == "json_schema":
            form.update(msgspec.to_builtins(_schema(prompt)))
    if prompt.verbosity is not None:
        written["verbosity"] = prompt.verbosity
    return written


def _schema(prompt: Prompt) -> Fields:
    output = prompt.output
    assert output is not None
    written: Fields = {"name": output.name or "answer", "schema": output.schema or {}}
    if output.strict is not None:
        written["strict"] = output.strict
    if output.description is not None:
        written["description"] = output.description
    return written


def _instructions(messages: Sequence[Message]) -> tuple[str, Sequence[Message]]:
    """The system messages that a conversation begins with, and the rest of it."""
    count = 0
    while count < len(messages) and messages[count].role == "system":
        count += 1
    return "\n\n".join(text_of(each.parts, "\n\n") for each in messages[:count]), messages[count:]


def _items(message: Message) -> Iterator[Fields]:
    """The items of a message, in the order of its parts."""
    said: list[Fields] = []
    thoughts: list[ThinkingPart] = []
    for part in message.parts:
        if isinstance(part, ThinkingPart):
            # Several summaries of one reasoning item: the signature comes with the last of them.
            thoughts.append(part)
            if part.signature is not None and part.origin == NAME:
                yield from _said(message, said)
                yield _reasoning_item(thoughts)
                thoughts = []
            elif part.origin is not None:
                thoughts = []
            continue
        thoughts = []
        item = _item(part)
        if item is not None:
            yield from _said(message, said)
            yield item
        elif (content := _content(part, message.role)) is not None:
            said.append(content)
    yield from _said(message, said)


def _said(message: Message, parts: list[Fields]) -> Iterator[Fields]:
    """The parts so far as a message, once there are any."""
    if parts:
        yield {"type": "message", "role": message.role, "content": list(parts)}
        parts.clear()


def _reasoning_item(thoughts: list[ThinkingPart]) -> Fields:
    item_id, content = unsign(thoughts[-1].signature or "")
    written: Fields = {"type": "reasoning"}
    if item_id:
        written["id"] = item_id
    written["summary"] = [{"type": "summary_text", "text": each.text} for each in thoughts if each.text]
    return {**written, "encrypted_content": content}


def _item(part: AnyPart) -> Fields | None:
    """A part that is an item of its own."""
    if isinstance(part, CallPart):
        if part.custom:
            kind, text = "custom_tool_call", {"input": part.arguments}
        else:
            kind, text = "function_call", {"arguments": part.arguments or "{}"}
        return {"type": kind, "call_id": part.call_id, "name": part.name, **text}
    if isinstance(part, ResultPart):
        kind = "custom_tool_call_output" if part.custom else "function_call_output"
        return {"type": kind, "call_id": part.call_id, "output": _output(part)}
    if isinstance(part, ForeignPart) and part.dialect == NAME:
        return dict(part.value)
    return None


def _output(result: ResultPart) -> str | list[Fields]:
    """What a tool answered. There is no mark for an error, so the words say it."""
    text = text_of(result.content, "\n")
    if result.error and not text.lower().startswith("error"):
        text = f"Error: {text}"
    media = [part for part in result.content if isinstance(part, MediaPart)]
    if not media:
        return text
    words: list[Fields] = [{"type": "input_text", "text": text}] if text else []
    return words + [written for part in media if (written := _content(part, "user")) is not None]


def _content(part: AnyPart, role: str) -> Fields | None:
    if isinstance(part, RefusalPart):
        if role == "assistant":
            return {"type": "refusal", "refusal": part.text}
        return {"type": "input_text", "text": part.text}
    if isinstance(part, TextPart):
        return {"type": "output_text" if role == "assistant" else "input_text", "text": part.text}
    if not isinstance(part, MediaPart):
        return None
    if part.text is not None:
        return {"type": "input_text", "text": f"{part.name}:\n\n{part.text}" if part.name else part.text}
    if part.kind == "image":
        where = {"file_id": part.file_id} if part.file_id else {"image_url": data_url(part)}
        return {"type": "input_image", "detail": part.detail or "auto", **where}
    if part.kind == "audio":
        form = (part.media_type or "audio/wav").removeprefix("audio/")
        audio = {
            "data": part.data or "",
            "format": {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}.get(form, form),
        }
        return {"type": "input_audio", "input_audio": audio}
    if part.file_id:
        return {"type": "input_file", "file_id": part.file_id}
    if part.url is not None:
        return {"type": "input_file", "file_url": part.url}
    return {"type": "input_file", "filename": part.name or "document.pdf", "file_data": data_url(part)}
