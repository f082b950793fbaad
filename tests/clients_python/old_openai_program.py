"""A program for a process whose path brings an old openai SDK; takes TASK BASE_URL, prints what it read."""

# ruff: noqa: T201 - the test reads what is printed

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from typing import Any

import openai

import tidegate.client

MESSAGES: Any = [{"role": "user", "content": "x"}]


def blocking(base_url: str) -> None:
    client = openai.OpenAI(base_url=base_url, api_key="k", max_retries=0)
    text = ""
    problem = ""
    try:
        for part in client.chat.completions.create(model="m", messages=MESSAGES, stream=True):
            text += part.choices[0].delta.content or ""
    except openai.APIError as raised:
        problem = type(raised).__name__
    print(repr(text))
    print(problem)


async def asynchronous(base_url: str) -> None:
    client = openai.AsyncOpenAI(base_url=base_url, api_key="k", max_retries=0)
    text = ""
    problem = ""
    try:
        async for part in await client.chat.completions.create(model="m", messages=MESSAGES, stream=True):
            text += part.choices[0].delta.content or ""
    except openai.APIError as raised:
        problem = type(raised).__name__
    print(repr(text))
    print(problem)


def whole(base_url: str) -> None:
    client = openai.OpenAI(base_url=base_url, api_key="k", max_retries=0)
    print(repr(client.chat.completions.create(model="m", messages=MESSAGES).choices[0].message.content))


def tools(base_url: str) -> None:
    client = openai.OpenAI(base_url=base_url, api_key="k", max_retries=0)
    stream: Any = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    name = arguments = ""
    for part in stream:
        for call in part.choices[0].delta.tool_calls or []:
            name += call.function.name or ""
            arguments += call.function.arguments or ""
    print(name, arguments)


def resilient(base_url: str) -> None:
    """Through the transport that survives lost connections, made for the HTTP library of this SDK."""
    http: Any = import_module("httpx")
    client = openai.OpenAI(
        base_url=base_url, api_key="k", max_retries=0, http_client=tidegate.client.resilient(http)
    )
    text = ""
    for part in client.chat.completions.create(model="m", messages=MESSAGES, stream=True):
        text += part.choices[0].delta.content or ""
    print(repr(text))


async def resilient_async(base_url: str) -> None:
    """The same, awaited."""
    http: Any = import_module("httpx")
    client = openai.AsyncOpenAI(
        base_url=base_url, api_key="k", max_retries=0, http_client=tidegate.client.resilient_async(http)
    )
    text = ""
    async for part in await client.chat.completions.create(model="m", messages=MESSAGES, stream=True):
        text += part.choices[0].delta.content or ""
    print(repr(text))


def main(task: str, base_url: str) -> None:
    if task == "version":
        print(openai.__version__)
    elif task == "asynchronous":
        asyncio.run(asynchronous(base_url))
    elif task == "resilient-async":
        asyncio.run(resilient_async(base_url))
    else:
        {"resilient": resilient, "blocking": blocking, "whole": whole, "tools": tools}[task](base_url)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
