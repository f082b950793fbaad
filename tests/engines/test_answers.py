"""What a real engine answers, in llama.cpp's own OpenAI shape."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from tests.engines.conftest import HELLO, MakeModel, needs_engine, running
from tests.engines.http import Client, Json, finish, joined, user

pytestmark = needs_engine

WEATHER: Json = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def test_known_text_is_streamed_token_by_token(hello: Path) -> None:
    async def run() -> None:
        async with running(hello) as (_, client):
            chunks = await client.stream(user("hi") | {"stream_options": {"include_usage": True}})
            assert client.fields["content-type"] == "text/event-stream"
            assert joined(chunks) == HELLO
            assert len(chunks) > 15
            assert finish(chunks) == "stop"
            assert chunks[-1]["usage"]["completion_tokens"] == len(chunks) - 2  # role, …, finish, usage
            assert chunks[-1]["timings"]["predicted_n"] > 0
            assert not any("prompt_progress" in chunk for chunk in chunks)

    asyncio.run(run())


def test_whole_answer_equals_the_streamed_one(hello: Path) -> None:
    async def run() -> None:
        async with running(hello) as (_, client):
            whole = await client.post(user("hi"))
            streamed = await client.stream(user("hi"))
            assert whole["choices"][0]["message"]["content"] == joined(streamed) == HELLO
            assert whole["choices"][0]["finish_reason"] == "stop"

    asyncio.run(run())


def test_plain_completions_are_streamed(hello: Path) -> None:
    async def run() -> None:
        async with running(hello) as (_, client):
            body = {"prompt": ["Hell", "Hell"], "max_tokens": 3}
            chunks = await client.stream(body, "/v1/completions")
            texts = [
                "".join(c["choices"][0]["text"] for c in chunks if c["choices"][0]["index"] == i)
                for i in (0, 1)
            ]
            assert all(text and text in HELLO for text in texts)

    asyncio.run(run())


def test_thought_is_kept_apart_from_the_answer(tiny_gguf: MakeModel) -> None:
    model = tiny_gguf(script="<think>\nI should greet the reader.\n</think>\n\nGood morning", think=True)

    async def run() -> None:
        async with running(model) as (_, client):
            chunks = await client.stream(user("hi"))
            assert joined(chunks, "reasoning_content").strip() == "I should greet the reader."
            assert joined(chunks).strip() == "Good morning"

    asyncio.run(run())


def test_tool_call_is_streamed_in_fragments(tiny_gguf: MakeModel) -> None:
    call = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Berlin"}}\n</tool_call>'

    async def run() -> None:
        async with running(tiny_gguf(script=call)) as (_, client):
            chunks = await client.stream(user("Weather in Berlin?") | {"tools": [WEATHER]})
            fragments = [
                tool for c in chunks for item in c["choices"] for tool in item["delta"].get("tool_calls", [])
            ]
            assert fragments[0]["function"]["name"] == "get_weather"
            assert fragments[0]["id"]
            assert len(fragments) > 2
            arguments = "".join(fragment["function"].get("arguments", "") for fragment in fragments)
            assert json.loads(arguments) == {"city": "Berlin"}
            assert finish(chunks) == "tool_calls"

    asyncio.run(run())


def test_json_schema_binds_even_a_model_that_talks_noise(tiny_gguf: MakeModel) -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "grade": {"enum": ["a", "b"]}},
        "required": ["ok", "grade"],
        "additionalProperties": False,
    }

    async def run() -> None:
        async with running(tiny_gguf()) as (_, client):
            form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema, "strict": True}}
            chunks = await client.stream(user("hi") | {"response_format": form, "seed": 7})
            answer = json.loads(joined(chunks))
            assert isinstance(answer["ok"], bool)
            assert answer["grade"] in {"a", "b"}

    asyncio.run(run())


def test_grammar_seed_and_stop_are_obeyed(tiny_gguf: MakeModel, hello: Path) -> None:
    async def run() -> None:
        async with running(tiny_gguf()) as (_, client):
            chosen = await client.stream(user("hi") | {"grammar": 'root ::= "yes" | "no"'})
            assert joined(chosen) in {"yes", "no"}
            noise = user("hi") | {"seed": 42, "max_tokens": 8, "cache_prompt": False}
            assert joined(await client.stream(noise)) == joined(await client.stream(noise))
        async with running(hello) as (_, client):
            chunks = await client.stream(user("hi") | {"stop": ["local"]})
            assert joined(chunks) == HELLO.partition("local")[0]
            assert finish(chunks) == "stop"
            chunks = await client.stream(user("hi") | {"max_tokens": 2})
            assert finish(chunks) == "length"

    asyncio.run(run())


def test_logprobs_come_through(hello: Path) -> None:
    async def run() -> None:
        async with running(hello) as (_, client):
            chunks = await client.stream(user("hi") | {"logprobs": True, "top_logprobs": 2, "max_tokens": 2})
            tokens = [t for c in chunks for t in (c["choices"][0].get("logprobs") or {}).get("content", [])]
            assert "".join(token["token"] for token in tokens) == joined(chunks)
            assert all(len(token["top_logprobs"]) == 2 for token in tokens)

    asyncio.run(run())


def test_two_choices_need_two_slots(hello: Path) -> None:
    async def run() -> None:
        async with running(hello, slots=2) as (_, client):
            chunks = await client.stream(user("hi") | {"n": 2})
            assert [joined(chunks, choice=choice) for choice in (0, 1)] == [HELLO, HELLO]
            assert [finish(chunks, choice) for choice in (0, 1)] == ["stop", "stop"]
            error = await client.post(user("hi") | {"n": 3, "stream": True})
            assert client.status == 400
            assert "'n'" in error["error"]["message"]

    asyncio.run(run())


def test_requests_share_the_slots_and_the_rest_waits(hello: Path) -> None:
    async def answer(socket: str) -> str:
        async with await Client.connect(socket) as client:
            return joined(await client.stream(user("hi")))

    async def run() -> None:
        async with running(hello, slots=2) as (engine, client):
            socket = await engine.ready()
            answers = await asyncio.gather(*(answer(socket) for _ in range(12)))
            assert answers == [HELLO] * 12
            health = await client.get("/health")
            assert (health["running"], health["queued"]) == (0, 0)

    asyncio.run(run())


def test_progress_is_told_only_to_who_asks(hello: Path) -> None:
    async def run() -> None:
        async with running(hello) as (_, client):
            chunks = await client.stream(user("hi") | {"return_progress": True})
            assert chunks[0]["prompt_progress"]["total"] > 0
            assert joined(chunks) == HELLO

    asyncio.run(run())


def test_prompt_that_is_too_long_is_refused_with_numbers(hello: Path) -> None:
    async def run() -> None:
        async with running(hello, context=512) as (_, client):
            error = await client.post(user("fox " * 2000) | {"stream": True})
            assert client.status == 400
            assert error["error"]["type"] == "exceed_context_size_error"
            assert "context size (512 tokens)" in error["error"]["message"]
            assert error["error"]["n_ctx"] == 512

    asyncio.run(run())


def image(url: str) -> Json:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}


BAD_REQUESTS: list[tuple[Json, str]] = [
    ({"messages": "hi"}, "'messages' to be an array"),
    ({}, "'messages' is required"),
    (user("hi") | {"max_tokens": "many"}, "'max_tokens'"),
    (user("hi") | {"grammar": "root ::= ((("}, "grammar"),
    (user("hi") | {"tools": [{"type": "function"}]}, "tools"),
    (image("data:image/png;base64,AAAA"), "image"),
]


def test_bad_requests_are_400_whether_streamed_or_not(hello: Path) -> None:
    async def run() -> None:
        async with running(hello) as (_, client):
            for body, words in BAD_REQUESTS:
                for stream in (False, True):
                    error = await client.post(body | {"stream": stream})
                    assert client.status == 400
                    assert words in error["error"]["message"]
                    assert error["error"]["type"] == "invalid_request_error"
            assert joined(await client.stream(user("hi"))) == HELLO

    asyncio.run(run())


def test_bodies_that_are_no_json_object_are_400(hello: Path) -> None:
    async def run() -> None:
        async with running(hello) as (_, client):
            for body in (b"", b"[1]", b'{"a":', b"\xff", b"[" * 100_000):
                await client.send("POST", "/v1/chat/completions", body)
                error = await client.body()
                assert client.status == 400
                assert "JSON" in error["error"]["message"]

    asyncio.run(run())


def test_large_body_arrives_and_unknown_paths_are_404(hello: Path) -> None:
    async def run() -> None:
        async with running(hello) as (_, client):
            began = time.monotonic()
            error = await client.post(user("x" * 20_000_000))
            assert client.status == 400
            assert error["error"]["type"] == "exceed_context_size_error"
            assert time.monotonic() - began < 5, "llama.cpp needs 20 s to count so many tokens"
            await client.get("/v1/nothing")
            assert client.status == 404
            models = await client.get("/v1/models")
            assert [model["id"] for model in models["data"]] == ["tiny"]

    asyncio.run(run())
