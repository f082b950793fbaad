"""The built-in demo model: a short, honest, deterministic answer, so that everything works before a key.

It says what it is and echoes the question. It calls a tool once, when a call is required or exactly one
tool is offered, and never after a tool's result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec

from tidegate.core.event import AnyEvent, End, Finish, Start, Text, Tool
from tidegate.core.request import Request
from tidegate.core.source import Output
from tidegate.core.usage import Usage

_LONGEST_ECHO = 400
_MOST_INSTANT = 64
"""Tokens that are emitted at once when there is no pace to keep."""


class DemoSource:
    """Answers at a steady pace: ``delay`` seconds before each token."""

    def __init__(self, delay: float) -> None:
        self._delay = delay

    async def run(self, request: Request, out: Output) -> None:
        """See :class:`tidegate.core.source.Source`."""
        fields = {name: msgspec.json.decode(raw) for name, raw in request.fields.items() if name in _READ}
        messages = [message for message in fields.get("messages") or [] if isinstance(message, dict)]
        question = _question(messages)
        tool = _tool_to_call(fields, messages)
        out.emit(Start(model=None))
        said: list[AnyEvent] = list(_call(tool, question) if tool else _answer(question, _results(messages)))
        limit = fields.get("max_completion_tokens") or fields.get("max_tokens")
        cut = isinstance(limit, int) and len(said) > limit
        if cut:
            said = said[:limit]
        await self._say(said, request.choices, out)
        reason = "length" if cut else "tool_calls" if tool else "stop"
        usage = Usage(
            input_tokens=sum(len(_tokens(_text(message))) for message in messages),
            output_tokens=len(said) * request.choices,
        )
        ends: list[AnyEvent] = [Finish(reason=reason, choice=choice) for choice in range(request.choices)]
        out.emit_all([*ends, End(outcome="completed", usage=usage)])

    async def _say(self, said: list[AnyEvent], choices: int, out: Output) -> None:
        step = 1 if self._delay else _MOST_INSTANT
        for begin in range(0, len(said), step):
            await out.ready()
            await asyncio.sleep(self._delay)
            events = said[begin : begin + step]
            for choice in range(choices):
                out.emit_all([msgspec.structs.replace(event, choice=choice) for event in events])


_READ = frozenset({"messages", "tools", "tool_choice", "functions", "max_tokens", "max_completion_tokens"})


def _answer(question: str, results: list[str]) -> Iterator[AnyEvent]:
    text = "This is the demo model of Tidegate: it streams, but it does not think. "
    if results:
        text += f"The tool answered: {results[-1][:_LONGEST_ECHO]}\n\n"
    elif question:
        text += f"You asked:\n\n> {question[:_LONGEST_ECHO]}\n\n"
    else:
        text += "You asked nothing.\n\n"
    text += (
        "For real answers set a key such as `OPENAI_API_KEY`, start a local server such as Ollama, or name a "
        "model file with `--gguf`, and start the gateway again; `tidegate doctor` says what it found."
    )
    for token in _tokens(text):
        yield Text(text=token)


def _call(tool: dict[str, Any], question: str) -> Iterator[AnyEvent]:
    arguments = msgspec.json.encode(_arguments(tool.get("parameters") or {}, question)).decode()
    yield Tool(arguments="", name=str(tool["name"]))
    for token in _tokens(arguments):
        yield Tool(arguments=token)


def _arguments(schema: dict[str, Any], question: str) -> dict[str, Any]:
    """Values that fit the required properties of a JSON schema, the question where a string is wanted."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return {}
    names = schema.get("required") or list(properties)
    return {
        name: _value(properties[name], question) for name in names if isinstance(properties.get(name), dict)
    }


def _value(schema: dict[str, Any], question: str) -> Any:
    if schema.get("enum"):
        return schema["enum"][0]
    match schema.get("type"):
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return True
        case "array":
            return []
        case "object":
            return _arguments(schema, question)
        case "null":
            return None
        case _:
            return question[:_LONGEST_ECHO]


def _tool_to_call(fields: dict[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The function to call: the one that is required, or the only one, unless a result has come back."""
    if messages and messages[-1].get("role") in ("tool", "function"):
        return None
    tools = [tool.get("function") for tool in fields.get("tools") or [] if isinstance(tool, dict)]
    functions = [each for each in tools if isinstance(each, dict) and each.get("name")]
    wanted = fields.get("tool_choice")
    if wanted == "none" or not functions:
        return None
    if isinstance(wanted, dict):
        name = (wanted.get("function") or {}).get("name")
        return next((each for each in functions if each["name"] == name), None)
    if wanted == "required" or len(functions) == 1:
        return functions[0]
    return None


def _results(messages: list[dict[str, Any]]) -> list[str]:
    if messages and messages[-1].get("role") in ("tool", "function"):
        return [_text(messages[-1])]
    return []


def _question(messages: list[dict[str, Any]]) -> str:
    return next((_text(each).strip() for each in reversed(messages) if each.get("role") == "user"), "")


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return " ".join(part for part in parts if isinstance(part, str))
    return ""


def _tokens(text: str) -> list[str]:
    """Pieces of about a token: a word with the space before it, in parts of at most eight characters."""
    pieces: list[str] = []
    for word in text.replace(" ", "\x00 ").split("\x00"):
        pieces.extend(word[at : at + 8] for at in range(0, len(word), 8))
    return pieces
