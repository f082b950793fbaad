"""`write_tutorial` as a model: complete, in order, in every dialect, and honest when it breaks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.agents.tutorial import SECTIONS, WHOLE, section_asked_for, tutorial
from tests.chat import broken_off, chunk, error, text_stream
from tests.chat_stream import ChatAnswer, body_for, post_chat, stream_chat
from tests.crash.killing import crash_config
from tests.fixtures import StartGateway
from tests.gateway import Gateway
from tests.raw_http import fetch
from tests.script import Script
from tests.upstream import Request, Upstream
from tests.wire.test_ledger import row_of, rows_of

SUBJECT = "Write a tutorial about MySQL"


@pytest.fixture
def writing(upstream: Upstream) -> Upstream:
    upstream.answer = tutorial
    return upstream


def ask(gateway: Gateway, **more: object) -> ChatAnswer:
    return stream_chat(gateway.address, SUBJECT, model="write_tutorial", **more)


def test_the_whole_tutorial_arrives_in_order(gateway: Gateway, writing: Upstream) -> None:
    answer = ask(gateway, stream_options={"include_usage": True}).succeeded()
    assert answer.text() == WHOLE
    assert len(writing.requests) == 1 + len(SECTIONS)


def test_progress_is_told_beside_the_text(gateway: Gateway, writing: Upstream) -> None:
    thinking = ask(gateway).succeeded().text(name="reasoning_content")
    assert [line for line in thinking.split("\n") if "Section" in line] == [
        f"Section {number} of 3: {title}" for number, title in enumerate(SECTIONS, 1)
    ]
    assert "Section 1 of 3" not in ask(gateway).text()


def test_usage_is_that_of_all_its_questions(gateway: Gateway, writing: Upstream) -> None:
    usage = ask(gateway, stream_options={"include_usage": True}).usages[0]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (40, 20)


def test_a_whole_answer_is_the_same_text(gateway: Gateway, writing: Upstream) -> None:
    response = post_chat(gateway.address, body_for(SUBJECT, model="write_tutorial", stream=False))
    assert response.json["choices"][0]["message"]["content"] == WHOLE


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/v1/messages", {"max_tokens": 999, "messages": [{"role": "user", "content": SUBJECT}]}, "text"),
        ("/v1/responses", {"input": SUBJECT}, "output_text"),
    ],
)
def test_other_dialects_get_it_too(
    gateway: Gateway, writing: Upstream, path: str, body: dict[str, object], where: str
) -> None:
    response = fetch(gateway.address, "POST", path, json.dumps({"model": "write_tutorial", **body}).encode())
    parts = [part for item in response.json.get("output", []) for part in item.get("content", [])]
    texts = [part["text"] for part in parts or response.json["content"] if part["type"] == where]
    assert "".join(texts) == WHOLE


def test_the_language_that_was_asked_for_is_asked_for(gateway: Gateway, writing: Upstream) -> None:
    ask(gateway, language="Chinese").succeeded()
    assert all("in Chinese" in request.json["messages"][0]["content"] for request in writing.requests)


def test_an_outline_that_is_no_json_is_asked_for_once_more(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer = tutorial
    upstream.play(text_stream(["I would rather talk."]))
    assert ask(gateway).succeeded().text() == WHOLE
    assert "does not fit" in upstream.requests[1].json["messages"][-1]["content"]


def test_an_upstream_without_response_formats_is_asked_in_words(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer = tutorial
    upstream.play(error(400, "response_format is not supported"))
    assert ask(gateway).succeeded().text() == WHOLE


def test_a_section_that_cannot_be_had_ends_the_answer_honestly(gateway: Gateway, upstream: Upstream) -> None:
    def broken(request: Request) -> Script:
        if section_asked_for(request) == "Backups":
            return error(500, "no such luck")
        return tutorial(request)

    upstream.answer = broken
    answer = ask(gateway)
    assert "no such luck" in answer.failed()["message"]
    assert answer.text().endswith("## Backups\n\n")


def test_a_section_that_breaks_off_is_gone_on_with(start_gateway: StartGateway, upstream: Upstream) -> None:
    """What holds for the models behind it holds for an agent."""

    def breaking(request: Request) -> Script:
        words = SECTIONS["First queries"]
        if section_asked_for(request) != "First queries":
            return tutorial(request)
        goes_on = request.json["messages"][-1]["role"] == "assistant"
        return text_stream(words[2:]) if goes_on else broken_off([chunk(word) for word in words[:2]])

    upstream.answer = breaking
    gateway = start_gateway(crash_config(upstream, default_model="long"))
    assert ask(gateway).succeeded().text() == WHOLE


def test_the_sdks_read_it_as_it_is_written(gateway: Gateway, writing: Upstream) -> None:
    with OpenAI(base_url=gateway.base_url, api_key="x") as sdk:
        said = sdk.responses.create(model="write_tutorial", input=SUBJECT, stream=True)
        deltas = [event.delta for event in said if event.type == "response.output_text.delta"]
    assert ("".join(deltas), len(deltas) > len(SECTIONS)) == (WHOLE, True)
    asked: Any = [{"role": "user", "content": SUBJECT}]
    with (
        Anthropic(base_url=gateway.url, api_key="x") as claude,
        claude.messages.stream(model="write_tutorial", max_tokens=99, messages=asked) as stream,
    ):
        assert "".join(stream.text_stream) == WHOLE


def test_nothing_to_write_about_is_the_callers_mistake(gateway: Gateway, writing: Upstream) -> None:
    response = post_chat(gateway.address, body_for(" ", model="write_tutorial", stream=False))
    assert response.status == 400
    assert "what the tutorial is to be about" in response.json["error"]["message"]


def test_it_is_listed_and_never_the_default(gateway: Gateway) -> None:
    listing = gateway.get("/v1/models")
    told = {model["id"]: model for model in listing["data"]}
    assert told["write_tutorial"]["type"] == "agent"
    assert listing["default_model"] == "m"


def test_the_ledger_counts_each_question_once(gateway: Gateway, writing: Upstream) -> None:
    stream = ask(gateway).succeeded().response.head.get("tidegate-stream")
    assert stream is not None
    outer = row_of(gateway, stream)
    inner = [row for row in rows_of(gateway).values() if row.parent == stream]
    assert [(row.model, row.input_tokens, row.output_tokens) for row in inner] == [("m", 10, 5)] * 4
    assert (outer.input_tokens, outer.output_tokens, outer.estimated) == (0, 0, False)
