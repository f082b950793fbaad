"""Agents of pydantic-ai: for each line DIALECT-TASK URL MODEL that is read, prints one JSON value."""

# ruff: noqa: T201 - the test reads what is printed

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

QUESTION = "Weather in Paris and Rome?"


def model_of(dialect: str, url: str, name: str) -> Any:
    if dialect == "messages":
        return AnthropicModel(name, provider=AnthropicProvider(base_url=url, api_key="sk-test"))
    provider = OpenAIProvider(base_url=f"{url}/v1", api_key="sk-test")
    return (OpenAIResponsesModel if dialect == "responses" else OpenAIChatModel)(name, provider=provider)


async def text(agent: Any) -> Any:
    pieces = []
    async with agent.run_stream(QUESTION) as answer:
        async for piece in answer.stream_text(delta=True, debounce_by=None):
            pieces.append(piece)  # noqa: PERF401 - as it is written everywhere
        usage = answer.usage
    return {
        "text": "".join(pieces),
        "pieces": len(pieces),
        "usage": [usage.input_tokens, usage.output_tokens],
    }


async def tools(agent: Any) -> Any:
    asked: list[str] = []

    def look(place: str) -> str:
        """The weather of a place."""
        asked.append(place)
        return f"sunny in {place}"

    agent.tool_plain(look)
    spoken = ""
    async with agent.run_stream_events(QUESTION) as events:
        async for event in events:
            if event.event_kind == "agent_run_result":
                spoken = event.result.output
    return {"text": spoken, "asked": sorted(asked)}


async def broken(agent: Any) -> Any:
    seen = ""
    try:
        async with agent.run_stream(QUESTION) as answer:
            async for piece in answer.stream_text(delta=True, debounce_by=None):
                seen += piece
    except Exception as problem:
        # Whatever it is, the test judges it.
        return {"text": seen, "raised": type(problem).__name__, "message": str(problem)}
    return {"text": seen, "raised": None}


async def answer_all() -> None:
    """On one loop, for the SDKs keep their connections from one task to the next."""
    for line in sys.stdin:
        which, url, name = line.split()
        dialect, task = which.split("-")
        agent = Agent(model_of(dialect, url, name))
        print(json.dumps(await {"text": text, "tools": tools, "broken": broken}[task](agent)), flush=True)


if __name__ == "__main__":
    asyncio.run(answer_all())
