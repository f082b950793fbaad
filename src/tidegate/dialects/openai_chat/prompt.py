"""A Chat request in no dialect (https://platform.openai.com/docs/api-reference/chat/create)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tidegate.core.message import (
    AnyPart,
    CallPart,
    ForeignPart,
    MediaPart,
    Message,
    RefusalPart,
    ResultPart,
    TextPart,
)
from tidegate.core.request import OutputFormat, Prompt, Reasoning, Request
from tidegate.core.tool import HostedTool, ToolChoice, ToolDefinition
from tidegate.dialects.openai_chat.thinking import read_reasoning
from tidegate.dialects.translation.body import decode_fields
from tidegate.dialects.translation.media import media_from_url
from tidegate.errors import InvalidRequest

Fields = dict[str, Any]

NAME: Final = "openai-chat"

_AS_THEY_ARE: Final = (
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
    "metadata",
    "service_tier",
)
_READ: Final = frozenset(
    {
        *_AS_THEY_ARE,
        *("model", "messages", "stream", "stream_options", "n", "stop", "logprobs"),
        *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format"),
        *("max_tokens", "max_completion_tokens", "user", "safety_identifier"),
        *("reasoning_effort", "reasoning", "thinking", "enable_thinking"),
    }
)


def read_prompt(request: Request) -> Prompt:
    """See :meth:`tidegate.dialects.api.Dialect.read_prompt`."""
    fields = {name: value for name, value in decode_fields(request.fields).items() if value is not None}
    try:
        stop = fields.get("stop") or ()
        return Prompt(
            messages=tuple(_messages(fields.get("messages") or [])),
            tools=tuple(_tools(fields)),
            tool_choice=_tool_choice(fields.get("tool_choice", fields.get("function_call"))),
            parallel_tools=_parallel(fields),
            max_tokens=fields.get("max_completion_tokens") or fields.get("max_tokens"),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            logprobs=bool(fields.get("logprobs")),
            choices=request.choices,
            reasoning=_reasoning(fields),
            output=_output(fields.get("response_format")),
            user=fields.get("user") or fields.get("safety_identifier"),
            extra={name: value for name, value in fields.items() if name not in _READ},
            **{name: fields[name] for name in _AS_THEY_ARE if name in fields},
        )
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise InvalidRequest(f"the request has a field of a shape that cannot be read: {error}") from None


def _messages(messages: list[Fields]) -> Iterator[Message]:
    names: dict[str, str] = {}
    """Ids of calls by the function's name: the legacy form answers by name."""
    for at, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        extra = _cached(message)
        if role in ("system", "developer", "user"):
            yield Message(role, tuple(_parts(content, f"messages[{at}].content", extra)), message.get("name"))
        elif role == "assistant":
            parts = (*_said(message, at), *_calls(message, at, names))
            yield Message("assistant", parts, message.get("name"))
        elif role in ("tool", "function"):
            call_id = message.get("tool_call_id") or names.get(message.get("name", ""), "call_0")
            inner = tuple(
                part
                for part in _parts(content, f"messages[{at}].content", None)
                if isinstance(part, (TextPart, MediaPart))
            )
            result = ResultPart(call_id=str(call_id), content=inner, name=message.get("name"), cache=extra)
            yield Message("user", (result,))
        else:
            raise InvalidRequest(
                f"'messages[{at}].role' must be system, developer, user, assistant or tool, not {role!r}",
                param=f"messages[{at}].role",
            )


def _parts(content: Any, where: str, cache: Mapping[str, Any] | None) -> Iterator[AnyPart]:
    if isinstance(content, str):
        if content:
            yield TextPart(text=content, cache=cache)
        return
    for at, part in enumerate(content or ()):
        if isinstance(part, str):
            yield TextPart(text=part)
            continue
        kind = part.get("type")
        reader = _PART_READERS.get(kind)
        if reader is None:
            yield ForeignPart(dialect=NAME, value=part)
            continue
        try:
            yield reader(part)
        except (AttributeError, TypeError, KeyError, ValueError):
            raise InvalidRequest(
                f"'{where}[{at}]' is not a part of the type {kind!r}", param=f"{where}[{at}]"
            ) from None


def _image(part: Fields) -> MediaPart:
    image = part["image_url"]
    image = {"url": image} if isinstance(image, str) else image
    return media_from_url("image", image["url"], detail=image.get("detail"), cache=_cached(part))


def _audio(part: Fields) -> MediaPart:
    audio = part["input_audio"]
    media_type = f"audio/{audio.get('format') or 'wav'}"
    return MediaPart(kind="audio", media_type=media_type, data=audio["data"], cache=_cached(part))


def _file(part: Fields) -> MediaPart:
    file, cache = part["file"], _cached(part)
    if file.get("file_data"):
        return media_from_url("document", file["file_data"], name=file.get("filename"), cache=cache)
    return MediaPart(kind="document", file_id=file["file_id"], name=file.get("filename"), cache=cache)


_PART_READERS: Final[Mapping[Any, Callable[[Fields], AnyPart]]] = {
    "text": lambda part: TextPart(text=part["text"], cache=_cached(part)),
    "refusal": lambda part: RefusalPart(text=part["refusal"]),
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "video_url": lambda part: media_from_url("video", part["video_url"]["url"]),
}


def _said(message: Fields, at: int) -> Iterator[AnyPart]:
    """What an assistant thought and said."""
    details = message.get("reasoning_details")
    thought = message.get("reasoning_content") or message.get("reasoning")
    thought = thought if isinstance(thought, str) else ""
    reasoned = read_reasoning(details if isinstance(details, list) else [], thought)
    yield from reasoned.before
    yield from _parts(message.get("content"), f"messages[{at}].content", _cached(message))
    if message.get("refusal"):
        yield RefusalPart(text=message["refusal"])
    yield from reasoned.after


def _calls(message: Fields, at: int, names: dict[str, str]) -> Iterator[CallPart]:
    for position, call in enumerate(message.get("tool_calls") or ()):
        call_id = str(call.get("id") or f"call_{at}_{position}")
        if call.get("type") == "custom":
            custom = call["custom"]
            yield CallPart(call_id=call_id, name=custom["name"], arguments=custom["input"], custom=True)
        else:
            function = call["function"]
            arguments = function.get("arguments") or ""
            yield CallPart(call_id=call_id, name=function["name"], arguments=arguments, cache=_cached(call))
    legacy = message.get("function_call")
    if legacy:
        call_id = names[legacy["name"]] = f"call_{at}"
        yield CallPart(call_id=call_id, name=legacy["name"], arguments=legacy.get("arguments") or "")


def _tools(fields: Fields) -> Iterator[ToolDefinition | HostedTool]:
    for tool in fields.get("tools") or ():
        kind = tool.get("type", "function")
        if kind == "function":
            yield _function(tool["function"], _cached(tool))
        elif kind == "custom":
            custom = tool["custom"]
            yield ToolDefinition(
                name=custom["name"],
                description=custom.get("description"),
                custom=True,
                format=custom.get("format"),
            )
        else:
            yield HostedTool(NAME, tool)
    for function in fields.get("functions") or ():
        yield _function(function, None)


def _parallel(fields: Fields) -> bool | None:
    """Whether several tools may be called at once; the legacy form has no place for a second call."""
    if fields.get("functions") and not fields.get("tools"):
        return False
    said: bool | None = fields.get("parallel_tool_calls")
    return said


def _function(function: Fields, cache: Mapping[str, Any] | None) -> ToolDefinition:
    return ToolDefinition(
        name=function["name"],
        description=function.get("description"),
        parameters=function.get("parameters"),
        strict=function.get("strict"),
        cache=cache,
    )


def _tool_choice(choice: Any) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice not in ("auto", "none", "required"):
            raise InvalidRequest(
                f"'tool_choice' must be auto, none, required or an object, not {choice!r}",
                param="tool_choice",
            )
        return ToolChoice(choice)  # type: ignore[arg-type]
    kind = choice.get("type")
    if kind == "allowed_tools":
        allowed = choice.get("allowed_tools") or choice
        names = tuple(_name(tool) for tool in allowed.get("tools") or ())
        return ToolChoice("required" if allowed.get("mode") == "required" else "auto", names)
    return ToolChoice("tool", (_name(choice),))


def _name(tool: Fields) -> str:
    inner = tool.get("function") or tool.get("custom") or tool
    return str(inner["name"])


def _reasoning(fields: Fields) -> Reasoning | None:
    """How much to think, in any of the words that vendors have for it."""
    effort, budget, enabled = fields.get("reasoning_effort"), None, fields.get("enable_thinking")
    if isinstance(routed := fields.get("reasoning"), dict):  # OpenRouter
        effort, budget = routed.get("effort", effort), routed.get("max_tokens")
        enabled = routed.get("enabled", enabled)
    if isinstance(thinking := fields.get("thinking"), dict):  # Anthropic's word, DeepSeek's and Zhipu's too
        enabled, budget = thinking.get("type") != "disabled", thinking.get("budget_tokens", budget)
    if effort is None and budget is None and enabled is None:
        return None
    return Reasoning(effort=effort, budget=budget, enabled=enabled)


def _output(form: Any) -> OutputFormat | None:
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "json_object":
        return OutputFormat("json_object")
    if kind != "json_schema":
        return None
    schema = form["json_schema"]
    return OutputFormat(
        "json_schema",
        schema=schema.get("schema") or {},
        name=schema.get("name"),
        description=schema.get("description"),
        strict=schema.get("strict"),
    )


def _cached(holder: Fields) -> Mapping[str, Any] | None:
    """Anthropic's mark for the prompt cache, which several gateways take in Chat's parts too."""
    mark = holder.get("cache_control")
    return mark if isinstance(mark, dict) else None
