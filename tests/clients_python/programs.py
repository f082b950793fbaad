"""The programs that the users of five systems run, each as naive as it is in the field, printing as it reads.

They are given the base URL, the key and the model, and nothing else changes: no guard is added that the
originals lack, because what is tested is that none is needed."""

# ruff: noqa: T201 - printing is what these programs do

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import requests
from anthropic import Anthropic
from openai import AsyncOpenAI, OpenAI

CURL = shutil.which("curl")
QUESTION = "Write a tutorial about streams."


class Target(NamedTuple):
    """Where a program is pointed to."""

    base_url: str
    key: str
    model: str


Program = Callable[[Target], None]


def run_curl(*arguments: str) -> None:
    """curl as typed into a shell, its output printed as it comes."""
    assert CURL is not None
    with subprocess.Popen([CURL, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line.decode(), end="", flush=True)
    assert process.returncode == 0


# MetaGPT: a curl line without a key.


def metagpt_curl(target: Target) -> None:
    """An agent's name for a model, one message, no Authorization."""
    body = {"model": target.model, "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    header = "Content-Type: application/json"
    run_curl("-s", f"{target.base_url}/chat/completions", "-H", header, "-d", json.dumps(body))


def metagpt_curl_without_content_type(target: Target) -> None:
    """The line in the script's own docstring: curl then calls the JSON a form."""
    body = {"model": target.model, "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    run_curl("-s", "-X", "POST", f"{target.base_url}/chat/completions", "-d", json.dumps(body))


# MyTokenGate: the SDK, requests, and curl -N.


def mytokengate_sdk(target: Target) -> None:
    """The only one that skips chunks without choices."""
    client = OpenAI(api_key=target.key, base_url=target.base_url)
    response = client.chat.completions.create(
        model=target.model, messages=[{"role": "user", "content": QUESTION}], stream=True
    )
    for chunk in response:
        if not chunk.choices:
            continue
        if chunk.choices[0].delta.content:
            print(chunk.choices[0].delta.content, end="", flush=True)
    client.close()


def mytokengate_requests(target: Target) -> None:
    """Every line is JSON once `data: ` is removed, wherever that stands; [DONE] ends nothing."""
    headers = {
        "accept": "application/json",
        "content-type": "application/json",
        "authorization": f"Bearer {target.key}",
    }
    payload = {
        "model": target.model,
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": True,
    }
    response = requests.post(
        f"{target.base_url}/chat/completions", json=payload, headers=headers, stream=True
    )
    if response.status_code == 200:
        full_content = ""
        for line in response.iter_lines():
            if line:
                text = line.decode("utf-8").replace("data: ", "")
                if text != "[DONE]":
                    data = json.loads(text)
                    delta = data["choices"][0].get("delta", {})
                    content = delta.get("content", "")
                    if content:
                        full_content += content
                        print(content, end="", flush=True)
        assert full_content
    else:
        print(f"failed with status {response.status_code}")


def mytokengate_curl(target: Target) -> None:
    """The raw stream on the terminal."""
    body = {"model": target.model, "messages": [{"role": "user", "content": QUESTION}], "stream": True}
    headers = ["-H", f"Authorization: Bearer {target.key}", "-H", "Content-Type: application/json"]
    url = f"{target.base_url}/chat/completions"
    run_curl("-N", "-s", "--request", "POST", "--url", url, *headers, "--data", json.dumps(body))


# api-for-open-llm: no model, and a reader that cuts six characters off every line.


def open_llm_without_model(target: Target) -> None:
    """The article's body: messages and stream, and the server is to know which model."""
    body = {"messages": [{"role": "user", "content": QUESTION}], "stream": True}
    url = f"{target.base_url}/chat/completions"
    run_curl("-s", url, "-H", "Content-Type: application/json", "-d", json.dumps(body))


def open_llm_readme(target: Target) -> None:
    """A trailing slash, any key, `or ""` for null texts, and choices[0] without a look."""
    client = OpenAI(api_key="EMPTY", base_url=f"{target.base_url}/")
    stream = client.chat.completions.create(
        messages=[{"role": "user", "content": QUESTION}], model=target.model, stream=True
    )
    for part in stream:
        print(part.choices[0].delta.content or "", end="", flush=True)
    client.close()


def open_llm_request_test(target: Target) -> None:
    """Six characters off every line, and whatever does not parse is taken for a special token."""
    payload = {"model": target.model, "messages": [{"role": "user", "content": QUESTION}], "stream": True}
    response = requests.post(f"{target.base_url}/chat/completions", json=payload, stream=True)
    for line in response.iter_lines():
        if line:
            text = line.decode("utf-8")[6:]
            try:
                content = json.loads(text)["choices"][0]["delta"].get("content")
            except ValueError:  # the original catches everything, and would hide a crash of ours
                print(f"\nSpecial Token: {text}", end="")
                continue
            print(content if content is not None else "", end="", flush=True)


# MegaLLM: basic, async, tools, progress and retry.


def megallm_basic(target: Target) -> None:
    """choices[0] of every chunk, and texts that are not None."""
    client = OpenAI(base_url=target.base_url, api_key=target.key)
    stream = client.chat.completions.create(
        model=target.model, messages=[{"role": "user", "content": QUESTION}], stream=True
    )
    for chunk in stream:
        if chunk.choices[0].delta.content is not None:
            print(chunk.choices[0].delta.content, end="", flush=True)
    client.close()


def megallm_async(target: Target) -> None:
    """The same without blocking."""

    async def stream_chat() -> None:
        client = AsyncOpenAI(base_url=target.base_url, api_key=target.key)
        stream = await client.chat.completions.create(
            model=target.model, messages=[{"role": "user", "content": QUESTION}], stream=True
        )
        async for chunk in stream:
            if chunk.choices[0].delta.content is not None:
                print(chunk.choices[0].delta.content, end="", flush=True)
        await client.close()

    asyncio.run(stream_chat())


WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a place",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
        },
    },
}


def megallm_tools(target: Target) -> None:
    """The first tool call of every delta, its function without a look, and all arguments in one string."""
    client = OpenAI(base_url=target.base_url, api_key=target.key)
    stream: Any = client.chat.completions.create(
        model=target.model,
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[WEATHER],
        stream=True,
    )
    function_name = ""
    function_args = ""
    for chunk in stream:
        delta = chunk.choices[0].delta
        if delta.tool_calls:
            tool_call = delta.tool_calls[0]
            if tool_call.function.name:
                function_name = tool_call.function.name
                print(f"calling {function_name}", flush=True)
            if tool_call.function.arguments:
                function_args += tool_call.function.arguments
        elif delta.content:
            print(delta.content, end="", flush=True)
    print(f"{function_name}({json.dumps(json.loads(function_args))})")
    client.close()


def megallm_progress(target: Target) -> None:
    """Counts words of chunks and divides by the time since the start."""
    client = OpenAI(base_url=target.base_url, api_key=target.key)
    stream = client.chat.completions.create(
        model=target.model, messages=[{"role": "user", "content": QUESTION}], stream=True
    )
    start, chunk_count, token_count, response = time.time(), 0, 0, ""
    for chunk in stream:
        if chunk.choices[0].delta.content:
            chunk_count += 1
            token_count += len(chunk.choices[0].delta.content.split())
            response += chunk.choices[0].delta.content
    elapsed = time.time() - start
    print(response)
    print(f"chunks: {chunk_count}, tokens: {token_count}, {token_count / max(elapsed, 1e-6):.1f} tok/s")
    client.close()


def megallm_retry(target: Target) -> None:
    """After an exception, what came is appended as an assistant message, and `continue` as the user's."""
    client = OpenAI(base_url=target.base_url, api_key=target.key, max_retries=0)
    messages: Any = [{"role": "user", "content": QUESTION}]
    whole = ""
    for attempt in range(3):
        full_response = ""
        try:
            stream: Any = client.chat.completions.create(model=target.model, messages=messages, stream=True)
            for chunk in stream:
                if chunk.choices[0].delta.content:
                    full_response += chunk.choices[0].delta.content
                    print(chunk.choices[0].delta.content, end="", flush=True)
            whole += full_response
            break
        except Exception as problem:
            # The original catches everything too, and tells the user.
            print(f"\n[attempt {attempt + 1} failed: {problem}]\n", end="")
            whole += full_response
            messages.append({"role": "assistant", "content": full_response})
            messages.append({"role": "user", "content": "continue"})
    print(f"\n[whole: {whole}]")
    client.close()


def megallm_anthropic(target: Target) -> None:
    """The other format over the same model: Anthropic's SDK, whose address has no /v1."""
    client = Anthropic(base_url=target.base_url.removesuffix("/v1"), api_key=target.key)
    with client.messages.stream(
        model=target.model, max_tokens=1024, messages=[{"role": "user", "content": QUESTION}]
    ) as stream:
        for text in stream.text_stream:
            print(text, end="", flush=True)
    client.close()


SDK_PROGRAMS: list[Program] = [
    mytokengate_sdk,
    open_llm_readme,
    megallm_basic,
    megallm_async,
    megallm_progress,
    megallm_retry,
    megallm_anthropic,
]
LINE_PROGRAMS: list[Program] = [mytokengate_requests, open_llm_request_test]
CURL_PROGRAMS: list[Program] = [
    metagpt_curl,
    metagpt_curl_without_content_type,
    mytokengate_curl,
    open_llm_without_model,
]
