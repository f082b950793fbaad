"""A Messages request in no dialect (https://platform.claude.com/docs/en/api/messages)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from tidegate.core.message import Message
from tidegate.core.request import OutputFormat, Prompt, Reasoning, Request
from tidegate.core.tool import HostedTool, ToolChoice, ToolDefinition
from tidegate.dialects.anthropic_messages.parts import mark_of, read_parts
from tidegate.dialects.anthropic_messages.usage import NAME
from tidegate.dialects.translation.body import decode_fields
from tidegate.errors import InvalidRequest

Fields = dict[str, Any]

_AS_THEY_ARE: Final = ("max_tokens", "temperature", "top_p", "top_k", "service_tier")
_READ: Final = frozenset(
    {
        *_AS_THEY_ARE,
        *("model", "messages", "system", "stream", "fallback_models", "stop_sequences", "metadata"),
        *("tools", "tool_choice", "thinking", "output_config"),
    }
)
_LONGEST_USER: Final = 64
"""Characters that other vendors take to name a user by; a longer name is hashed, and as good to them."""


def read_prompt(request: Request) -> Prompt:
    """See :meth:`tidegate.dialects.api.Dialect.read_prompt`."""
    fields = {name: value for name, value in decode_fields(request.fields).items() if value is not None}
    try:
        choice = fields.get("tool_choice") or {}
        parallel = choice.get("disable_parallel_tool_use")
        metadata: Fields = dict(fields.get("metadata") or {})
        config: Fields = dict(fields.get("output_config") or {})
        user = metadata.pop("user_id", None)
        return Prompt(
            messages=tuple(_messages(fields)),
            tools=tuple(_tools(fields.get("tools") or [])),
            tool_choice=_tool_choice(choice),
            parallel_tools=None if parallel is None else not parallel,
            stop=tuple(fields.get("stop_sequences") or ()),
            reasoning=_reasoning(fields.get("thinking") or {}, config),
            output=_output(config),
            user=_user(user) if user else None,
            metadata=metadata or None,
            extra={name: value for name, value in fields.items() if name not in _READ},
            **{name: fields[name] for name in _AS_THEY_ARE if name in fields},
        )
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise InvalidRequest(f"the request has a field of a shape that cannot be read: {error!r}") from None


def _messages(fields: Fields) -> Iterator[Message]:
    system = tuple(read_parts(fields.get("system"), "system"))
    if system:
        yield Message("system", system)
    for at, message in enumerate(fields["messages"]):
        role, where = message.get("role"), f"messages[{at}]"
        if role not in ("user", "assistant", "system"):
            raise InvalidRequest(
                f"'{where}.role' must be user, assistant or system, not {role!r}", param=f"{where}.role"
            )
        yield Message(role, tuple(read_parts(message.get("content"), f"{where}.content")))


def _tools(tools: list[Fields]) -> Iterator[ToolDefinition | HostedTool]:
    for tool in tools:
        if tool.get("type") not in (None, "custom"):
            yield HostedTool(NAME, tool)  # also those that the caller runs, but only Claude knows
            continue
        yield ToolDefinition(
            name=tool["name"],
            description=tool.get("description"),
            parameters=tool.get("input_schema"),
            strict=tool.get("strict"),
            cache=mark_of(tool),
        )


def _tool_choice(choice: Fields) -> ToolChoice | None:
    kind = choice.get("type")
    match kind:
        case None:
            return None
        case "auto" | "none":
            return ToolChoice(kind)
        case "any":
            return ToolChoice("required")
        case "tool":
            return ToolChoice("tool", (str(choice["name"]),))
    raise InvalidRequest(
        f"'tool_choice.type' must be auto, any, tool or none, not {kind!r}", param="tool_choice.type"
    )


def _reasoning(thinking: Fields, config: Fields) -> Reasoning | None:
    kind, effort = thinking.get("type"), config.get("effort")
    if kind is None and effort is None:
        return None
    return Reasoning(
        effort=effort,
        budget=thinking.get("budget_tokens"),
        enabled=None if kind is None else kind != "disabled",
        summary="auto" if thinking.get("display") == "summarized" else None,
    )


def _output(config: Fields) -> OutputFormat | None:
    form = config.get("format")
    if not form:
        return None
    return OutputFormat("json_schema", schema=form.get("schema") or {}, name=form.get("name"), strict=True)


def _user(user: Any) -> str:
    """Who the end user is, in as many characters as every vendor takes."""
    name = str(user)
    return name if len(name) <= _LONGEST_USER else hashlib.sha256(name.encode()).hexdigest()
