"""Tools in the form of the Responses API, and the one name that each goes by in other dialects.

Tools may be grouped in namespaces (https://platform.openai.com/docs/guides/function-calling), which no other
dialect has: there a tool's name begins with its namespace. Both the request and the rendering of the answer
derive the names from the tools in the request's body.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from tidegate.core.tool import HostedTool, ToolChoice, ToolDefinition
from tidegate.dialects.openai_responses.usage import NAME
from tidegate.errors import InvalidRequest

Fields = dict[str, Any]

_LONGEST_NAME: Final = 64
_DIGEST: Final = 8
_MODES: Final = ("auto", "none", "required")


class Called(NamedTuple):
    """A tool as the caller knows it."""

    name: str
    namespace: str | None = None
    custom: bool = False


def flat_name(name: str, namespace: str | None) -> str:
    """The name of a tool where there are no namespaces, of at most 64 characters."""
    if not namespace:
        return name
    flat = f"{namespace}{name}" if namespace.endswith("_") else f"{namespace}__{name}"
    if len(flat) <= _LONGEST_NAME:
        return flat
    digest = hashlib.sha256(flat.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{flat[: _LONGEST_NAME - _DIGEST - 1]}_{digest}"


def called(tools: Any) -> dict[str, Called]:
    """The tools that a caller runs, by the names that other dialects know them under."""
    found: dict[str, Called] = {}
    for tool, namespace in _each(tools):
        if tool.get("type") in ("function", "custom") and isinstance(tool.get("name"), str):
            name = tool["name"]
            found.setdefault(flat_name(name, namespace), Called(name, namespace, tool["type"] == "custom"))
    return found


def read_tools(tools: Any) -> Iterator[ToolDefinition | HostedTool]:
    """The tools of a request in no dialect."""
    for tool, namespace in _each(tools):
        kind = tool.get("type")
        if kind == "function":
            yield ToolDefinition(
                name=flat_name(tool["name"], namespace),
                description=tool.get("description"),
                parameters=tool.get("parameters"),
                strict=tool.get("strict"),
            )
        elif kind == "custom":
            yield ToolDefinition(
                name=flat_name(tool["name"], namespace),
                description=tool.get("description"),
                custom=True,
                format=tool.get("format"),
            )
        else:
            yield HostedTool(NAME, tool)


def _each(tools: Any) -> Iterator[tuple[Fields, str | None]]:
    """Every tool with its namespace."""
    for tool in tools if isinstance(tools, list) else ():
        if not isinstance(tool, dict):
            raise ValueError("a tool is not an object")
        if tool.get("type") == "namespace":
            for inner in tool.get("tools") or ():
                yield inner, tool.get("name")
        else:
            yield tool, None


def read_choice(choice: Any) -> ToolChoice | None:
    """Which tools may be called, in no dialect."""
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice not in _MODES:
            raise InvalidRequest(
                f"'tool_choice' must be auto, none, required or an object, not {choice!r}",
                param="tool_choice",
            )
        return ToolChoice(cast(Any, choice))
    kind = choice.get("type")
    if kind == "allowed_tools":
        named = [tool for tool in choice.get("tools") or () if isinstance(tool.get("name"), str)]
        names = tuple(flat_name(tool["name"], tool.get("namespace")) for tool in named)
        return ToolChoice("required" if choice.get("mode") == "required" else "auto", names)
    if kind in ("function", "custom"):
        return ToolChoice("tool", (flat_name(choice["name"], choice.get("namespace")),))
    return None  # a tool that the upstream would run: there is none, once the tool itself is dropped


def write_tool(tool: ToolDefinition | HostedTool) -> Fields:
    """A tool of another dialect."""
    if isinstance(tool, HostedTool):
        return dict(tool.value)
    written: Fields = {"type": "custom" if tool.custom else "function", "name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    if tool.custom:
        if tool.format is not None:
            written["format"] = _flat_format(tool.format)
        return written
    written["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    written["strict"] = bool(tool.strict)  # elsewhere the default is false, and true here
    return written


def _flat_format(form: Mapping[str, Any]) -> Fields:
    """A custom tool's format, whose grammar Chat keeps in an object of its own."""
    inner = form.get("grammar")
    return {"type": form.get("type"), **inner} if isinstance(inner, dict) else dict(form)


def write_choice(choice: ToolChoice, tools: Mapping[str, bool]) -> Any:
    """Which tools may be called; ``tools`` says of each name whether it is a custom tool."""
    named = [{"type": "custom" if tools.get(name) else "function", "name": name} for name in choice.names]
    if choice.mode == "tool":
        return named[0]
    return {"type": "allowed_tools", "mode": choice.mode, "tools": named} if named else choice.mode


def echo_tools(tools: Any) -> list[Any]:
    """The tools of a request as its response repeats them, with the members that the schema requires."""
    return [
        {**tool, **{name: tool.get(name) for name in ("description", "parameters", "strict")}}
        if isinstance(tool, dict) and tool.get("type") == "function"
        else tool
        for tool in (tools if isinstance(tools, list) else ())
    ]
