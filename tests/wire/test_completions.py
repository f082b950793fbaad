"""`POST /v1/completions`: raw text to upstreams that continue it, a conversation to those that do not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from openai import APIError, BadRequestError, OpenAI

from tests.chat import DONE, USAGE, Json, chunk, error, frame, plain, stream, streamed_bytes, text_stream
from tests.chat_stream import body_for, payloads, post_chat, stream_chat
from tests.gateway import Gateway, gateway_config
from tests.raw_http import Response, fetch
from tests.script import Script, Stall
from tests.upstream import Upstream

RAW = "/v1/completions"
CHAT = "/v1/chat/completions"


def piece(text: str, index: int = 0, finish: str | None = None, **more: Any) -> Json:
    """One frame as vLLM and llama.cpp send it."""
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "base",
        "choices": [choice],
        **more,
    }


def raw_stream(*pieces: str) -> Script:
    frames = [*map(piece, pieces), piece("", finish="stop"), {**piece(""), "choices": [], "usage": USAGE}]
    return streamed_bytes(b"".join(map(frame, frames)) + DONE)


NOT_ON = {"Tidegate-On-Break": "fail"}
"""Raw text is gone on with otherwise when an upstream breaks off."""


def ask(
    gateway: Gateway, prompt: Any = "def fib(", headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    return fetch(gateway.address, "POST", RAW, {"model": "m", "prompt": prompt, **more}, headers=headers)


def frames(response: Response) -> list[Json]:
    data = payloads(response.body)
    assert data[-1] == "[DONE]"
    return [json.loads(each) for each in data[:-1]]


def text(chunks: list[Json], index: int = 0) -> str:
    choices = [choice for each in chunks for choice in each["choices"]]
    return "".join(choice["text"] for choice in choices if choice["index"] == index)


@pytest.fixture(scope="module")
def _others(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    url = f"{_shared_upstream.url}/v1"
    providers = {
        "chatty": {"base_url": url, "api_key": "none", "quirks": ["no_completions"]},
        "base": {"base_url": url, "api_key": "none", "dialect": "openai-completions"},
    }
    models = {name: {"use": [f"{name}/mock"], "retry": {"attempts": 1}} for name in providers}
    config = gateway_config(_shared_upstream.url, providers=providers, models=models)
    config["server"] = {"header_hold": "100ms", "keep_alive": "150ms"}
    running = Gateway(tmp_path_factory.mktemp("others"), config)
    yield running
    running.stop()


@pytest.fixture
def others(_others: Gateway, upstream: Upstream) -> Gateway:
    """A gateway with `chatty`, which has no `/completions`, and `base`, which has nothing else."""
    return _others


def test_the_body_goes_to_the_upstreams_own_completions(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(raw_stream("n", "):"))
    more: dict[str, Any] = {
        "suffix": "return",
        "echo": False,
        "logprobs": 2,
        "guided_regex": "x",
        "max_tokens": 5,
    }
    chunks = frames(ask(gateway, stream=True, **more))
    asked = upstream.request()
    assert asked.path == RAW
    assert asked.json == {
        "model": "mock",
        "prompt": "def fib(",
        "stream": True,
        "stream_options": {"include_usage": True},
        **more,
    }
    assert text(chunks) == "n):"
    assert {each["object"] for each in chunks} == {"text_completion"}
    assert {each["model"] for each in chunks} == {"base"}
    assert all(each["id"].startswith("cmpl-") and "usage" not in each for each in chunks)
    assert chunks[-1]["choices"] == [{"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}]


def test_a_whole_answer_is_the_same_text(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(raw_stream("n", "):"))
    answer = ask(gateway).json
    assert answer["choices"] == [{"index": 0, "text": "n):", "logprobs": None, "finish_reason": "stop"}]
    assert answer["usage"] == USAGE


@pytest.mark.parametrize("prompt", [["a", "b"], [[1, 2], [3]], [1, 2, 3]])
def test_prompts_of_every_form_pass(gateway: Gateway, upstream: Upstream, prompt: Any) -> None:
    upstream.play(
        streamed_bytes(
            b"".join(map(frame, [piece("x", 1), piece("y"), piece("", 0, "stop"), piece("", 1, "stop")]))
            + DONE
        )
    )
    chunks = frames(ask(gateway, prompt, stream=True, n=2))
    assert upstream.request().json["prompt"] == prompt
    assert (text(chunks, 0), text(chunks, 1)) == ("y", "x")


def test_the_best_of_several_is_not_asked_for_as_a_stream(gateway: Gateway, upstream: Upstream) -> None:
    best = {"id": "c", "object": "text_completion", "created": 1, "model": "base"}
    upstream.play(plain({**best, "choices": piece("best", finish="stop")["choices"], "usage": USAGE}))
    assert ask(gateway, best_of=3).json["choices"][0]["text"] == "best"
    assert "stream" not in upstream.request().json


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_without_it_is_asked_in_a_conversation(
    gateway: Gateway, upstream: Upstream, status: int
) -> None:
    upstream.play(error(status, "This is a chat model"), text_stream(["Once ", "more"]))
    assert text(frames(ask(gateway, stream=True, max_tokens=3))) == "Once more"
    assert [request.path for request in upstream.requests] == [RAW, CHAT]
    assert upstream.request(1).json["messages"] == [{"role": "user", "content": "def fib("}]
    assert upstream.request(1).json["max_tokens"] == 3


def test_other_refusals_are_told(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(error(400, "prompt is too long"))
    response = ask(gateway)
    assert (response.status, response.json["error"]["message"]) == (400, "prompt is too long")
    assert len(upstream.requests) == 1


def test_the_quirk_saves_asking(others: Gateway, upstream: Upstream) -> None:
    upstream.play(text_stream(["yes"]))
    response = ask(others, ["one"], model="chatty", best_of=1, logprobs=2, n=1)
    assert response.json["choices"][0]["text"] == "yes"
    assert response.head.get("tidegate-dropped") == "best_of"
    [request] = upstream.requests
    assert request.path == CHAT
    assert request.json["messages"] == [{"role": "user", "content": "one"}]
    assert (request.json["logprobs"], request.json["top_logprobs"]) == (True, 2)


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("suffix", {"suffix": "x"}),
        ("echo", {"echo": True}),
        ("prompt", {"prompt": ["a", "b"]}),
        ("prompt", {"prompt": [1, 2]}),
        ("prompt", {"prompt": [[1, 2]]}),
    ],
)
def test_what_a_conversation_cannot_do_is_named(
    others: Gateway, upstream: Upstream, field: str, more: Json
) -> None:
    response = ask(others, **{"model": "chatty", **more})
    assert (response.status, response.json["error"]["param"]) == (400, field)
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("param", "more"),
    [
        ("prompt", {"prompt": None}),
        ("prompt", {"prompt": []}),
        ("prompt", {"prompt": {"a": 1}}),
        ("n", {"prompt": ["a"] * 65, "n": 2}),
        ("fallback_models", {"fallback_models": ["nobody"]}),
    ],
)
def test_mistakes_are_told_with_their_field(gateway: Gateway, param: str, more: Json) -> None:
    response = ask(gateway, **more)
    assert response.status == 400
    assert response.json["error"]["param"].startswith(param)


def test_thinking_of_a_conversation_is_text_only_when_asked_for(others: Gateway, upstream: Upstream) -> None:
    thinks = stream([chunk(reasoning="hm"), chunk("so"), chunk(finish="stop")])
    upstream.play(thinks, thinks)
    assert ask(others, model="chatty").json["choices"][0]["text"] == "so"
    shown = ask(others, model="chatty", thinking_to_content=True).json["choices"][0]["text"]
    assert shown == "<think>\nhm\n</think>\nso"


def test_a_server_of_raw_text_answers_conversations(others: Gateway, upstream: Upstream) -> None:
    upstream.play(raw_stream(" Hi", " there"))
    history = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    answer = stream_chat(others.address, model="base", messages=history, stop="END").succeeded()
    assert answer.text() == " Hi there"
    asked = upstream.request()
    assert asked.path == RAW
    assert asked.json["prompt"] == "System: Be brief.\n\nUser: Hello\n\nAssistant:"
    assert asked.json["stop"] == ["END", "\n\nUser:"]


def test_a_lone_question_is_its_own_prompt(others: Gateway, upstream: Upstream) -> None:
    upstream.play(raw_stream("x"))
    stream_chat(others.address, "Once", model="base").succeeded()
    assert (upstream.request().json["prompt"], "stop" in upstream.request().json) == ("Once", False)


def test_tools_are_refused_by_a_server_of_raw_text(others: Gateway) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    response = post_chat(others.address, body_for(model="base", tools=tools))
    assert (response.status, response.json["error"]["param"]) == (400, "tools")


def test_silence_is_filled_with_empty_texts(others: Gateway, upstream: Upstream) -> None:
    started = streamed_bytes(frame(piece("a")))[:-1]
    upstream.play([*started, Stall()])
    response = ask(others, model="hasty", stream=True, headers=NOT_ON)
    data = [json.loads(each) for each in payloads(response.body)]
    assert [each["choices"][0]["text"] for each in data][:3] == ["", "a", ""]
    assert data[-1]["error"]["code"] == "idle"
    assert data[-1]["choices"][0]["finish_reason"] == "error"


def test_headers_are_committed_before_a_token_has_come(others: Gateway, upstream: Upstream) -> None:
    upstream.play([*streamed_bytes(b"")[:1], Stall()])
    response = ask(others, model="hasty", stream=True)
    assert response.status == 200
    assert json.loads(payloads(response.body)[0])["choices"][0]["text"] == ""


def test_the_sdk_reads_streams_and_whole_answers(client: OpenAI, upstream: Upstream) -> None:
    upstream.play(raw_stream("n", "):"), raw_stream("n", "):"))
    with client.completions.create(
        model="m", prompt="def fib(", stream=True, stream_options={"include_usage": True}
    ) as answer:
        parts = list(answer)
    assert "".join(part.choices[0].text for part in parts if part.choices) == "n):"
    assert parts[-1].usage is not None
    assert parts[-1].usage.total_tokens == 18
    whole = client.completions.create(model="m", prompt="def fib(")
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("n):", "stop")


def test_the_sdk_raises_what_breaks_off(client: OpenAI, upstream: Upstream) -> None:
    upstream.play(streamed_bytes(frame(piece("a")) + frame({"error": {"message": "gone"}})))
    asked: Any = {"model": "m", "prompt": "x", "extra_headers": NOT_ON}
    with client.completions.create(**asked, stream=True) as answer:  # noqa: SIM117
        with pytest.raises(APIError, match="gone"):
            list(answer)
    with pytest.raises(BadRequestError):
        client.completions.create(model="m", prompt=[])


def test_logprobs_keep_their_legacy_form(gateway: Gateway, upstream: Upstream) -> None:
    logprobs = {"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": [None], "text_offset": [3]}
    sent = piece("a")
    sent["choices"][0]["logprobs"] = logprobs
    upstream.play(streamed_bytes(frame(sent) + frame(piece("", finish="stop")) + DONE))
    assert ask(gateway).json["choices"][0]["logprobs"] == logprobs


def test_logprobs_in_chats_form_become_legacy(gateway: Gateway, upstream: Upstream) -> None:
    """llama.cpp sends them so."""

    def of(token: str) -> Json:
        other = {"id": 1, "token": "x", "bytes": [120], "logprob": -2.0}
        sent = piece(token)
        entry = {"id": 5, "token": token, "bytes": [97], "logprob": -1.0, "top_logprobs": [other]}
        sent["choices"][0]["logprobs"] = {"content": [entry]}
        return sent

    body = b"".join(map(frame, [of("ab"), of("c"), piece("", finish="stop")])) + DONE
    upstream.play(streamed_bytes(body))
    found = [each["choices"][0]["logprobs"] for each in frames(ask(gateway, stream=True))]
    assert [each["text_offset"] for each in found if each] == [[0], [2]]
    assert found[1]["top_logprobs"] == [{"x": -2.0}]
