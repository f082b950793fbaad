"""The official SDK's Responses API against the gateway, over each kind of upstream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.responses import ResponseCompletedEvent, ResponseFailedEvent
from pydantic import BaseModel

from tests import responses
from tests.chat import USAGE, broken_off, chunk, envelope, error, stream, text_chunks, tool
from tests.gateway import Gateway, gateway_config
from tests.script import Pause, Script
from tests.upstream import Upstream

TOOLS: Any = [
    {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, "strict": False}
    for name in ("weather", "time")
]
UPSTREAMS = ["chat", "responses"]
over_each = pytest.mark.parametrize("upstream_is", UPSTREAMS)


@pytest.fixture(scope="module")
def both(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose models `chat` and `responses` are named after what their upstream speaks."""
    url = f"{_shared_upstream.url}/v1"
    providers = {name: {"base_url": url, "dialect": f"openai-{name}", "api_key": "x"} for name in UPSTREAMS}
    models = {name: {"use": [f"{name}/mock"], "retry": {"attempts": 1}} for name in UPSTREAMS}
    quick = {"header_hold": "100ms", "keep_alive": "150ms"}
    config = gateway_config(_shared_upstream.url, providers=providers, models=models, server=quick)
    running = Gateway(tmp_path_factory.mktemp("responses"), config)
    yield running
    running.stop()


@pytest.fixture
def sdk(both: Gateway, upstream: Upstream) -> Iterator[OpenAI]:
    with OpenAI(base_url=both.base_url, api_key="sk-test", max_retries=0, timeout=20) as client:
        yield client


def saying(upstream_is: str, *pieces: str) -> Script:
    if upstream_is == "chat":
        return stream(text_chunks(pieces, usage=USAGE))
    return responses.stream(responses.Events().text(pieces).ended())


@over_each
def test_a_stream_is_read_event_by_event(sdk: OpenAI, upstream: Upstream, upstream_is: str) -> None:
    upstream.play(saying(upstream_is, "Hello", " 世界", "!"))
    events = list(sdk.responses.create(model=upstream_is, input="Hi", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert text == ["Hello", " 世界", "!"]
    assert isinstance(events[-1], ResponseCompletedEvent)
    final = events[-1].response
    assert final.output_text == "Hello 世界!"
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.output_tokens, final.usage.total_tokens) == (11, 7, 18)


@over_each
def test_the_accumulating_stream_accepts_the_lifecycle(
    sdk: OpenAI, upstream: Upstream, upstream_is: str
) -> None:
    upstream.play(saying(upstream_is, "One", " two"))
    with sdk.responses.stream(model=upstream_is, input="Hi") as events:
        snapshots = [event.snapshot for event in events if event.type == "response.output_text.delta"]
        final = events.get_final_response()
    assert snapshots == ["One", "One two"]
    assert final.output_text == "One two"
    assert final.status == "completed"


@over_each
def test_a_silence_is_no_end_and_no_mistake(sdk: OpenAI, upstream: Upstream, upstream_is: str) -> None:
    """hazards 3 and 9: what fills it is an event that the SDK takes, before the first word and within."""
    head, *sends, end = saying(upstream_is, "One", " two")
    upstream.play([head, Pause(0.4), *sends[:-3], Pause(0.4), *sends[-3:], end])
    with sdk.responses.stream(model=upstream_is, input="Hi") as events:
        kinds: list[str] = [event.type for event in events]
        final = events.get_final_response()
    assert kinds.count("keepalive") > 1
    assert final.output_text == "One two"


@over_each
def test_an_answer_in_one_piece(sdk: OpenAI, upstream: Upstream, upstream_is: str) -> None:
    upstream.play(saying(upstream_is, "One", " two"))
    answer = sdk.responses.create(
        model=upstream_is, input="Hi", instructions="Be brief.", metadata={"a": "b"}, temperature=0.5
    )
    assert answer.output_text == "One two"
    assert answer.id.startswith("resp_")
    assert (answer.instructions, answer.metadata, answer.temperature) == ("Be brief.", {"a": "b"}, 0.5)
    assert answer.completed_at is not None
    assert upstream.request().json["stream"] is True


@over_each
def test_calls_of_tools_go_out_and_their_results_come_back(
    sdk: OpenAI, upstream: Upstream, upstream_is: str
) -> None:
    """hazard 7: two calls at once stay two calls."""
    if upstream_is == "chat":
        calls = [
            chunk(tool_calls=[tool(0, "", call_id="call_a", name="weather")]),
            chunk(tool_calls=[tool(0, '{"city": "Oslo"}')]),
            chunk(tool_calls=[tool(1, "{}", call_id="call_b", name="time")]),
        ]
        script: Script = stream([*calls, chunk(finish="tool_calls"), envelope([], usage=USAGE)])
    else:
        built = responses.Events().call("weather", ['{"city":', ' "Oslo"}'], call_id="call_a")
        script = responses.stream(built.call("time", ["{}"], call_id="call_b").ended())
    upstream.play(script, saying(upstream_is, "Rain."))
    with sdk.responses.stream(model=upstream_is, input="Weather?", tools=TOOLS) as events:
        first = events.get_final_response()
    calls_made = [item for item in first.output if item.type == "function_call"]
    assert [(call.call_id, call.name, call.arguments) for call in calls_made] == [
        ("call_a", "weather", '{"city": "Oslo"}'),
        ("call_b", "time", "{}"),
    ]
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"result of {call.name}"}
        for call in calls_made
    ]
    history: Any = [
        {"role": "user", "content": "Weather?"},
        *(item.to_dict() for item in first.output),
        *results,
    ]
    second = sdk.responses.create(model=upstream_is, input=history, tools=TOOLS)
    assert second.output_text == "Rain."
    asked = upstream.request(1).json
    if upstream_is == "chat":
        assert [message["role"] for message in asked["messages"]] == ["user", "assistant", "tool", "tool"]
        assert [each["id"] for each in asked["messages"][1]["tool_calls"]] == ["call_a", "call_b"]
    else:
        assert [item.get("type", "message") for item in asked["input"]][-2:] == ["function_call_output"] * 2


def test_reasoning_of_a_chat_upstream_is_a_summary(sdk: OpenAI, upstream: Upstream) -> None:
    upstream.play(stream([chunk(reasoning="Let me "), chunk(reasoning="see."), *text_chunks(["Yes."])]))
    with sdk.responses.stream(model="chat", input="Hi") as events:
        thoughts = [each.delta for each in events if each.type == "response.reasoning_summary_text.delta"]
        final = events.get_final_response()
    assert thoughts == ["Let me ", "see."]
    assert [item.type for item in final.output] == ["reasoning", "message"]
    assert final.output_text == "Yes."


def test_reasoning_goes_back_to_its_upstream_as_it_came(sdk: OpenAI, upstream: Upstream) -> None:
    built = responses.Events().reasoning(["Let me ", "see."], "gAAAAA+/==").text(["Yes."])
    upstream.play(responses.stream(built.ended()), saying("responses", "Again."))
    first = sdk.responses.create(model="responses", input="Hi")
    history: Any = [{"role": "user", "content": "Hi"}, *(item.to_dict() for item in first.output)]
    sdk.responses.create(model="responses", input=[*history, {"role": "user", "content": "Sure?"}])
    [item] = [each for each in upstream.request(1).json["input"] if each.get("type") == "reasoning"]
    assert (item["id"], item["encrypted_content"]) == ("rs_up", "gAAAAA+/==")


class Weather(BaseModel):
    city: str
    degrees: int


@over_each
def test_an_answer_is_parsed_by_its_schema(sdk: OpenAI, upstream: Upstream, upstream_is: str) -> None:
    upstream.play(saying(upstream_is, '{"city": "Oslo",', ' "degrees": 7}'))
    answer = sdk.responses.parse(model=upstream_is, input="Weather?", text_format=Weather)
    assert answer.output_parsed == Weather(city="Oslo", degrees=7)
    asked = upstream.request().json
    form = asked["response_format"]["json_schema"] if upstream_is == "chat" else asked["text"]["format"]
    assert form["name"] == "Weather"
    assert form["strict"] is True
    assert set(form["schema"]["properties"]) == {"city", "degrees"}


@over_each
def test_a_refusal_of_the_upstream_raises_the_class_of_its_status(
    sdk: OpenAI, upstream: Upstream, upstream_is: str
) -> None:
    upstream.play(error(429, "slow down", kind="rate_limit_error"))
    with pytest.raises(openai.RateLimitError, match="slow down"):
        sdk.responses.create(model=upstream_is, input="Hi", stream=True)


@over_each
def test_a_break_is_a_failed_response(sdk: OpenAI, upstream: Upstream, upstream_is: str) -> None:
    """hazards 1 and 20: what came, then an error in this dialect, and no success."""
    if upstream_is == "chat":
        upstream.play(broken_off(text_chunks(["One", " two"], finish=None)))
    else:
        upstream.play(responses.broken_off(responses.Events().text(["One", " two"], done=False).said))
    events = list(sdk.responses.create(model=upstream_is, input="Hi", stream=True))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == "One two"
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    assert isinstance(events[-1], ResponseFailedEvent)
    assert events[-1].response.error is not None
    assert events[-1].response.error.message


def test_the_demo_model_answers(sdk: OpenAI) -> None:
    with sdk.responses.stream(model="demo", input="Hello there") as events:
        final = events.get_final_response()
    assert "Hello there" in final.output_text


def test_the_demo_model_calls_a_tool_of_free_text(sdk: OpenAI) -> None:
    """What was called as a function comes out as the custom tool that it was declared as."""
    tools: Any = [{"type": "custom", "name": "code", "description": "Runs Python."}]
    with sdk.responses.stream(model="demo", input="print(1)", tools=tools) as events:
        final = events.get_final_response()
    [call] = final.output
    assert call.type == "custom_tool_call"
    assert (call.name, call.input) == ("code", "print(1)")
