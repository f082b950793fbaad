"""LangChain's chat models: for each line DIALECT-TASK URL MODEL that is read, prints one JSON value."""

# ruff: noqa: T201 - the test reads what is printed

from __future__ import annotations

import json
import sys
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

QUESTION = HumanMessage("Weather in Paris and Rome?")


def look(place: str) -> str:
    """The weather of a place."""
    return f"sunny in {place}"


LOOK = tool(look)


def model_of(dialect: str, url: str, name: str) -> Any:
    if dialect == "messages":
        return ChatAnthropic(model=name, base_url=url, api_key="sk-test", max_retries=0, max_tokens=4000)
    return ChatOpenAI(
        model=name,
        base_url=f"{url}/v1",
        api_key="sk-test",
        max_retries=0,
        stream_usage=True,
        use_responses_api=dialect == "responses",
    )


def streamed(model: Any, turns: list[Any]) -> tuple[Any, int]:
    """The sum of all chunks, as LangChain adds them up, and how many had text."""
    whole: Any = None
    pieces = 0
    for part in model.stream(turns):
        pieces += bool(part.text)
        whole = part if whole is None else whole + part
    return whole, pieces


def text(model: Any) -> Any:
    whole, pieces = streamed(model, [QUESTION])
    usage = whole.usage_metadata
    return {"text": whole.text, "pieces": pieces, "usage": [usage["input_tokens"], usage["output_tokens"]]}


def tools(model: Any) -> Any:
    able, turns = model.bind_tools([LOOK]), [QUESTION]
    asked: list[str] = []
    for round_number in range(4):
        whole, _ = streamed(able, turns)
        if not whole.tool_calls:
            return {"text": whole.text, "asked": asked, "rounds": round_number}
        turns.append(whole)
        for call in whole.tool_calls:
            asked.append(call["args"]["place"])
            turns.append(ToolMessage(LOOK.invoke(call["args"]), tool_call_id=call["id"]))
    return None


def broken(model: Any) -> Any:
    seen = ""
    try:
        for part in model.stream([QUESTION]):
            seen += part.text
    except Exception as problem:
        # Whatever it is, the test judges it.
        return {"text": seen, "raised": type(problem).__name__, "message": str(problem)}
    return {"text": seen, "raised": None}


def answer(which: str, url: str, name: str) -> Any:
    dialect, task = which.split("-")
    return {"text": text, "tools": tools, "broken": broken}[task](model_of(dialect, url, name))


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(*line.split())), flush=True)
