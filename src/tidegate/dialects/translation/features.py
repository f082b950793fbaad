"""What a prompt makes use of: the words in which the dialects' tables say what they have no form for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tidegate.core.message import AnyPart, ForeignPart, MediaPart, Message, ResultPart, ThinkingPart
from tidegate.core.request import Prompt
from tidegate.core.tool import HostedTool

_SETTINGS: Final = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "parallel_tools",
    "reasoning",
    "verbosity",
    "user",
    "metadata",
    "service_tier",
)
PLACES: Final[Mapping[str, str]] = {
    "system": "media_in_instructions",
    "developer": "media_in_instructions",
    "assistant": "media_of_model",
}
"""Features that images and their kin are in messages of these roles."""
_BESIDE: Final = ("document_citations", "document_context")
NOTHING: Final = Prompt(messages=())
"""A prompt in which nothing was said."""


def features(prompt: Prompt, upstream: str) -> Iterator[str]:
    """What a prompt makes use of, beyond messages of text: the words of the dialects' tables.

    ``foreign_*`` is what another dialect than ``upstream`` gave a form that only it can read.
    """
    for name in _SETTINGS:
        if getattr(prompt, name) != getattr(NOTHING, name):
            yield name
    if prompt.choices > 1:
        yield "choices"
    if prompt.output is not None:
        yield prompt.output.kind
        for name, said in (("name", None), ("description", None), ("strict", True)):
            if getattr(prompt.output, name) not in (None, said):
                yield f"schema_{name}"
    if prompt.tool_choice is not None:
        some = prompt.tool_choice.names and prompt.tool_choice.mode != "tool"
        yield "allowed_tools" if some else "tool_choice"
    for tool in prompt.tools:
        if isinstance(tool, HostedTool):
            yield "hosted_tools" if tool.dialect == upstream else "foreign_tools"
        else:
            yield "custom_tools" if tool.custom else "tools"
            if tool.cache is not None:
                yield "cache"
    for message in prompt.messages:
        yield from _features_of_message(message, upstream)


def _features_of_message(message: Message, upstream: str) -> Iterator[str]:
    if message.name is not None:
        yield "message_name"
    for part in message.parts:
        if part.cache is not None:
            yield "cache"
        if message.role in PLACES and is_shown(part):
            yield PLACES[message.role]
        found = _PARTS.get(type(part))
        if found is not None:
            yield from found(part, upstream)


def _media(part: AnyPart, _: str) -> Iterator[str]:
    assert isinstance(part, MediaPart)
    form = "data" if part.data else "url" if part.url else "file" if part.file_id else "text"
    yield f"{part.kind}_{form}"
    if part.kind == "image" and part.detail not in (None, "auto"):
        yield "image_detail"
    if part.kind == "document" and part.name and form != "text":
        yield "document_name"
    for beside in (part.extra or {}).values():
        yield from (name for name in _BESIDE if name.removeprefix("document_") in beside)


def is_shown(part: AnyPart) -> bool:
    """Whether a part is something to be looked at or heard, and not words."""
    return isinstance(part, MediaPart) and part.text is None


def _result(part: AnyPart, upstream: str) -> Iterator[str]:
    assert isinstance(part, ResultPart)
    for inner in part.content:
        if isinstance(inner, MediaPart):
            yield "result_media"
            yield from _media(inner, upstream)


def _thinking(part: AnyPart, upstream: str) -> Iterator[str]:
    assert isinstance(part, ThinkingPart)
    if part.origin == upstream:
        yield "thinking"
        return
    yield "foreign_thinking"
    if part.signature is not None or part.redacted is not None:
        yield "foreign_seals"


def _foreign(part: AnyPart, upstream: str) -> Iterator[str]:
    assert isinstance(part, ForeignPart)
    if part.dialect != upstream:
        yield "foreign_parts"


_PARTS: Final[Mapping[type, Callable[[AnyPart, str], Iterator[str]]]] = {
    MediaPart: _media,
    ResultPart: _result,
    ThinkingPart: _thinking,
    ForeignPart: _foreign,
}

FEATURES: Final[Mapping[str, str]] = {
    "max_tokens": "a limit of output tokens",
    "temperature": "sampling temperature",
    "top_p": "nucleus sampling",
    "top_k": "sampling from the k likeliest tokens",
    "min_p": "sampling above a share of the likeliest token's probability",
    "stop": "stop sequences",
    "seed": "a seed",
    "presence_penalty": "presence penalty",
    "frequency_penalty": "frequency penalty",
    "logit_bias": "bias of single tokens",
    "logprobs": "probabilities of the tokens",
    "top_logprobs": "probabilities of other tokens",
    "choices": "more than one answer",
    "reasoning": "how much to think",
    "verbosity": "how much to say",
    "json_object": "an answer that is a JSON object",
    "json_schema": "an answer that fits a JSON schema",
    "schema_name": "the schema's name",
    "schema_description": "what is said of the schema",
    "schema_strict": "that the schema need not be kept to strictly",
    "tools": "tools that the caller runs",
    "custom_tools": "tools that take free text",
    "hosted_tools": "tools that the upstream runs, in its own dialect",
    "foreign_tools": "tools that an upstream of another dialect would run",
    "tool_choice": "which tool to call",
    "allowed_tools": "a choice among some of the tools",
    "parallel_tools": "whether several tools may be called at once",
    "message_name": "the name of a message's author",
    "media_in_instructions": "images and their kin in instructions",
    "media_of_model": "images and their kin in the model's own turns",
    "image_data": "an image in base64",
    "image_url": "an image at a URL",
    "image_file": "an image that was uploaded before",
    "image_detail": "how closely an image is looked at",
    "document_data": "a document in base64",
    "document_url": "a document at a URL",
    "document_file": "a document that was uploaded before",
    "document_text": "a document of plain text",
    "document_name": "a document's name",
    "document_citations": "whether a document is cited",
    "document_context": "what is said of a document beside its text",
    "audio_data": "sound in base64",
    "audio_url": "sound at a URL",
    "audio_file": "sound that was uploaded before",
    "video_data": "a film in base64",
    "video_url": "a film at a URL",
    "video_file": "a film that was uploaded before",
    "result_media": "images or documents in a tool's result",
    "thinking": "reasoning of an earlier turn, signed by the same dialect",
    "foreign_thinking": "reasoning of an earlier turn, unsigned or signed by another dialect",
    "foreign_seals": "signatures and hidden reasoning of another dialect",
    "foreign_parts": "parts of messages that only the caller's dialect knows",
    "cache": "marks for the prompt cache",
    "user": "who the end user is",
    "metadata": "the caller's own notes",
    "service_tier": "service tier",
}
"""Every feature, in the words of the documentation."""
