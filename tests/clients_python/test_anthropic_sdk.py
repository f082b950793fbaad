"""The official Anthropic SDK over every kind of upstream: streams, tools, thinking, usable error classes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from tests import messages
from tests.chat import USAGE, chunk, envelope, error, frame, plain, tool
from tests.chat import stream as chat_stream
from tests.dialects.test_messages_prompts import claude_code
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.messages import answer, call, event, failure, message_start, redacted, text, thinking
from tests.raw_http import fetch
from tests.script import Close, End, Head, Reset, Script, Send, Stall, Step
from tests.upstream import Upstream

Json = dict[str, Any]

QUESTION: Any = [{"role": "user", "content": "What is the weather?"}]
TOOLS: Any = [
    {
        "name": "get_weather",
        "description": "The weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
PIECES = ["Streams, ", "世界 😀 ", "data: and\n\n", "an end."]
WHOLE = "".join(PIECES)
SIGNATURE = "EqQBCgIYAhIM+/=="
ASKED: Any = {"max_tokens": 100, "messages": QUESTION}


@pytest.fixture
def claude(gateway: Gateway) -> Iterator[Anthropic]:
    with Anthropic(base_url=gateway.url, api_key="sk-test", max_retries=0, timeout=20) as sdk:
        yield sdk


def chat_text(pieces: list[str]) -> Script:
    chunks = [chunk("", role="assistant"), *(chunk(piece) for piece in pieces), chunk(finish="stop")]
    return chat_stream([*chunks, envelope([], usage=USAGE)])


def texts(dialect: str) -> Script:
    """An answer of text from an upstream of a dialect, which the model's name stands for."""
    return chat_text(PIECES) if dialect == "m" else messages.stream(answer(text(0, PIECES)))


over_both = pytest.mark.parametrize("model", ["m", "c"], ids=["over-chat", "over-messages"])


@over_both
def test_text(claude: Anthropic, upstream: Upstream, model: str) -> None:
    """Streamed raw, streamed by the helper, and whole."""
    upstream.play(texts(model), texts(model), texts(model))
    said = ""
    for each in claude.messages.create(model=model, stream=True, **ASKED):
        if each.type == "content_block_delta" and each.delta.type == "text_delta":
            said += each.delta.text
    assert said == WHOLE
    with claude.messages.stream(model=model, **ASKED) as stream:
        assert "".join(stream.text_stream) == WHOLE
        final = stream.get_final_message()
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("end_turn", 11, 7)
    whole = claude.messages.create(model=model, **ASKED)
    assert [(block.type, block.text) for block in whole.content if block.type == "text"] == [("text", WHOLE)]
    assert whole.usage.output_tokens == 7
    assert (whole.model, whole.role, whole.stop_reason) == ("mock", "assistant", "end_turn")


def test_asynchronously(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(texts("m"), texts("c"))

    async def run() -> list[str]:
        said = []
        async with AsyncAnthropic(base_url=gateway.url, auth_token="sk-test", max_retries=0) as sdk:
            for model in ("m", "c"):
                async with sdk.messages.stream(model=model, **ASKED) as stream:
                    said.append("".join([piece async for piece in stream.text_stream]))
        return said

    assert asyncio.run(run()) == [WHOLE, WHOLE]


def parallel_calls(dialect: str, arguments: list[str]) -> Script:
    """Some text, and calls whose arguments come in pieces."""
    pieces = [[each[:4], each[4:9], each[9:]] for each in arguments]
    if dialect == "c":
        blocks = [call(at + 1, "get_weather", each) for at, each in enumerate(pieces)]
        return messages.stream(answer(text(0, ["Let me look."]), *blocks, reason="tool_use"))
    chunks = [chunk("", role="assistant"), chunk("Let me look.")]
    for at, each in enumerate(pieces):
        chunks.append(chunk(tool_calls=[tool(at, "", call_id=f"toolu_{at + 1}", name="get_weather")]))
        chunks += [chunk(tool_calls=[tool(at, piece)]) for piece in each]
    return chat_stream([*chunks, chunk(finish="tool_calls"), envelope([], usage=USAGE)])


@over_both
def test_text_and_three_calls_at_once(claude: Anthropic, upstream: Upstream, model: str) -> None:
    """Each call has its own block, its arguments are one JSON value; the turn says that tools are to run."""
    arguments = [json.dumps({"city": city}, ensure_ascii=False) for city in ("Zürich", "東京", "Paris")]
    upstream.play(parallel_calls(model, arguments), parallel_calls(model, arguments))
    with claude.messages.stream(model=model, tools=TOOLS, **ASKED) as stream:
        deltas: dict[int, str] = {}
        for each in stream:
            if each.type == "content_block_delta" and each.delta.type == "input_json_delta":
                assert each.delta.partial_json
                deltas[each.index] = deltas.get(each.index, "") + each.delta.partial_json
        final: Any = stream.get_final_message()
    assert deltas == dict(enumerate(arguments, start=1))
    assert final.stop_reason == "tool_use"
    whole: Any = claude.messages.create(model=model, tools=TOOLS, **ASKED)
    for said in (final, whole):
        assert [block.type for block in said.content] == ["text", *["tool_use"] * 3]
        inputs = [block.input for block in said.content if block.type == "tool_use"]
        assert inputs == [json.loads(each) for each in arguments]
        assert len({block.id for block in said.content if block.type == "tool_use"}) == 3


@over_both
def test_a_tool_loop(claude: Anthropic, upstream: Upstream, model: str) -> None:
    """What the model said goes back as it came, with results; the upstream gets them in its own form."""
    upstream.play(parallel_calls(model, ['{"city":"Rome"}']), texts(model))
    first: Any = claude.messages.create(model=model, tools=TOOLS, **ASKED)
    called = [block for block in first.content if block.type == "tool_use"]
    results: Any = [
        {"type": "tool_result", "tool_use_id": each.id, "content": "sunny", "is_error": False}
        for each in called
    ]
    turns: Any = [*QUESTION, first.to_param(), {"role": "user", "content": results}]
    second = claude.messages.create(model=model, max_tokens=100, tools=TOOLS, messages=turns)
    assert second.stop_reason == "end_turn"
    asked = upstream.request(1).json["messages"]
    if model == "m":
        assert [each["role"] for each in asked] == ["user", "assistant", "tool"]
        assert json.loads(asked[1]["tool_calls"][0]["function"]["arguments"]) == {"city": "Rome"}
        assert asked[2] == {"role": "tool", "tool_call_id": called[0].id, "content": "sunny"}
    else:
        assert asked[1]["content"][1]["input"] == {"city": "Rome"}
        assert asked[2]["content"] == results


def test_a_call_that_the_limit_cut_is_no_call(claude: Anthropic, upstream: Upstream) -> None:
    cut = [chunk(tool_calls=[tool(0, '{"city": "Z', call_id="call_1", name="get_weather")])]
    chunks = [chunk("", role="assistant"), *cut, chunk(finish="length")]
    upstream.play(chat_stream(chunks), chat_stream(chunks))
    kinds = [each.type for each in claude.messages.create(model="m", stream=True, tools=TOOLS, **ASKED)]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert claude.messages.create(model="m", tools=TOOLS, **ASKED).stop_reason == "max_tokens"


def test_the_demo_model(claude: Anthropic) -> None:
    """Text, then a tool call, then an answer to its result."""
    with claude.messages.stream(model="demo", **ASKED) as stream:
        assert "demo model" in stream.get_final_text()
    first: Any = claude.messages.create(model="demo", tools=TOOLS, **ASKED)
    [called] = [block for block in first.content if block.type == "tool_use"]
    assert (first.stop_reason, called.name) == ("tool_use", "get_weather")
    result: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": called.id}]}
    turns: Any = [*QUESTION, first.to_param(), result]
    second = claude.messages.create(model="demo", max_tokens=9, tools=TOOLS, messages=turns)
    assert (second.content[0].type, second.stop_reason) == ("text", "max_tokens")


# Thinking.


@pytest.mark.parametrize("streamed", [True, False])
def test_signed_thinking_comes_back_to_its_upstream_byte_for_byte(
    claude: Anthropic, upstream: Upstream, streamed: bool
) -> None:
    """Signed text, a signature alone, and redacted thinking, returned in the next turn of a tool loop."""
    blocks = [thinking(0, ["Hm", "."], SIGNATURE), thinking(1, [], "alone=="), redacted(2, "EmwKAhgB")]
    called = call(3, "get_weather", ['{"city":', '"Rome"}'])
    upstream.play(messages.stream(answer(*blocks, called, reason="tool_use")), texts("c"))
    asked: Any = {"model": "c", "thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}
    if streamed:
        with claude.messages.stream(messages=QUESTION, tools=TOOLS, **asked) as stream:
            first = stream.get_final_message()
    else:
        first = claude.messages.create(messages=QUESTION, tools=TOOLS, **asked)
    kinds = ["thinking", "thinking", "redacted_thinking", "tool_use"]
    assert [block.type for block in first.content] == kinds
    result: Any = {"type": "tool_result", "tool_use_id": "toolu_3", "content": "sunny"}
    turns: Any = [*QUESTION, first.to_param(), {"role": "user", "content": [result]}]
    claude.messages.create(messages=turns, tools=TOOLS, **asked)
    back = upstream.request(1).json["messages"][1]["content"]
    assert back[:3] == [
        {"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE},
        {"type": "thinking", "thinking": "", "signature": "alone=="},
        {"type": "redacted_thinking", "data": "EmwKAhgB"},
    ]


def test_reasoning_of_another_dialect_is_thinking(claude: Anthropic, upstream: Upstream) -> None:
    chunks = [chunk("", role="assistant"), chunk(reasoning="Hm"), chunk(reasoning="."), chunk("Yes.")]
    upstream.play(chat_stream([*chunks, chunk(finish="stop")]))
    with claude.messages.stream(
        model="m", thinking={"type": "enabled", "budget_tokens": 1024}, **ASKED
    ) as stream:
        final = stream.get_final_message()
    thought, said = final.content
    assert thought.type == "thinking"
    assert (thought.thinking, thought.signature) == ("Hm.", "")
    assert said.type == "text"
    assert said.text == "Yes."
    assert upstream.request().json["reasoning_effort"] == "low"


# Errors.


ERRORS: list[tuple[int, type[anthropic.APIStatusError], str]] = [
    (400, anthropic.BadRequestError, "invalid_request_error"),
    (404, anthropic.NotFoundError, "not_found_error"),
    (413, anthropic.RequestTooLargeError, "request_too_large"),
    (429, anthropic.RateLimitError, "rate_limit_error"),
    (500, anthropic.InternalServerError, "api_error"),
    (503, anthropic.ServiceUnavailableError, "overloaded_error"),
    (529, anthropic.OverloadedError, "overloaded_error"),
]


@over_both
@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(("status", "raised", "kind"), ERRORS, ids=[str(each[0]) for each in ERRORS])
def test_an_upstreams_refusal_raises_the_class_that_users_expect(
    claude: Anthropic,
    upstream: Upstream,
    model: str,
    streamed: bool,
    status: int,
    raised: type[anthropic.APIStatusError],
    kind: str,
) -> None:
    said = {"type": "error", "error": {"type": kind, "message": "it is not to be"}}
    upstream.play(plain(said, status) if model == "c" else error(status, "it is not to be", kind="odd"))
    with pytest.raises(raised, match="it is not to be") as told:
        claude.messages.create(model=model, stream=streamed, **ASKED)
    assert told.value.status_code == status
    assert told.value.type == kind


def test_an_unknown_model_names_the_nearest(claude: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="demo"):
        claude.messages.create(model="dmo", **ASKED)


@pytest.mark.parametrize("kind", ["overloaded_error", "api_error", "rate_limit_error"])
def test_an_error_as_the_first_event_has_its_true_status(
    claude: Anthropic, upstream: Upstream, kind: str
) -> None:
    """Though the upstream had answered 200: nothing was shown yet."""
    upstream.play(messages.stream([message_start(), failure(kind, "no")]))
    with pytest.raises(anthropic.APIStatusError, match="no") as told:
        claude.messages.create(model="c", stream=True, **ASKED)
    assert (
        told.value.status_code == {"overloaded_error": 529, "api_error": 500, "rate_limit_error": 429}[kind]
    )
    assert told.value.type == kind


ENDS: dict[str, list[Step]] = {"reset": [Reset()], "fin": [Close()], "end": [End()]}


@over_both
@pytest.mark.parametrize("end", ["error", *ENDS])
def test_an_answer_that_breaks_raises_after_what_was_said(
    claude: Anthropic, upstream: Upstream, model: str, end: str
) -> None:
    """All of twenty deltas arrive, then one error; never a message_stop."""
    pieces = [f"{number} " for number in range(20)]
    if model == "c":
        begun = [message_start(), *text(0, pieces)[:-1]]
        last = [Send(event(failure())), End()] if end == "error" else ENDS[end]
        upstream.play(messages.stream(begun, *last))
    else:
        sent = [Send(frame(each)) for each in [chunk("", role="assistant"), *map(chunk, pieces)]]
        broken = Send(frame({"error": {"message": "Overloaded", "type": "overloaded_error"}}))
        upstream.play([Head(), *sent, *([broken, End()] if end == "error" else ENDS[end])])
    said, kinds = "", []
    with pytest.raises(anthropic.APIStatusError) as told:  # noqa: PT012 - it must raise at the end only
        for each in claude.messages.create(model=model, stream=True, **ASKED):
            kinds.append(each.type)
            if each.type == "content_block_delta" and each.delta.type == "text_delta":
                said += each.delta.text
    assert said == "".join(pieces)
    assert "message_stop" not in kinds
    assert "content_block_stop" not in kinds
    assert told.value.type == ("overloaded_error" if end == "error" else "api_error")
    if end == "error":
        assert "Overloaded" in told.value.message


def test_a_call_that_breaks_off_is_named(claude: Anthropic, upstream: Upstream) -> None:
    begun = [message_start(), *call(0, "write_file", ['{"path": "a'])[:-1]]
    upstream.play(messages.stream(begun))
    with pytest.raises(anthropic.APIStatusError, match="write_file"):
        for _ in claude.messages.create(model="c", stream=True, tools=TOOLS, **ASKED):
            pass


# Pings, counting, paths, headers.


def test_silence_is_filled_with_pings(eager_gateway: Gateway, upstream: Upstream) -> None:
    upstream.play([Head(), Stall()])
    body = {"model": "hasty", "stream": True, **ASKED}
    response = fetch(eager_gateway.address, "POST", "/v1/messages", body)
    names = [line for line in response.body.decode().split("\n") if line.startswith("event: ")]
    assert names[0] == "event: message_start"
    assert names[1:-1] == ["event: ping"] * (len(names) - 2)
    assert len(names) > 2
    assert names[-1] == "event: error"


def test_tokens_are_counted_by_the_upstream_that_can(claude: Anthropic, upstream: Upstream) -> None:
    upstream.play(plain({"input_tokens": 4321}))
    counted = claude.messages.count_tokens(model="c", messages=QUESTION, tools=TOOLS)
    assert counted.input_tokens == 4321
    asked = upstream.request()
    assert asked.path == "/v1/messages/count_tokens"
    assert asked.json == {"model": "mock", "messages": QUESTION, "tools": TOOLS}


@pytest.mark.parametrize("status", [404, 405, 501])
def test_tokens_are_estimated_where_the_upstream_cannot_count(
    claude: Anthropic, upstream: Upstream, status: int
) -> None:
    upstream.play(error(status))
    over_messages = claude.messages.count_tokens(model="c", messages=QUESTION, tools=TOOLS)
    over_chat = claude.messages.count_tokens(model="m", messages=QUESTION, tools=TOOLS)
    assert 30 < over_chat.input_tokens < 100
    assert over_messages == over_chat
    assert len(upstream.requests) == 1


def test_a_count_that_is_refused_is_an_error(claude: Anthropic, upstream: Upstream) -> None:
    upstream.play(plain(failure("rate_limit_error", "slow"), 429))
    with pytest.raises(anthropic.RateLimitError, match="slow"):
        claude.messages.count_tokens(model="c", messages=QUESTION)
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.count_tokens(model="dmo", messages=QUESTION)


@pytest.mark.parametrize("path", ["/v1/messages", "/messages", "/v1/messages?beta=true", "//v1//messages/"])
def test_any_spelling_of_the_path(gateway: Gateway, upstream: Upstream, path: str) -> None:
    headers = {"x-api-key": "sk", "anthropic-beta": "a,b", "anthropic-version": "2026-10-21"}
    upstream.play(texts("c"))
    response = fetch(gateway.address, "POST", path, {"model": "c", **ASKED}, headers)
    assert response.json["type"] == "message"
    sent = upstream.request().headers
    assert (sent["anthropic-beta"], sent["anthropic-version"]) == ("a,b", "2026-10-21")


def test_callers_headers_stay_with_their_dialect(gateway: Gateway, upstream: Upstream) -> None:
    fetch(gateway.address, "POST", "/v1/messages", {"model": "m", **ASKED}, {"anthropic-beta": "a"})
    assert "anthropic-beta" not in upstream.request(0).headers
    upstream.play(texts("c"))
    fetch(gateway.address, "POST", "/v1/messages", {"model": "c", **ASKED})
    assert upstream.request(1).headers["anthropic-version"] == "2023-06-01"


# More than one deployment, who may ask, and what Claude Code sends.


@pytest.mark.parametrize(
    "first",
    [
        messages.stream([message_start(), messages.PING, failure()]),
        messages.stream([message_start(), *text(0, [])[:1], failure()]),
        messages.broken_off([message_start()]),
        plain(failure(), 529),
    ],
    ids=["error event", "error in an empty block", "broken off", "status"],
)
def test_what_fails_before_the_first_token_falls_back_to_another_dialect(
    upstream: Upstream, start_gateway: StartGateway, first: Script
) -> None:
    """One seamless stream, with one start."""
    model = {"use": ["claude/mock-a", "up/mock-b"], "retry": {"attempts": 1}}
    gateway = start_gateway(gateway_config(upstream.url, models={"mixed": model}))
    upstream.play(first, texts("m"))
    with Anthropic(base_url=gateway.url, api_key="sk", max_retries=0) as sdk:
        events = list(sdk.messages.create(model="mixed", stream=True, **ASKED))
    kinds = [each.type for each in events]
    assert (kinds.count("message_start"), kinds[-1]) == (1, "message_stop")
    said = [
        each.delta.text
        for each in events
        if each.type == "content_block_delta" and each.delta.type == "text_delta"
    ]
    assert "".join(said) == WHOLE
    assert [asked.path for asked in upstream.requests] == ["/v1/messages", "/v1/chat/completions"]


def test_keys_are_asked_for_in_anthropics_envelope(upstream: Upstream, start_gateway: StartGateway) -> None:
    gateway = start_gateway(gateway_config(upstream.url, auth={"list": ["sk-right"]}))
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        refused = fetch(gateway.address, "POST", path, {"model": "m", **ASKED})
        assert refused.status == 401
        assert refused.json["type"] == "error"
        assert refused.json["error"]["type"] == "authentication_error"
    wrong = Anthropic(base_url=gateway.url, api_key="sk-wrong", max_retries=0)
    with wrong as sdk, pytest.raises(anthropic.AuthenticationError):
        sdk.messages.create(model="m", **ASKED)
    by_name = Anthropic(base_url=gateway.url, api_key="sk-right", max_retries=0)
    as_bearer = Anthropic(base_url=gateway.url, auth_token="sk-right", max_retries=0)
    for right in (by_name, as_bearer):
        with right as sdk:
            assert sdk.messages.create(model="demo", **ASKED).type == "message"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens?beta=true"])
def test_other_methods_are_refused_in_anthropics_envelope(gateway: Gateway, method: str, path: str) -> None:
    refused = fetch(gateway.address, method, path)
    assert refused.status == 405
    assert "POST" in (refused.head.get("allow") or "")
    assert method == "HEAD" or refused.json["error"]["type"] == "invalid_request_error"


def test_a_limit_that_is_missing_is_named(gateway: Gateway) -> None:
    refused = fetch(gateway.address, "POST", "/v1/messages", {"model": "m", "messages": QUESTION})
    assert refused.status == 400
    assert "'max_tokens' is missing" in refused.json["error"]["message"]


def test_a_request_of_claude_code_over_a_chat_upstream(gateway: Gateway, upstream: Upstream) -> None:
    """120 kB, 24 tools; what Chat has no form for is named."""
    upstream.play(parallel_calls("m", ['{"city":"Rome"}']))
    headers = {"anthropic-beta": "claude-code-20250219", "anthropic-version": "2023-06-01", "x-api-key": "k"}
    response = fetch(gateway.address, "POST", "/v1/messages?beta=true", claude_code(), headers)
    assert response.status == 200
    assert b"message_stop" in response.body
    dropped = response.head.get("tidegate-dropped") or ""
    assert set(dropped.split(", ")) == {"cache_control", "context_management"}
    assert len(upstream.request().json["tools"]) == 24


def test_an_upstreams_models_are_found_in_anthropics_list(
    upstream: Upstream, start_gateway: StartGateway
) -> None:
    """Without models of its own, a gateway lists what the provider lists."""
    providers = {"anthropic": {"base_url": f"{upstream.url}/v1", "preset": "anthropic", "api_key": "sk-ant"}}
    gateway = start_gateway({"providers": providers, "default_model": "demo"})
    assert "mock" in [each["id"] for each in gateway.get("/v1/models")["data"]]
    assert upstream.probes[0].headers["x-api-key"] == "sk-ant"
    assert upstream.probes[0].headers["anthropic-version"] == "2023-06-01"
