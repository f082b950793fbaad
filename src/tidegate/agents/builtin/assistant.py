"""Answers with the help of tools: those that the settings name, of Python modules and of MCP servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

from tidegate.agents import AgentError, AgentRequest, AgentTool, Context, agent

_STEPS = 10


@agent("assistant", description="Answers with the help of tools.")
async def assistant(request: AgentRequest, context: Context) -> AsyncIterator[str]:
    """Go on with the conversation, with tools.

    Which tools there are is the operator's choice and no caller's: the options ``tools`` ("module:name" of
    functions that are declared with @tool), ``mcp`` (names of servers), ``workspaces`` (slugs of those to
    search, each the caller's own), ``system``, ``max_tokens`` and ``timeout`` are read from the settings
    alone. ``max_steps`` in a request lowers what the settings allow.
    """
    tools = [_tool(each) for each in request.setting("tools", [])]
    tools += await context.mcp(*request.setting("mcp", []))
    tools += await context.workspaces(*request.setting("workspaces", []))
    messages: list[dict[str, Any]] = list(request.messages)
    if system := request.setting("system"):
        messages.insert(0, {"role": "system", "content": str(system)})
    said = context.run_tools(
        None,
        messages,
        tools,
        max_steps=_steps(request),
        max_tokens=request.setting("max_tokens"),
        timeout=request.setting("timeout"),
    )
    async for piece in said:
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


def _steps(request: AgentRequest) -> int:
    """How many turns of calls there may be: the fewer of what the settings and the request say."""
    most = request.setting("max_steps", _STEPS)
    wanted = request.option("max_steps", most)
    return min(wanted, most) if isinstance(wanted, int) and wanted > 0 else int(most)
