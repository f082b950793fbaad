"""What a request says in passing, and its upstream has no place for, is named and never lost in silence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tidegate.dialects import load_dialect, translate

IMAGE = "data:image/png;base64,aW1n"
PDF = "data:application/pdf;base64,JVBERg=="
SCHEMA = {"type": "object", "properties": {}}
UPSTREAMS = ("openai-chat", "openai-responses", "anthropic-messages", "gemini")


def asked(caller: str, upstream: str, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    dialect = load_dialect(caller)
    request = dialect.read_request(json.dumps({"model": "m", "max_tokens": 9, **fields}).encode())
    body, dropped = translate(request, load_dialect(upstream), "claude-sonnet-4-5", frozenset())
    return json.loads(body), dropped


def chat(upstream: str, *messages: Any, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    return asked("openai-chat", upstream, messages=[*messages, {"role": "user", "content": "q"}], **fields)


def image(**more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": IMAGE, **more}}


@pytest.mark.parametrize(
    ("upstream", "named"),
    [("anthropic-messages", True), ("gemini", True), ("openai-responses", False)],
)
def test_how_closely_an_image_is_looked_at(upstream: str, named: bool) -> None:
    _, dropped = chat(upstream, {"role": "user", "content": [image(detail="high")]})
    assert dropped == (("messages.content.image_url.detail",) if named else ())
    assert chat(upstream, {"role": "user", "content": [image(detail="auto")]})[1] == ()


@pytest.mark.parametrize(
    ("upstream", "named"),
    [("anthropic-messages", False), ("gemini", True), ("openai-responses", False)],
)
def test_names_of_files(upstream: str, named: bool) -> None:
    file = {"type": "file", "file": {"filename": "report.pdf", "file_data": PDF}}
    written, dropped = chat(upstream, {"role": "user", "content": [file]})
    assert dropped == (("messages.content.file.filename",) if named else ())
    assert ("report.pdf" in json.dumps(written)) is not named


@pytest.mark.parametrize("upstream", ["anthropic-messages", "gemini"])
def test_what_is_said_of_a_schema(upstream: str) -> None:
    schema = {"name": "answer", "description": "why", "strict": False, "schema": SCHEMA}
    form = {"type": "json_schema", "json_schema": schema}
    named = [f"response_format.json_schema.{name}" for name in ("name", "description", "strict")]
    assert list(chat(upstream, response_format=form)[1]) == named
    plain = {"type": "json_schema", "json_schema": {"strict": True, "schema": SCHEMA}}
    assert chat(upstream, response_format=plain)[1] == ()


@pytest.mark.parametrize("upstream", ["openai-chat", "openai-responses", "gemini"])
def test_citations_and_context_of_documents(upstream: str) -> None:
    document = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "facts"},
        "title": "Facts",
        "context": "from 1999",
        "citations": {"enabled": True},
    }
    messages = [{"role": "user", "content": [document]}]
    written, dropped = asked("anthropic-messages", upstream, messages=messages)
    places = ("citations", "context")
    assert dropped == tuple(f"messages.content.document.{name}" for name in places)
    assert "Facts" in json.dumps(written)
    quiet = {**document, "citations": {"enabled": False}, "context": None}
    assert asked("anthropic-messages", upstream, messages=[{"role": "user", "content": [quiet]}])[1] == ()


@pytest.mark.parametrize("upstream", UPSTREAMS[1:])
def test_images_in_instructions(upstream: str) -> None:
    content = [{"type": "text", "text": "look like this"}, image()]
    written, dropped = chat(upstream, {"role": "system", "content": content})
    assert dropped == ("messages.content",)
    assert "aW1n" not in json.dumps(written)
    assert "look like this" in json.dumps(written)


@pytest.mark.parametrize("upstream", ["openai-chat", "openai-responses"])
def test_images_in_turns_of_the_model(upstream: str) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "aW1n"}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "drawn"}]
    messages = [
        {"role": "user", "content": "draw"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": "again"},
    ]
    written, dropped = asked("anthropic-messages", upstream, messages=messages)
    assert dropped == ("messages.content.image",)
    assert "aW1n" not in json.dumps(written)
    assert "drawn" in json.dumps(written)
