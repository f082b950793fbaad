"""Agents of other frameworks as ours: pydantic-ai, LangGraph and the OpenAI Agents SDK.

None of them is imported here: an object is known by the module that its class comes from, and only those are
installed that the operator's own code imports. What they spend is counted as they tell it; what they ask goes
to whatever models they are set up with, this gateway among them.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, Final

from tidegate.agents.agent import Agent, AgentError, Function
from tidegate.agents.context import Context
from tidegate.agents.request import AgentRequest
from tidegate.core.usage import Usage
from tidegate.errors import ConfigError

logger = logging.getLogger("tidegate")

_SHOWN: Final = 200


def framework_agent(name: str, path: str) -> Agent:
    """The agent for the object at ``module:object``. Raises ConfigError for one that is no agent."""
    module, _, attribute = path.partition(":")
    try:
        found = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"models.{name}.agent: {path} cannot be loaded: {reason}.") from error
    if isinstance(found, Agent):
        return found
    adapter, family = _adapter(found)
    if adapter is None:
        raise ConfigError(
            f"models.{name}.agent: {path} is a {type(found).__name__}, and neither an @agent nor an agent of "
            "pydantic-ai, LangGraph or the OpenAI Agents SDK."
        )
    try:
        function = adapter(found)
    except ImportError as error:
        raise ConfigError(f"models.{name}.agent: {path}: {error}.") from error
    return Agent(name, _once(function), f"{path}, an agent of {family}", on_disconnect="cancel")


def _adapter(found: object) -> tuple[Callable[[Any], Function] | None, str]:
    """What adapts an object, and the framework that its class, or one that it inherits from, is part of."""
    for each in type(found).__mro__:
        for family, (module, adapter) in _ADAPTERS.items():
            if each.__module__ == module or each.__module__.startswith(f"{module}."):
                return adapter, family
    return None, ""


def _once(function: Function) -> Function:
    """What another framework does is not known step by step, so that it cannot be done again safely."""

    async def run(request: AgentRequest, context: Context) -> AsyncIterator[str]:
        if context.again:
            raise AgentError("the gateway was stopped while the agent ran; nobody knows what it has done")
        async for piece in function(request, context):
            yield piece

    return run


# ---- pydantic-ai: https://ai.pydantic.dev/agents/#streaming-all-events ----


def _pydantic_ai(agent: Any) -> Function:
    from pydantic_ai import messages as words  # noqa: PLC0415 - the operator's
    from pydantic_ai.usage import RunUsage  # noqa: PLC0415

    async def run(request: AgentRequest, context: Context) -> AsyncIterator[str]:
        text, history = _pydantic_history(request, words)
        result: Any = None
        shown = False
        used = RunUsage()
        running = agent.run_stream_events(text, message_history=history, usage=used)
        async with _counted(context, used), running as events:
            async for event in events:
                if isinstance(event, words.PartStartEvent) and isinstance(event.part, words.TextPart):
                    piece = event.part.content
                elif isinstance(event, words.PartDeltaEvent) and isinstance(event.delta, words.TextPartDelta):
                    piece = event.delta.content_delta
                elif isinstance(event, words.PartDeltaEvent):
                    thought = event.delta
                    context.think(_thought(thought) if isinstance(thought, words.ThinkingPartDelta) else "")
                    continue
                elif isinstance(event, words.FunctionToolCallEvent):
                    _called(context, event.part.tool_name, event.part.args)
                    continue
                elif isinstance(event, words.FunctionToolResultEvent):
                    _returned(context, event.part.tool_name, getattr(event.part, "content", ""))
                    continue
                else:
                    result = getattr(event, "result", result)
                    continue
                if piece:
                    shown = True
                    yield piece
        if result is None:
            raise AgentError("the agent ended without a result")
        if not shown:  # an output of a type of its own comes as the call of a tool
            yield _plain(result.output)

    return run


@asynccontextmanager
async def _counted(context: Context, used: Any) -> AsyncIterator[None]:
    """Count what was spent, also by a run that is cut."""
    try:
        yield
    finally:
        context.count(
            Usage(
                input_tokens=used.input_tokens,
                output_tokens=used.output_tokens,
                cached_tokens=used.cache_read_tokens,
                cache_write_tokens=used.cache_write_tokens,
            )
        )


def _pydantic_history(request: AgentRequest, words: Any) -> tuple[str, list[Any]]:
    """What is asked, and what was said before."""
    *before, last = request.messages
    history: list[Any] = []
    for message in before:
        content = _text(message)
        if message["role"] == "assistant":
            history.append(words.ModelResponse(parts=[words.TextPart(content)]))
        elif message["role"] in ("system", "developer"):
            history.append(words.ModelRequest(parts=[words.SystemPromptPart(content)]))
        else:
            history.append(words.ModelRequest(parts=[words.UserPromptPart(content)]))
    return _text(last), history


def _thought(delta: Any) -> str:
    return delta.content_delta or ""


# ---- LangGraph: https://docs.langchain.com/oss/python/langgraph/streaming ----


def _langgraph(graph: Any) -> Function:
    async def run(request: AgentRequest, context: Context) -> AsyncIterator[str]:
        modes = ["messages", "updates"]
        last = ""
        shown = False
        async for mode, value in graph.astream({"messages": request.messages}, stream_mode=modes):
            if mode == "messages":
                message = value[0]
                piece = _text({"content": message.content}) if message.type == "AIMessageChunk" else ""
                if piece:
                    shown = True
                    yield piece
                _count_langchain(context, message)
                continue
            for node, update in value.items():
                context.status(f"{node}", node=node)
                for message in (update or {}).get("messages", []) if isinstance(update, Mapping) else []:
                    for call in getattr(message, "tool_calls", None) or []:
                        _called(context, call["name"], call["args"])
                    if getattr(message, "type", "") == "tool":
                        _returned(context, message.name or "tool", message.content)
                    elif getattr(message, "type", "") == "ai":
                        last = _text({"content": message.content})
        if not shown and last:  # its model does not stream
            yield last

    return run


def _count_langchain(context: Context, message: Any) -> None:
    used = getattr(message, "usage_metadata", None)
    if used:
        cached = (used.get("input_token_details") or {}).get("cache_read") or 0
        context.count(
            Usage(
                input_tokens=used["input_tokens"], output_tokens=used["output_tokens"], cached_tokens=cached
            )
        )


# ---- OpenAI Agents SDK: https://openai.github.io/openai-agents-python/streaming/ ----


def _openai_agents(agent: Any) -> Function:
    from agents import Runner  # noqa: PLC0415 - the operator's

    async def run(request: AgentRequest, context: Context) -> AsyncIterator[str]:
        asked = [{"role": each["role"], "content": _text(each)} for each in request.messages]
        running = Runner.run_streamed(agent, asked)
        shown = False
        try:
            async for event in running.stream_events():
                if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                    shown = True
                    yield event.data.delta
                elif event.type == "run_item_stream_event":
                    _tell_item(context, event.item)
                elif event.type == "agent_updated_stream_event":
                    context.status(f"{event.new_agent.name} goes on", agent=event.new_agent.name)
        finally:
            used = running.context_wrapper.usage
            details = getattr(used, "input_tokens_details", None)
            context.count(
                Usage(
                    input_tokens=used.input_tokens,
                    output_tokens=used.output_tokens,
                    cached_tokens=getattr(details, "cached_tokens", None) or 0,
                )
            )
            running.cancel()
        if not shown:
            yield _plain(running.final_output)

    return run


def _tell_item(context: Context, item: Any) -> None:
    if item.type == "tool_call_item":
        _called(context, getattr(item.raw_item, "name", "a tool"), getattr(item.raw_item, "arguments", ""))
    elif item.type == "tool_call_output_item":
        _returned(context, "tool", item.output)


_ADAPTERS: Final[Mapping[str, tuple[str, Callable[[Any], Function]]]] = {
    "pydantic-ai": ("pydantic_ai", _pydantic_ai),
    "LangGraph": ("langgraph", _langgraph),
    "the OpenAI Agents SDK": ("agents.agent", _openai_agents),  # others may have a package called agents
}
"""By the name of each framework: the module of its agents, and what adapts one."""


def _called(context: Context, name: str, arguments: object) -> None:
    told = _short(arguments)
    context.status(f"→ {name}({told})", tool=name, arguments=told)


def _returned(context: Context, name: str, result: object) -> None:
    told = _short(result)
    context.status(f"← {name}: {told}", tool=name, result=told)


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _text(message: Mapping[str, Any]) -> str:
    """The words of a message, whose content may be a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(each.get("text", "") if isinstance(each, Mapping) else str(each) for each in parts)


def _plain(output: Any) -> str:
    """A result that was never said as text."""
    if isinstance(output, str):
        return output
    as_json = getattr(output, "model_dump_json", None)
    return as_json() if callable(as_json) else str(output)
