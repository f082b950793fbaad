"""The loop of an agent that uses tools: the model says what to call, and is told what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from tidegate.agents.agent import AgentError
from tidegate.agents.asking import Asking, Call
from tidegate.agents.steps import Step
from tidegate.agents.tool import AgentTool

_SHOWN: Final = 200
_ENOUGH: Final = "That was the last call of a tool. Answer now, with what you have."
_UNKNOWN: Final = (
    "Error: the gateway was stopped while this ran. It may have been done or not: find out before you do it "
    "again."
)
_REFUSED: Final = "Error: a person was asked, and did not allow this call. Do not try it again."


class Run(Struct, frozen=True):
    """What the loop needs of the run that it is part of."""

    ask: Callable[..., Asking]
    step: Callable[[str, Callable[[], Awaitable[Any]]], Step]
    done: Callable[[str], bool]
    status: Callable[..., None]
    approve: Callable[[str, Mapping[str, Any]], Awaitable[bool]]
    """Ask a person, who is told all of what is to be done; no answer is a no."""


class Limits(Struct, frozen=True):
    """When the loop has to end: turns with calls, tokens of all its questions, seconds."""

    steps: int
    tokens: int | None
    seconds: float | None


class ToolLoop:
    """One loop. ``name`` is unique within the run: it is a part of the names of its steps."""

    def __init__(
        self,
        run: Run,
        name: str,
        model: str | None,
        tools: Sequence[AgentTool],
        limits: Limits,
        fields: Mapping[str, Any],
    ) -> None:
        self._run = run
        self._name = name
        self._model = model
        self._tools = _by_name(tools)
        self._limits = limits
        self._fields = fields
        self._spent = 0
        self._until = None if limits.seconds is None else time.monotonic() + limits.seconds

    async def run(self, messages: Sequence[Mapping[str, Any]]) -> AsyncIterator[str]:
        """The text that the model says, from its first word to its last."""
        said: list[Mapping[str, Any]] = list(messages)
        turn = 0
        while True:
            turn += 1
            reached = self._reached(turn)
            if reached is not None:
                self._run.status(reached)
                said.append({"role": "user", "content": _ENOUGH})
            asked = self._ask(said, last=reached is not None)
            async for piece in asked:
                yield piece
            if asked.usage is not None:
                self._spent += asked.usage.input_tokens + asked.usage.output_tokens
            if reached is not None or not asked.calls:
                return
            said.append(_answer(asked))
            said += await self._call_all(turn, asked.calls)

    async def call(self, call: Call) -> str:
        """Make one call that no model has asked for."""
        (told,) = await self._call_all(1, [call])
        result: str = told["content"]
        return result

    def _reached(self, turn: int) -> str | None:
        """Which limit does not allow another call."""
        limits = self._limits
        if turn > limits.steps:
            return f"No more tools: {limits.steps} steps are over"
        if limits.tokens is not None and self._spent >= limits.tokens:
            return f"No more tools: {limits.tokens} tokens are spent"
        if self._until is not None and time.monotonic() >= self._until:
            return f"No more tools: {limits.seconds:g} s are over"
        return None

    def _ask(self, messages: Sequence[Mapping[str, Any]], *, last: bool) -> Asking:
        fields = dict(self._fields)
        if self._tools:
            fields["tools"] = [tool.as_chat() for tool in self._tools.values()]
            if last:
                fields["tool_choice"] = "none"
        return self._run.ask(self._model, messages, **fields)

    async def _call_all(self, turn: int, calls: Sequence[Call]) -> list[dict[str, Any]]:
        """Make the calls of one turn at the same time; what is told of them is in their order."""
        for call in calls:
            told = f"{call.name}({_short(call.arguments)})"
            self._run.status(
                f"→ {told}", tool=call.name, call=call.call_id, arguments=call.arguments[:_SHOWN]
            )
        allowed = [await self._allowed(call) for call in calls]
        results = await asyncio.gather(
            *(
                self._called(f"{self._name}-{turn}-{number}", call, may=may)
                for number, (call, may) in enumerate(zip(calls, allowed, strict=True), 1)
            )
        )
        for call, result in zip(calls, results, strict=True):
            told = _short(result)
            self._run.status(f"← {call.name}: {told}", tool=call.name, result=told)
        return [
            {"role": "tool", "tool_call_id": call.call_id, "content": result}
            for call, result in zip(calls, results, strict=True)
        ]

    async def _allowed(self, call: Call) -> bool:
        tool = self._tools.get(call.name)
        if tool is None or not tool.approval:
            return True
        # Whoever allows it must see all of it: what was cut off could be the worst part.
        about = {"tool": call.name, "arguments": call.arguments}
        asked_at = time.monotonic()
        allowed = await self._run.approve(f"Allow {call.name}({call.arguments})?", about)
        if self._until is not None:  # while a person is waited for, no deadline goes on
            self._until += time.monotonic() - asked_at
        return allowed

    async def _called(self, step: str, call: Call, *, may: bool) -> str:
        """What came of a call: once, whatever happens."""
        tool = self._tools.get(call.name)
        if tool is None:
            return f"Error: there is no tool {call.name!r}; there are: {', '.join(self._tools)}"
        if not may:
            return _REFUSED
        begun = f"{step}-begun"
        lost = not tool.repeatable and self._run.done(begun) and not self._run.done(step)

        async def work() -> str:
            return _UNKNOWN if lost else await tool.call(call.arguments)

        if not tool.repeatable:
            await self._run.step(begun, _yes)
        result: str = await self._run.step(step, work)
        return result


def _by_name(tools: Sequence[AgentTool]) -> dict[str, AgentTool]:
    """Raises AgentError for two of one name: a call of the one must never reach the other."""
    found: dict[str, AgentTool] = {}
    for tool in tools:
        if found.setdefault(tool.name, tool) is not tool:
            raise AgentError(
                f"there are two tools called {tool.name!r}; leave one out or rename it", status=500
            )
    return found


async def _yes() -> bool:
    return True


def _answer(asked: Asking) -> dict[str, Any]:
    """What the model said, as it is given back to it."""
    calls = [
        {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in asked.calls
    ]
    return {"role": "assistant", "content": asked.text or None, "tool_calls": calls}


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
