"""Custom tools, which take free text, as functions with one string, for wire formats that lack them."""

from __future__ import annotations

from json import loads
from typing import Any, Final

from tidegate.core.message import CallPart
from tidegate.core.tool import ToolDefinition
from tidegate.wire.ascii_json import ascii_json

_INPUT: Final = "input"


def function_of(tool: ToolDefinition) -> ToolDefinition:
    """A tool as a function; a function is one already."""
    if not tool.custom:
        return tool
    description = tool.description or ""
    form = tool.format or {}
    if form.get("type") == "grammar":
        inner = form.get("grammar")
        grammar = inner if isinstance(inner, dict) else form  # Chat keeps it in an object of its own
        syntax, definition = grammar.get("syntax"), grammar.get("definition")
        description += f"\n\nThe input must match this grammar ({syntax}):\n{definition}"
    schema = {
        "type": "object",
        "properties": {_INPUT: {"type": "string", "description": "The whole input of the tool, as it is."}},
        "required": [_INPUT],
        "additionalProperties": False,
    }
    return ToolDefinition(
        name=tool.name, description=description.strip() or None, parameters=schema, cache=tool.cache
    )


def arguments_of(call: CallPart) -> str:
    """The arguments of an earlier call, as JSON text."""
    return ascii_json({_INPUT: call.arguments}) if call.custom else call.arguments or "{}"


def input_of(arguments: str) -> str:
    """The free text in a function call's arguments, which the model may have written in another form."""
    try:
        value: Any = loads(arguments)
    except ValueError:
        return arguments
    if isinstance(value, dict) and isinstance(value.get(_INPUT), str):
        return str(value[_INPUT])
    return value if isinstance(value, str) else arguments
