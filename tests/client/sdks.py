"""Owns asking with the official SDKs through a resilient transport, and what they deliver in one form."""

from __future__ import annotations

import json
import ssl
from typing import Any

import anthropic
import openai

from tidegate.client import Patience, resilient, resilient_async

QUICK = Patience(give_up=10.0, first=0.01, longest=0.05, silence=5.0)
MESSAGES: Any = [{"role": "user", "content": "x"}]
Delivered = list[str]

TLS = ssl.create_default_context()
"""Reading all certificates of the machine takes longer than most tests."""


def openai_client(url: str, patience: Patience = QUICK, **options: Any) -> openai.OpenAI:
    http = resilient(patience=patience, verify=TLS, **options)
    return openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0, http_client=http)


def anthropic_client(url: str, patience: Patience = QUICK, **options: Any) -> anthropic.Anthropic:
    http = resilient(patience=patience, verify=TLS, **options)
    return anthropic.Anthropic(base_url=url, api_key="k", max_retries=0, http_client=http)


def async_openai(url: str, patience: Patience = QUICK) -> openai.AsyncOpenAI:
    http = resilient_async(patience=patience, verify=TLS)
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0, http_client=http)


def async_anthropic(url: str, patience: Patience = QUICK) -> anthropic.AsyncAnthropic:
    http = resilient_async(patience=patience, verify=TLS)
    return anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0, http_client=http)


def deliver(dialect: str, url: str, **options: Any) -> Delivered:
    """All that the SDK of a dialect yields for a streamed answer, each item as JSON."""
    if dialect == "anthropic-messages":
        with anthropic_client(url, **options) as claude:
            stream: Any = claude.messages.create(model="m", max_tokens=9, messages=MESSAGES, stream=True)
            return [_told(item) for item in stream]
    with openai_client(url, **options) as client:
        if dialect == "openai-chat":
            stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        else:
            stream = client.responses.create(model="m", input="x", stream=True)
        return [_told(item) for item in stream]


async def deliver_async(dialect: str, url: str) -> Delivered:
    """The same from the asynchronous SDKs."""
    if dialect == "anthropic-messages":
        async with async_anthropic(url) as claude:
            stream: Any = await claude.messages.create(
                model="m", max_tokens=9, messages=MESSAGES, stream=True
            )
            return [_told(item) async for item in stream]
    async with async_openai(url) as client:
        if dialect == "openai-chat":
            stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        else:
            stream = await client.responses.create(model="m", input="x", stream=True)
        return [_told(item) async for item in stream]


def _told(item: Any) -> str:
    return json.dumps(item.model_dump(mode="json"), sort_keys=True)
