"""Agents: functions that answer like a model, in every API that the gateway speaks.

::

    from tidegate.agents import agent

    @agent("haiku")
    async def haiku(request, context):
        context.status("thinking of the sea")
        async for piece in context.ask(None, f"A haiku about {request.text}"):
            yield piece
"""

from tidegate.agents.agent import Agent, AgentError, agent
from tidegate.agents.asking import Asking, Call
from tidegate.agents.context import Context
from tidegate.agents.files import SavedFile
from tidegate.agents.questions import InputExpired
from tidegate.agents.request import AgentRequest
from tidegate.agents.tool import AgentTool, ToolError, tool

__all__ = [
    "Agent",
    "AgentError",
    "AgentRequest",
    "AgentTool",
    "Asking",
    "Call",
    "Context",
    "InputExpired",
    "SavedFile",
    "ToolError",
    "agent",
    "tool",
]
