"""How a tool call is told: in the form in which the client declared its tools.

Functions by default. A client that sent the legacy ``functions`` knows one ``function_call`` and no more; the
input of a custom tool, which another dialect's upstream wrote as the argument of a function, is free text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from tidegate.core.event import Extra, Finish, Tool
from tidegate.core.request import Header
from tidegate.dialects.translation.customs import input_of
from tidegate.wire.ascii_json import ascii_json, quote

_NOTHING: Extra = {}


class _Custom(Struct):
    name: str = ""


class _Tool(Struct):
    type: str = "function"
    custom: _Custom | None = None


class _Asked(Struct):
    functions: list[Any] | None = None
    tools: list[_Tool] | None = None


class Declared:
    """What a client's request says about its tools: ``legacy``, and the names of its custom ones."""

    def __init__(self, header: Header) -> None:
        body = header.body if header.dialect == "openai-chat" else b""
        asked = _Asked()
        if b'"functions"' in body or b'"custom"' in body:
            try:
                asked = msgspec.json.decode(body, type=_Asked)
            except msgspec.DecodeError:  # the upstream has taken it, whatever it is
                pass
        self.legacy = bool(asked.functions) and not asked.tools
        self.customs = frozenset(tool.custom.name for tool in asked.tools or () if tool.custom is not None)

    def custom(self, name: str | None, custom: bool, extra: Mapping[str, Any]) -> bool:
        """Whether a call is one of a custom tool, other than in an upstream's own words."""
        return "type" not in extra and (custom or name in self.customs)

    def reason(self, reason: str) -> str:
        """The finish reason, in the client's words."""
        return "function_call" if self.legacy and reason == "tool_calls" else reason


class CallWriter:
    """Writes the deltas of a stream's tool calls."""

    __slots__ = ("_declared", "_header", "_held", "_positions")

    def __init__(self, header: Header) -> None:
        self._header = header
        self._declared: Declared | None = None
        self._positions: dict[tuple[int, int], int] = {}
        self._held: dict[tuple[int, int], list[Tool]] = {}

    @property
    def declared(self) -> Declared:
        """Read when a stream has its first call: most have none."""
        if self._declared is None:
            self._declared = Declared(self._header)
        return self._declared

    def holds(self, event: Tool) -> bool:
        """Keep an event that has no form of its own; :meth:`release` tells what it was part of."""
        key, declared = (event.choice, event.block), self.declared
        held = self._held.get(key)
        if held is None:
            if key in self._positions:
                return False
            first = not any(choice == event.choice for choice, _ in (*self._positions, *self._held))
            extra = (event.extra or _NOTHING).get("tool", _NOTHING)
            if first and declared.legacy:
                return False
            if not declared.legacy and not declared.custom(event.name, event.custom, extra):
                return False
            held = self._held[key] = []
        held.append(event)
        return True

    def release(self, finish: Finish) -> Iterator[str]:
        """The deltas of a choice's calls that were held, which are whole by now."""
        for key in [key for key in self._held if key[0] == finish.choice]:
            events = self._held.pop(key)
            if not self.declared.legacy:
                position = self._begin(events[0])
                custom = custom_call(events[0].name, events[0].custom, [each.arguments for each in events])
                call = {"index": position, "id": self._id(events[0], position), "type": "custom"}
                function = {"name": "", "arguments": ""}
                written = ascii_json({**call, "function": function, "custom": custom})
                yield f'{{"tool_calls":[{_nothing_for(position - 1)}{written}]}}'

    def reason(self, finish: Finish, reason: str) -> str:
        """The finish reason of a choice, in the client's words."""
        called = any(choice == finish.choice for choice, _ in self._positions)
        return self.declared.reason(reason) if called else reason

    def begins(self, event: Tool) -> bool:
        """Whether an event is a call's first."""
        return (event.choice, event.block) not in self._positions

    def around(self, event: Tool, extra: Extra) -> tuple[str, str]:
        """What stands before and after the arguments in a call's delta."""
        position = self._positions.get((event.choice, event.block))
        inside, beside = _members(extra.get("function", _NOTHING)), extra.get("tool", _NOTHING)
        if self.declared.legacy:
            name = f'"name":{quote(event.name or "")},' if position is None else ""
            if position is None:
                self._begin(event)
            return f'{{"function_call":{{{name}"arguments":', f"{inside}}}}}"
        if position is not None:
            nothing = _nothing_for(position) if position else ""
            opening = f'{{"tool_calls":[{nothing}{{"index":{position},'
            return f'{opening}"function":{{"arguments":', f"{inside}}}{_members(beside)}}}]}}"
        position = self._begin(event)
        kind = ascii_json(beside.get("type", "function"))
        opening = (
            f'{{"tool_calls":[{_nothing_for(position - 1)}{{"index":{position},'
            f'"id":{quote(self._id(event, position))},"type":{kind},'
            f'"function":{{"name":{quote(event.name or "")},"arguments":'
        )
        beside = {key: value for key, value in beside.items() if key != "type"}
        return opening, f"{inside}}}{_members(beside)}}}]}}"

    def _begin(self, event: Tool) -> int:
        position = sum(choice == event.choice for choice, _ in self._positions)
        self._positions[event.choice, event.block] = position
        return position

    def _id(self, event: Tool, position: int) -> str:
        return event.call_id or f"call_{self._header.id[:20]}{event.choice}{position}"


def custom_call(name: str | None, custom: bool, arguments: Sequence[str]) -> dict[str, str]:
    """The whole call of a custom tool; a function's arguments hold its input."""
    text = "".join(arguments)
    return {"name": name or "", "input": text if custom else input_of(text)}


def _nothing_for(call: int) -> str:
    """An element that adds nothing to a call, to stand before one of a later call; none for call -1.

    Clients that look at the first element alone, whatever its index, would add the arguments of all calls to
    one. The call is that which the client is at: the SDKs' helpers take another index for the end of a call.
    """
    return f'{{"index":{call},"function":{{"arguments":""}}}},' if call >= 0 else ""


def _members(fields: Mapping[str, Any]) -> str:
    return f",{ascii_json(fields)[1:-1]}" if fields else ""
