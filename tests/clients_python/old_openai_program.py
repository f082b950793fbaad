"""A program for a process whose path brings an old openai SDK: does what the lines of its input say.

A line is TASK BASE_URL; the answer is a line of JSON, a list of what was read."""

# ruff: noqa: T201 - the test reads what is printed

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import openai

import tidegate.client

MESSAGES: Any = [{"role": "user", "content": "x"}]


def blocking(base_url: str) -> list[str]:
    client = openai.OpenAI(base_url=base_url, api_key="k", max_retries=0)
    text = ""
    problem = ""
    try:
        for part in client.chat.completions.create(model="m", messages=MESSAGES, stream=True):
            text += part.choices[0].delta.content or ""
    except openai.APIError as raised:
        problem = type(raised).__name__
    return [text, problem]


async def asynchronous(base_url: str) -> list[str]:
    client = openai.AsyncOpenAI(base_url=base_url, api_key="k", max_retries=0)
    text = ""
    problem = ""
    try:
        async for part in await client.chat.completions.create(model="m", messages=MESSAGES, stream=True):
            text += part.choices[0].delta.content or ""
    except openai.APIError as raised:
        problem = type(raised).__name__
    return [text, problem]


def whole(base_url: str) -> list[str]:
    client = openai.OpenAI(base_url=base_url, api_key="k", max_retries=0)
    return [client.chat.completions.create(model="m", messages=MESSAGES).choices[0].message.content or ""]


def tools(base_url: str) -> list[str]:
    client = openai.OpenAI(base_url=base_url, api_key="k", max_retries=0)
    stream: Any = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    name = arguments = ""
    for part in stream:
        for call in part.choices[0].delta.tool_calls or []:
            name += call.function.name or ""
            arguments += call.function.arguments or ""
    return [name, arguments]


def resilient(base_url: str) -> list[str]:
    """Through the transport that survives lost connections, made for the HTTP library of this SDK."""
    http: Any = import_module("httpx")
    client = openai.OpenAI(
        base_url=base_url, api_key="k", max_retries=0, http_client=tidegate.client.resilient(http)
    )
    text = ""
    for part in client.chat.completions.create(model="m", messages=MESSAGES, stream=True):
        text += part.choices[0].delta.content or ""
    return [text]


async def resilient_async(base_url: str) -> list[str]:
    """The same, awaited."""
    http: Any = import_module("httpx")
    client = openai.AsyncOpenAI(
        base_url=base_url, api_key="k", max_retries=0, http_client=tidegate.client.resilient_async(http)
    )
    text = ""
    async for part in await client.chat.completions.create(model="m", messages=MESSAGES, stream=True):
        text += part.choices[0].delta.content or ""
    return [text]


def version(base_url: str) -> list[str]:
    return [openai.__version__]


TASKS: dict[str, Callable[[str], list[str]]] = {
    "version": version,
    "blocking": blocking,
    "asynchronous": lambda base_url: asyncio.run(asynchronous(base_url)),
    "whole": whole,
    "tools": tools,
    "resilient": resilient,
    "resilient-async": lambda base_url: asyncio.run(resilient_async(base_url)),
}

if __name__ == "__main__":
    for line in sys.stdin:
        task, url = line.split()
        print(json.dumps(TASKS[task](url)), flush=True)
