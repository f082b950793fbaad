"""A program for a process whose path brings an old anthropic SDK: does what the lines of its input say.

A line is TASK URL; the answer is a line of JSON, what was read."""

# ruff: noqa: T201 - the test reads what is printed

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import anthropic

ASKED: Any = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "x"}]}


def blocking(url: str) -> Any:
    client: Any = anthropic.Anthropic(base_url=url, api_key="k", max_retries=0)
    text, problem = "", ""
    try:
        for event in client.messages.create(stream=True, **ASKED):
            if event.type == "content_block_delta":
                text += event.delta.text
    except anthropic.APIError as raised:
        problem = type(raised).__name__
        text = f"{text} {raised.message}".strip()
    return [text, problem]


def helper(url: str) -> Any:
    client: Any = anthropic.Anthropic(base_url=url, api_key="k", max_retries=0)
    with client.messages.stream(**ASKED) as stream:
        text = "".join(stream.text_stream)
        message: Any = stream.get_final_message()
    return [text, message.content[0].text, message.stop_reason]


def asynchronous(url: str) -> Any:
    async def read() -> Any:
        client = anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0)
        async with client.messages.stream(**ASKED) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            message: Any = await stream.get_final_message()
        return [text, message.content[0].text, message.stop_reason]

    return asyncio.run(read())


def whole(url: str) -> Any:
    client: Any = anthropic.Anthropic(base_url=url, api_key="k", max_retries=0)
    message: Any = client.messages.create(**ASKED)
    return [message.content[0].text, message.stop_reason]


def version(url: str) -> Any:
    return anthropic.__version__


TASKS = {each.__name__: each for each in (blocking, helper, asynchronous, whole, version)}

if __name__ == "__main__":
    for line in sys.stdin:
        task, url = line.split()
        print(json.dumps(TASKS[task](url)), flush=True)
