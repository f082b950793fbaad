"""The official SDKs read an answer that was gone on with as one answer, and look past what tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.chat_stream import stream_chat
from tests.gateway import Gateway
from tests.hazards.going_on import PIECES, QUESTION, TEXT, breaks_after, config
from tests.upstream import Upstream

COUNT = 4
TOLD = [{"seq": COUNT + 1, "characters": len("".join(PIECES[:COUNT])), "error": "upstream_error"}]
ASKED: Any = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def _healing(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("healing"), config(_shared_upstream))
    yield running
    running.stop()


@pytest.fixture
def healing(_healing: Gateway, upstream: Upstream) -> Gateway:
    stream_chat(_healing.address, model="alone").succeeded()
    upstream.answer = breaks_after(COUNT)
    return _healing


@pytest.fixture
def openai(healing: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=healing.base_url, api_key="sk-test", max_retries=0, timeout=20) as sdk:
        yield sdk


def told(value: Any) -> Any:
    return value.model_extra["tidegate"]["seams"]


def test_chat(openai: OpenAI) -> None:
    with openai.chat.completions.create(model="prefill", messages=ASKED, stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert [told(chunk) for chunk in chunks if chunk.model_extra] == [TOLD]
    whole = openai.chat.completions.create(model="prefill", messages=ASKED)
    assert (whole.choices[0].message.content, told(whole)) == (TEXT, TOLD)


def test_legacy_completions(openai: OpenAI) -> None:
    with openai.completions.create(model="prefill", prompt=QUESTION, stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks) == TEXT
    assert told(chunks[-1]) == TOLD


def test_responses(openai: OpenAI) -> None:
    with openai.responses.stream(model="prefill", input=QUESTION) as stream:
        response = stream.until_done().get_final_response()
    assert (response.output_text, response.status) == (TEXT, "completed")
    assert told(response) == TOLD


def test_messages(healing: Gateway) -> None:
    with (
        Anthropic(base_url=healing.url, api_key="sk-test", max_retries=0, timeout=20) as sdk,
        sdk.messages.stream(model="prefill", max_tokens=100, messages=ASKED) as stream,
    ):
        deltas = [event for event in stream if event.type == "message_delta"]
        message = stream.get_final_message()
    assert [block.text for block in message.content if block.type == "text"] == [TEXT]
    assert message.stop_reason == "end_turn"
    assert [told(event) for event in deltas] == [TOLD]


def test_gemini(healing: Gateway) -> None:
    genai = pytest.importorskip("google.genai", reason="the SDK is not installed")
    options = {"base_url": healing.url, "timeout": 20_000, "retry_options": {"attempts": 1}}
    sdk = genai.Client(api_key="sk-test", http_options=options)
    chunks = list(sdk.models.generate_content_stream(model="prefill", contents=QUESTION))
    assert "".join(chunk.text or "" for chunk in chunks) == TEXT
    assert chunks[-1].candidates[0].finish_reason.name == "STOP"
    assert sdk.models.generate_content(model="prefill", contents=QUESTION).text == TEXT
    sdk.close()
