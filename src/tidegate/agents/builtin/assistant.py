"""Answers with the help of tools: those that the settings name, of Python modules and of MCP servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

from tidegate.agents import AgentError, AgentRequest, AgentTool, Context, agent

_LIMITS = ("max_steps", "max_tokens", "timeout")


@agent("assistant", description="Answers with the help of tools.")
async def assistant(request: AgentRequest, context: Context) -> AsyncIterator[str]:
    """Go on with the conversation, with tools.

    Which tools there are is the operator's choice and no caller's: the options ``tools`` ("module:name" of
    functions that are declared with @tool), ``mcp`` (names of servers) and ``system`` are read from the
    settings alone. ``max_steps``, ``max_tokens`` and ``timeout`` in a request lower what the settings allow.
    """
    tools = [_tool(each) for each in request.setting("tools", [])]
    tools += await context.mcp(*request.setting("mcp", []))
    messages: list[dict[str, Any]] = list(request.messages)
    if system := request.setting("system"):
        messages.insert(0, {"role": "system", "content": str(system)})
    limits = {
        name: limit for name in ("max_steps", "max_tokens", "timeout") if (limit := _limit(request, name))
    }
    async for piece in context.run_tools(None, messages, tools, **limits):  # type: ignore[arg-type]
        yield piece


def _tool(path: str) -> AgentTool:
    """The tool at ``module:name``."""
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise AgentError(f"the tool {path} cannot be loaded: {error}", status=500) from None
    if not isinstance(found, AgentTool):
        raise AgentError(f"{path} is no tool: declare it with @tool", status=500)
    return found


def _limit(request: AgentRequest, name: str) -> float | int | None:
    """The lower of what the settings and the request say."""
    said = [
        value for value in (request.setting(name), request.option(name)) if isinstance(value, (int, float))
    ]
    return min(said, default=None)
