"""Chat clients over an upstream that speaks Gemini's own API: the official SDK, the real process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.chat import plain
from tests.fixtures import OpenClient, StartGateway
from tests.gateway import Gateway, gateway_config
from tests.script import Close, End, Head, Script, Send, Step
from tests.upstream import Request, Upstream

Json = dict[str, Any]
SIGNATURE = "EpcBAVKhc7v+/b9=="
USAGE = {
    "promptTokenCount": 11,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 2,
    "cachedContentTokenCount": 4,
}
CALLS = [
    {"functionCall": {"id": "g1", "name": "get_weather", "args": {"city": "Zürich"}}},
    {"functionCall": {"name": "get_time", "args": {}}},
]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("get_weather", "get_time")
]


def chunk(*parts: Json, finish: str | None = None) -> Json:
    candidate: Json = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "gemini-3-pro"}


def answer(*chunks: Json, last: Step | None = None) -> Script:
    frames = [Send(f"data: {json.dumps(each, ensure_ascii=False)}\r\n\r\n".encode()) for each in chunks]
    return [Head(), *frames, last or End()]


@pytest.fixture(scope="module")
def _running(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    auth = {"api_key": "g-up", "auth": "header:x-goog-api-key"}
    provider = {"base_url": f"{_shared_upstream.url}/v1beta", "dialect": "gemini", **auth}
    models = {"m": {"use": ["g/gemini-3-pro"], "retry": {"attempts": 1}}}
    config = gateway_config(_shared_upstream.url, providers={"g": provider}, models=models)
    running = Gateway(tmp_path_factory.mktemp("gemini"), {**config, "models": models})
    yield running
    running.stop()


@pytest.fixture
def client(_running: Gateway, upstream: Upstream, open_client: OpenClient) -> OpenAI:
    return open_client(_running)


def test_text_and_thinking_are_streamed(client: OpenAI, upstream: Upstream) -> None:
    upstream.play(
        answer(
            chunk({"text": "Hm", "thought": True}),
            chunk({"text": "Hello"}),
            chunk({"text": " 世界"}),
            chunk({"text": "."}, finish="STOP"),
        )
    )
    chunks = list(
        client.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "Hi"}],
            stream=True,
            stream_options={"include_usage": True},
            reasoning_effort="low",
        )
    )
    deltas = [each.choices[0].delta for each in chunks if each.choices]
    assert "".join(delta.content or "" for delta in deltas) == "Hello 世界."
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "Hm"
    assert [each.choices[0].finish_reason for each in chunks if each.choices][-1] == "stop"
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (11, 7, 18)
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 4
    assert usage.model_dump().keys() == {
        *("prompt_tokens", "completion_tokens", "total_tokens"),
        *("prompt_tokens_details", "completion_tokens_details"),
    }
    asked = upstream.request()
    assert asked.path == "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse"
    assert asked.headers["x-goog-api-key"] == "g-up"
    assert asked.json["generationConfig"]["thinkingConfig"] == {
        "includeThoughts": True,
        "thinkingLevel": "low",
    }


@pytest.mark.parametrize("streamed", [True, False])
def test_signatures_come_back_byte_for_byte(client: OpenAI, upstream: Upstream, streamed: bool) -> None:
    """Through reasoning_details, as a client collects them; parallel calls keep their order."""
    first = chunk({"text": "Let me."}, {**CALLS[0], "thoughtSignature": SIGNATURE}, CALLS[1])
    upstream.play(
        answer(chunk({"text": "Hm", "thought": True}), first, chunk({"text": ""}, finish="STOP")),
        answer(chunk({"text": "Sunny."}, finish="STOP")),
    )
    messages: list[Any] = [{"role": "user", "content": "Weather?"}]
    message = collected(client, messages, streamed=streamed)
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == ['{"city":"Zürich"}', "{}"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": f"result {at}"}
        for at, call in enumerate(message["tool_calls"])
    ]
    messages += [message, *results]
    second = client.chat.completions.create(model="m", messages=messages, tools=TOOLS)
    assert second.choices[0].message.content == "Sunny."
    [_, said, told] = upstream.request(1).json["contents"]
    made = [{**CALLS[1]["functionCall"], "id": message["tool_calls"][1]["id"]}]
    assert said["parts"] == [
        {"text": "Let me."},
        {**CALLS[0], "thoughtSignature": SIGNATURE},
        {"functionCall": made[0]},
    ]
    responses = [part["functionResponse"] for part in told["parts"]]
    assert [each["name"] for each in responses] == ["get_weather", "get_time"]
    assert [each["response"] for each in responses] == [{"output": "result 0"}, {"output": "result 1"}]


def collected(client: OpenAI, messages: list[Any], *, streamed: bool) -> Json:
    """The assistant's message as a client keeps it."""
    if not streamed:
        whole = client.chat.completions.create(model="m", messages=messages, tools=TOOLS)
        assert whole.choices[0].finish_reason == "tool_calls"
        return whole.choices[0].message.model_dump(exclude_none=True)
    message: Json = {"role": "assistant", "content": "", "reasoning_details": [], "tool_calls": []}
    for each in client.chat.completions.create(model="m", messages=messages, tools=TOOLS, stream=True):
        delta = each.choices[0].delta.model_dump(exclude_none=True)
        message["content"] += delta.get("content", "")
        message["reasoning_content"] = message.get("reasoning_content", "") + delta.get(
            "reasoning_content", ""
        )
        message["reasoning_details"] += delta.get("reasoning_details", [])
        for call in delta.get("tool_calls", []):
            if "id" in call:
                message["tool_calls"].append(call)
            else:
                more = call["function"]["arguments"]
                message["tool_calls"][call["index"]]["function"]["arguments"] += more
    return message


def test_a_blocked_prompt_is_a_filtered_answer(client: OpenAI, upstream: Upstream) -> None:
    upstream.play(answer({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USAGE}))
    whole = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert whole.choices[0].finish_reason == "content_filter"
    assert whole.choices[0].message.content == ""


def test_an_answer_without_its_finish_is_an_error(client: OpenAI, upstream: Upstream) -> None:
    for last in (End(), Close()):
        upstream.play(answer(chunk({"text": "Hello"}), last=last))
        stream = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        said = [next(stream).choices[0].delta.content, next(stream).choices[0].delta.content]
        assert "".join(text or "" for text in said) == "Hello"
        with pytest.raises(openai.APIError):
            next(stream)


@pytest.mark.parametrize(
    ("status", "word", "raised"),
    [
        (429, "RESOURCE_EXHAUSTED", openai.RateLimitError),
        (400, "INVALID_ARGUMENT", openai.BadRequestError),
        (503, "UNAVAILABLE", openai.InternalServerError),
    ],
)
def test_errors_have_their_class(
    client: OpenAI, upstream: Upstream, status: int, word: str, raised: type[openai.APIStatusError]
) -> None:
    upstream.play(
        plain(
            json.dumps([{"error": {"code": status, "message": "because", "status": word}}]).encode(), status
        )
    )
    with pytest.raises(raised, match="because"):
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])


def test_an_array_of_chunks_is_read_as_well(client: OpenAI, upstream: Upstream) -> None:
    """From a server that ignores alt=sse."""
    body = json.dumps([chunk({"text": "Hel"}), chunk({"text": "lo"}, finish="STOP")]).encode()
    upstream.play(plain(body, headers={"Content-Type": "application/json"}))
    whole = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert whole.choices[0].message.content == "Hello"


class Listing(Upstream):
    """Lists its models as Google does."""

    def _script_for(self, request: Request) -> Script:
        assert request.path == "/v1beta/models?pageSize=1000"
        rows = [
            {
                "name": "models/gemini-3-pro",
                "inputTokenLimit": 9,
                "supportedGenerationMethods": ["generateContent"],
            },
            {"name": "models/embedding-001", "supportedGenerationMethods": ["embedContent"]},
        ]
        return plain({"models": rows})


def test_models_that_can_answer_are_listed(start_gateway: StartGateway) -> None:
    with Listing() as server:
        provider = {"base_url": f"{server.url}/v1beta", "dialect": "gemini", "api_key": "none"}
        listed = start_gateway({"providers": {"g": provider}}).get("/v1/models")["data"]
        assert (listed[0]["id"], listed[0]["context_length"]) == ("gemini-3-pro", 9)
        assert "embedding-001" not in [model["id"] for model in listed]
