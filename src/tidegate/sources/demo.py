"""The built-in demo model: a short, honest, deterministic answer, so that everything works before a key.

It says what it is and echoes the question. It calls a tool once, when a call is required or exactly one
tool is offered, and never after a tool's result. Where JSON is asked for, it says what fits the schema.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tidegate.core.event import AnyEvent, End, Finish, Start, Text, Tool
from tidegate.core.message import Message, ResultPart, text_of
from tidegate.core.request import OutputFormat, Prompt, Request
from tidegate.core.source import Continues, Output
from tidegate.core.tool import ToolChoice, ToolDefinition
from tidegate.core.usage import Usage
from tidegate.dialects import understand
from tidegate.dialects.translation.customs import function_of
from tidegate.errors import Broken

_LONGEST_ECHO = 400
_WORDS = "A demo"
"""What stands in JSON where a text is wanted."""

_MOST_INSTANT = 64
"""Tokens that are emitted at once when there is no pace to keep."""


class DemoSource:
    """Answers at a steady pace: ``delay`` seconds before each token."""

    def __init__(self, delay: float) -> None:
        self._delay = delay

    def continues(self, request: Request) -> Continues | None:
        """See :class:`tidegate.core.source.Continuing`: it says the same every time."""
        return "exactly"

    async def run(self, request: Request, out: Output) -> None:
        """See :class:`tidegate.core.source.Source`."""
        prompt = understand(request)
        results = _results(prompt.messages)
        tool = None if results else _tool_to_call(prompt)
        question = _question(prompt.messages)
        out.emit(Start(model=None))
        said: list[AnyEvent] = list(_said(prompt, tool, question, results))
        # Below zero is no limit, as for llama.cpp and its kin.
        cut = prompt.max_tokens is not None and 0 <= prompt.max_tokens < len(said)
        if cut:
            said = said[: prompt.max_tokens]
        if request.begun is not None:
            said = list(_after(said, request.begun.text))
        await self._say(said, prompt.choices, out)
        reason = "length" if cut else "tool_calls" if tool else "stop"
        usage = Usage(
            input_tokens=sum(len(_tokens(_text(message))) for message in prompt.messages),
            output_tokens=len(said) * prompt.choices,
        )
        ends: list[AnyEvent] = [Finish(reason=reason, choice=choice) for choice in range(prompt.choices)]
        out.emit_all([*ends, End(outcome="completed", usage=usage)])

    async def _say(self, said: list[AnyEvent], choices: int, out: Output) -> None:
        step = 1 if self._delay else _MOST_INSTANT
        for begin in range(0, len(said), step):
            await out.ready()
            await asyncio.sleep(self._delay)
            events = said[begin : begin + step]
            for choice in range(choices):
                out.emit_all([msgspec.structs.replace(event, choice=choice) for event in events])


def _said(
    prompt: Prompt, tool: ToolDefinition | None, question: str, results: list[str]
) -> Iterator[AnyEvent]:
    if tool is not None:
        return _call(tool, question)
    if prompt.output is not None:
        return _json(prompt.output)
    return _answer(question, results)


def _json(wanted: OutputFormat) -> Iterator[AnyEvent]:
    value = {"answer": _WORDS} if wanted.schema is None else _value(dict(wanted.schema), _WORDS)
    for token in _tokens(msgspec.json.encode(value).decode()):
        yield Text(text=token)


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


def _after(said: list[AnyEvent], begun: str) -> Iterator[AnyEvent]:
    """What is left of an answer of which so much was said. Raises Broken when it begins otherwise."""
    for event in said:
        text = event.text if isinstance(event, Text) else ""
        rest = text[len(begun) :]
        if not text.startswith(begun[: len(text)]):
            raise Broken("the demo model would not have begun its answer like that", retryable=False)
        begun = begun[len(text) :]
        if rest or not text:
            yield msgspec.structs.replace(event, text=rest) if rest else event


def _call(tool: ToolDefinition, question: str) -> Iterator[AnyEvent]:
    arguments = msgspec.json.encode(_arguments(tool.parameters or {}, question)).decode()
    yield Tool(arguments="", name=tool.name)
    for token in _tokens(arguments):
        yield Tool(arguments=token)


def _arguments(schema: Mapping[str, Any], question: str) -> dict[str, Any]:
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
            items = schema.get("items")
            return [_value(items, question)] if isinstance(items, dict) else []
        case "object":
            return _arguments(schema, question)
        case "null":
            return None
        case _:
            return question[:_LONGEST_ECHO]


def _tool_to_call(prompt: Prompt) -> ToolDefinition | None:
    """The tool to call: the one that is required, or the only one."""
    tools = [function_of(tool) for tool in prompt.tools if isinstance(tool, ToolDefinition)]
    choice = prompt.tool_choice or ToolChoice("auto")
    if choice.names:
        tools = [tool for tool in tools if tool.name in choice.names]
    if not tools or choice.mode == "none":
        return None
    return tools[0] if choice.mode in ("required", "tool") or len(tools) == 1 else None


def _results(messages: Sequence[Message]) -> list[str]:
    """What the tools answered, when that is the last thing said."""
    if not messages:
        return []
    return [text_of(part.content) for part in messages[-1].parts if isinstance(part, ResultPart)]


def _question(messages: Sequence[Message]) -> str:
    asked = (_text(each).strip() for each in reversed(messages) if each.role == "user")
    return next((text for text in asked if text), "")


def _text(message: Message) -> str:
    return text_of(message.parts, " ")


def _tokens(text: str) -> list[str]:
    """Pieces of about a token: a word with the space before it, in parts of at most eight characters."""
    pieces: list[str] = []
    for word in text.replace(" ", "\x00 ").split("\x00"):
        pieces.extend(word[at : at + 8] for at in range(0, len(word), 8))
    return pieces
