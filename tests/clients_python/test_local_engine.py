"""A GGUF file behind the gateway: the official SDK against a real llama.cpp engine with a known answer."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIError, OpenAI

from tests.chat import stream, text_chunks
from tests.chat_stream import body_for, start_chat
from tests.fixtures import StartGateway
from tests.gateway import Gateway, eventually
from tests.script import Close
from tests.tiny_gguf import TinyModel, shared_tiny_gguf
from tests.upstream import Upstream

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="needs xllamacpp: pip install 'tidegate[local]'"
)

HELLO = "Hello from a tiny local model. Every word of this answer is known beforehand."
COUNT = "One two abc; four five six seven."
"""The semicolon ends a piece of it."""
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
THOUGHT = "<think>I should greet.</think>\n\nGood morning"
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASKED: Any = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with four local models."""
    models = {
        "hello": TinyModel(script=HELLO),
        "weather": TinyModel(script=CALL),
        "thinker": TinyModel(script=THOUGHT, think=True),
        "endless": TinyModel(script="one two three. ", loop=True, context=32768),
        "counter": TinyModel(script=COUNT, goes_on=True),
    }
    files = {name: shared_tiny_gguf(tmp_path_factory, model) for name, model in models.items()}
    config: dict[str, Any] = {
        "models": {
            name: {
                "gguf": str(path),
                "threads": 1,
                "slots": 1,
                "preload": name == "hello",
                "retry": {"attempts": 1},
            }
            for name, path in files.items()
        }
    }
    config["models"]["sturdy"] = {**config["models"]["endless"], "retry": {"attempts": 3}}
    running = Gateway(tmp_path_factory.mktemp("local"), config)
    yield running
    running.stop()


@pytest.fixture
def sdk(local: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=local.base_url, api_key="any", max_retries=0, timeout=30) as client:
        yield client


def test_a_known_text_is_streamed_token_by_token(sdk: OpenAI) -> None:
    chunks = list(
        sdk.chat.completions.create(
            model="hello", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == HELLO
    assert sum(bool(piece) for piece in pieces) > 10
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 10


def test_a_tool_is_called(sdk: OpenAI) -> None:
    answer = sdk.chat.completions.create(model="weather", messages=ASKED, tools=[WEATHER])
    calls: Any = answer.choices[0].message.tool_calls
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("get_weather", '{"city": "Paris"}')
    ]
    assert answer.choices[0].finish_reason == "tool_calls"


def test_reasoning_is_kept_apart(sdk: OpenAI) -> None:
    message: Any = sdk.chat.completions.create(model="thinker", messages=ASKED).choices[0].message
    assert message.reasoning_content.strip() == "I should greet."
    assert message.content.strip() == "Good morning"


def test_logprobs_and_limits_come_through(sdk: OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model="hello", messages=ASKED, max_tokens=3, logprobs=True, top_logprobs=2
    )
    choice = answer.choices[0]
    assert choice.finish_reason == "length"
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert len(choice.logprobs.content) == 3


def test_a_schema_is_obeyed(sdk: OpenAI) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    answer = sdk.chat.completions.create(model="hello", messages=ASKED, response_format=wanted, max_tokens=64)
    assert json.loads(answer.choices[0].message.content or "").keys() == {"ok"}


def test_a_client_that_leaves_frees_the_slot(local: Gateway, sdk: OpenAI) -> None:
    """With one slot, the next answer can only come when the endless one was cancelled."""
    connection = start_chat(local.address, body_for(model="endless"))
    connection.read_head()
    connection.close()
    stream = sdk.chat.completions.create(model="endless", messages=ASKED, stream=True, max_tokens=5)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream).startswith("one")


def test_a_crash_is_one_error_and_the_next_request_is_answered(local: Gateway, sdk: OpenAI) -> None:
    alone: Any = {"Tidegate-On-Break": "fail"}
    stream = sdk.chat.completions.create(model="endless", messages=ASKED, stream=True, extra_headers=alone)
    assert next(iter(stream)).choices
    for pid in children_of(local.pid, "endless"):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(APIError, match="in mid-answer"):
        list(stream)
    eventually(lambda: answers(sdk, "endless"), "the engine answers again", timeout=20)


def answers(sdk: OpenAI, model: str) -> bool:
    """Whether a model answers, which it may not before the end of its engine was noticed."""
    try:
        whole = sdk.chat.completions.create(model=model, messages=ASKED, max_tokens=3)
    except APIError:
        return False
    return bool(whole.choices[0].message.content)


def test_a_crash_is_healed_by_the_engine_that_comes_after_it(local: Gateway, sdk: OpenAI) -> None:
    stream = sdk.chat.completions.create(model="sturdy", messages=ASKED, stream=True, max_tokens=1000)
    assert any(chunk.choices[0].delta.content for chunk in stream)
    for pid in children_of(local.pid, "sturdy"):
        os.kill(pid, signal.SIGKILL)
    *_, last = stream
    assert last.choices[0].finish_reason in ("length", "stop")
    told: Any = last.model_extra
    assert len(told["tidegate"]["seams"]) == 1


def test_the_engine_goes_on_with_what_another_upstream_began(
    local: Gateway, upstream: Upstream, start_gateway: StartGateway
) -> None:
    """In conversation and raw: llama.cpp is given the text, and says what follows it and nothing else."""
    providers = {
        "cannot": {"base_url": f"{upstream.url}/v1", "api_key": "none", "continues": "none"},
        "local": {"base_url": local.base_url, "api_key": "none", "continues": "continue_final_message"},
    }
    use = ["cannot/mock", "local/counter"]
    models = {"count": {"use": use, "same_as": "counter", "retry": {"attempts": 1}}}
    gateway = start_gateway({"providers": providers, "models": models})
    upstream.answer = lambda request: [*stream(text_chunks(["One two", " abc;"], finish=None))[:-2], Close()]
    with OpenAI(base_url=gateway.base_url, api_key="any", max_retries=0, timeout=30) as client:
        with client.chat.completions.create(
            model="count", messages=ASKED, temperature=0, stream=True, stream_options={"include_usage": True}
        ) as answer:
            chunks = list(answer)
        whole = client.chat.completions.create(model="count", messages=ASKED, temperature=0)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == COUNT
    assert pieces[1:3] == ["One two", " abc;"]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 2 + len(pieces[3:-1]) + 1  # and the token that ends it
    assert whole.choices[0].message.content == COUNT


def test_local_models_are_listed_with_the_context_that_they_are_loaded_with(sdk: OpenAI) -> None:
    listed = {model.id: model for model in sdk.models.list()}
    assert listed.keys() >= {"hello", "weather", "thinker", "endless"}
    assert getattr(listed["endless"], "context_length", None) == 8192
    assert getattr(listed["hello"], "context_length", None) == TinyModel().context


def children_of(pid: int, model: str) -> list[int]:
    """The engine processes of a gateway that have this model's file open, by /proc."""
    children = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            status = (folder / "stat").read_text("ascii", "replace")
            parent = int(status.rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == pid and b"llama_child" in command:
            children.append(int(folder.name))
    assert children, f"no engine runs for {model}"
    return children


def test_raw_text_is_continued_without_a_template(sdk: OpenAI) -> None:
    """A legacy completion: what the prompt costs shows that nothing was put around it."""
    with sdk.completions.create(
        model="hello",
        prompt="Hi",
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        parts = list(stream)
    text = "".join(part.choices[0].text for part in parts if part.choices)
    chat = sdk.chat.completions.create(model="hello", messages=ASKED)
    usage = parts[-1].usage
    assert usage is not None
    assert chat.usage is not None
    assert usage.prompt_tokens < 5 < chat.usage.prompt_tokens
    assert text
    assert HELLO.endswith(text)
    whole = sdk.completions.create(model="hello", prompt="Hi", logprobs=2, temperature=0)
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == (text, "stop")
    logprobs: Any = whole.choices[0].logprobs
    assert "".join(logprobs.tokens) == text
    assert len(logprobs.top_logprobs[0]) == 2


def test_several_raw_prompts_are_continued_each(sdk: OpenAI) -> None:
    answer = sdk.completions.create(model="hello", prompt=["Hi", "Hello from"], max_tokens=4)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert all(choice.text and choice.text in HELLO for choice in answer.choices)


def test_tokens_may_be_a_raw_prompt(sdk: OpenAI) -> None:
    answer = sdk.completions.create(model="hello", prompt=[72, 105], max_tokens=4)
    assert answer.choices[0].text in HELLO
