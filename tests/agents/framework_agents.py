"""Agents of other frameworks, each with a model at the address that the environment gives."""

from __future__ import annotations

import os
from typing import Any

from agents import Agent as SdkAgent
from agents import OpenAIChatCompletionsModel, function_tool, set_tracing_disabled
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from openai import AsyncOpenAI
from pydantic import BaseModel, SecretStr
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

BASE_URL, KEY = os.environ["FRAMEWORK_BASE_URL"], "sk-frameworks"


def weather(city: str) -> str:
    """The weather of a city."""
    return f"{city}: rain"


class Report(BaseModel):
    """A report."""

    city: str
    rain: bool


_model = OpenAIChatModel("mock", provider=OpenAIProvider(base_url=BASE_URL, api_key=KEY))
pydantic_agent = Agent(_model, tools=[weather], instructions="Be brief.")
typed_agent = Agent(_model, output_type=Report)

set_tracing_disabled(True)
sdk_agent = SdkAgent(
    name="sdk",
    instructions="Be brief.",
    model=OpenAIChatCompletionsModel("mock", AsyncOpenAI(base_url=BASE_URL, api_key=KEY)),
    tools=[function_tool(weather)],
)

_chat = ChatOpenAI(
    model="mock", base_url=BASE_URL, api_key=SecretStr(KEY), streaming=True, stream_usage=True
).bind_tools([weather])


async def _ask(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await _chat.ainvoke(state["messages"])]}


_graph = StateGraph(MessagesState)
_graph.add_node("model", _ask)
_graph.add_node("tools", ToolNode([weather]))
_graph.add_edge(START, "model")
_graph.add_conditional_edges("model", tools_condition, {"tools": "tools", END: END})
_graph.add_edge("tools", "model")
graph = _graph.compile()

nothing = object()
