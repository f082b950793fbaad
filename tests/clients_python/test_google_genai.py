"""Google's own SDK as a client of the gateway, over an upstream that speaks Chat and over the demo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.chat import broken_off, chunk, envelope, error, stream, text_chunks, text_stream, tool
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.script import Pause
from tests.upstream import Upstream

genai = pytest.importorskip("google.genai", reason="the SDK is not installed")
WEATHER = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "parameters_json_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
TOOLS = {"tools": [{"function_declarations": [WEATHER]}], "automatic_function_calling": {"disable": True}}


Connect = Callable[..., Any]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Opens the SDK against a gateway; it must be held, for it closes with its last reference."""
    opened = []

    def new(gateway: Gateway, key: str = "sk-test", **more: Any) -> Any:
        options = {"base_url": gateway.url, "timeout": 20_000, "retry_options": {"attempts": 1}, **more}
        opened.append(genai.Client(api_key=key, http_options=options))
        return opened[-1]

    yield new
    for sdk in opened:
        sdk.close()


@pytest.fixture
def models(gateway: Gateway, connect: Connect) -> Any:
    return connect(gateway).models


@pytest.mark.parametrize("version", ["v1beta", "v1"])
def test_it_streams_text(gateway: Gateway, upstream: Upstream, connect: Connect, version: str) -> None:
    upstream.play(text_stream(["Hello", " 世界\u2028", " data: x"]))
    sdk = connect(gateway, api_version=version)
    config = {"system_instruction": "Be brief.", "temperature": 0.5, "max_output_tokens": 99}
    chunks = list(sdk.models.generate_content_stream(model="m", contents="Hi", config=config))
    assert "".join(chunk.text for chunk in chunks) == "Hello 世界\u2028 data: x"
    assert chunks[-1].candidates[0].finish_reason.name == "STOP"
    assert chunks[-1].usage_metadata.prompt_token_count == 11
    assert chunks[-1].usage_metadata.candidates_token_count == 7
    assert {chunk.model_version for chunk in chunks} == {"mock"}
    asked = upstream.request().json
    assert [message["content"] for message in asked["messages"]] == ["Be brief.", "Hi"]
    assert (asked["temperature"], asked["max_tokens"]) == (0.5, 99)


def test_it_reads_a_whole_answer_with_thoughts(models: Any, upstream: Upstream) -> None:
    upstream.play(stream([chunk(reasoning="Hm."), chunk("Yes"), chunk("."), chunk(finish="stop")]))
    answer = models.generate_content(model="m", contents=["Hi", {"text": "there"}])
    assert answer.text == "Yes."
    assert [part.text for part in answer.candidates[0].content.parts if part.thought] == ["Hm."]


@pytest.mark.parametrize("streamed", [True, False])
def test_it_calls_tools_and_brings_their_results(models: Any, upstream: Upstream, streamed: bool) -> None:
    calls = [tool(0, "", call_id="a", name="get_weather"), tool(1, "", call_id="b", name="get_weather")]
    pieces = [tool(0, '{"city"'), tool(0, ': "Zürich"}'), tool(1, '{"city": "Bern"}')]
    upstream.play(
        stream(
            [
                *(chunk(tool_calls=[each]) for each in (calls[0], *pieces[:2], calls[1], pieces[2])),
                chunk(finish="tool_calls"),
            ]
        ),
        text_stream(["Sunny."]),
    )
    history: list[Any] = [{"role": "user", "parts": [{"text": "Weather?"}]}]
    if streamed:
        answers = list(models.generate_content_stream(model="m", contents=history, config=TOOLS))
    else:
        answers = [models.generate_content(model="m", contents=history, config=TOOLS)]
    parts = [part for each in answers for part in each.candidates[0].content.parts]
    made = [part.function_call for part in parts if part.function_call]
    assert [(call.id, call.args) for call in made] == [("a", {"city": "Zürich"}), ("b", {"city": "Bern"})]
    results = [
        {"function_response": {"id": call.id, "name": call.name, "response": {"output": call.args["city"]}}}
        for call in made
    ]
    history += [{"role": "model", "parts": parts}, {"role": "user", "parts": results}]
    assert models.generate_content(model="m", contents=history, config=TOOLS).text == "Sunny."
    asked = upstream.request(1).json["messages"]
    assert [call["id"] for call in asked[1]["tool_calls"]] == ["a", "b"]
    assert [(each["tool_call_id"], each["content"]) for each in asked[2:]] == [("a", "Zürich"), ("b", "Bern")]


def test_a_failure_before_the_answer_has_its_status(models: Any, upstream: Upstream) -> None:
    upstream.play(error(429, "slow down", kind="rate_limit_error"))
    with pytest.raises(genai.errors.ClientError) as raised:
        models.generate_content(model="m", contents="Hi")
    assert (raised.value.code, raised.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert raised.value.message == "slow down"
    with pytest.raises(genai.errors.ClientError) as raised:
        models.generate_content(model="nothing-like-it", contents="Hi")
    assert (raised.value.code, raised.value.status) == (404, "NOT_FOUND")


def test_a_stream_that_breaks_raises(models: Any, upstream: Upstream) -> None:
    upstream.play(broken_off(text_chunks(["Hello"], finish=None)))
    answer = models.generate_content_stream(model="m", contents="Hi")
    assert next(answer).text == "Hello"
    with pytest.raises(genai.errors.ServerError) as raised:
        next(answer)
    assert (raised.value.code, raised.value.status) == (502, "UNAVAILABLE")


def test_it_lives_through_silence(eager_gateway: Gateway, upstream: Upstream, connect: Connect) -> None:
    """Before the first word, and in the midst of them; a conversation goes on afterwards."""
    quiet = stream([chunk("Hel"), chunk("lo"), chunk(finish="stop"), envelope([], usage={})])
    upstream.play([Pause(0.5), *quiet[:2], Pause(0.5), *quiet[2:]], text_stream(["Again"]))
    conversation = connect(eager_gateway).chats.create(model="m")
    assert "".join(each.text or "" for each in conversation.send_message_stream("Hi")) == "Hello"
    assert "".join(each.text or "" for each in conversation.send_message_stream("And?")) == "Again"
    said = [(each["role"], each["content"]) for each in upstream.request(1).json["messages"]]
    assert said == [("user", "Hi"), ("assistant", "Hello"), ("user", "And?")]


def test_it_lists_models_and_counts_tokens(models: Any) -> None:
    listed = {model.name: model.supported_actions for model in models.list()}
    assert "generateContent" in listed["models/m"]
    assert models.get(model="m").name == "models/m"
    assert models.count_tokens(model="m", contents="Hello there").total_tokens == 3


def test_its_key_is_taken_and_a_wrong_one_is_refused(
    start_gateway: StartGateway, upstream: Upstream, connect: Connect
) -> None:
    gateway = start_gateway(gateway_config(upstream.url, auth={"list": ["sk-test"]}))
    assert connect(gateway).models.generate_content(model="m", contents="Hi").text == "Hello world"
    with pytest.raises(genai.errors.ClientError) as raised:
        connect(gateway, "sk-wrong").models.generate_content(model="m", contents="Hi")
    assert (raised.value.code, raised.value.status) == (401, "UNAUTHENTICATED")


def test_the_demo_answers_it_and_calls_its_function(gateway: Gateway, connect: Connect) -> None:
    def get_weather(city: str) -> str:
        """Tells the weather."""
        return f"sunny in {city}"

    conversation = connect(gateway).chats.create(model="demo", config={"tools": [get_weather]})
    assert "sunny in" in conversation.send_message("Bern").text
