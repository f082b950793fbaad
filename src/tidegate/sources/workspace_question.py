"""Reads what a workspace is asked: AnythingLLM's own requests, and those of every other dialect."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from tidegate.agents.request import AgentRequest, chat_messages
from tidegate.core.message import Message, text_of
from tidegate.core.request import Prompt, Request
from tidegate.dialects import load_dialect
from tidegate.dialects.anythingllm import Asked, asked
from tidegate.errors import InvalidRequest
from tidegate.store.embeds import Embed
from tidegate.workspaces.embeds import MESSAGES, read_embed_settings
from tidegate.workspaces.question import MODES, Attached, Mode, Question

_BESIDE: Final = frozenset({"model", "messages", "stream", "stream_options"})
"""Members of a request's body that are not a caller's to choose for the model within."""


def question_of(request: Request, read: AgentRequest, *, in_thread: bool) -> Question:
    """The question; in a thread one that comes alone goes on from what was said there.

    Raises InvalidRequest.
    """
    if request.dialect == "anythingllm":
        return _anythingllm(asked(request), read.prompt)
    question = _conversation(read)
    if in_thread and not question.history:
        return msgspec.structs.replace(question, history=None)
    return question


def visited(question: Question, read: AgentRequest, embed: Embed) -> Question:
    """The question of a visitor, who may say only what the embed allows."""
    settings = read_embed_settings(embed.settings)
    model, prompt = read.option("model"), read.option("prompt")
    temperature = read.option("temperature")
    chosen: dict[str, Any] = {}
    if settings.allow_temperature_override and isinstance(temperature, (int, float)):
        chosen["temperature"] = temperature
    return msgspec.structs.replace(
        question,
        # What came in AnythingLLM's words may have pictures with it, which cost the owner much.
        message={"role": "user", "content": question.text} if question.history is None else question.message,
        mode=settings.chat_mode,
        embed=embed.id,
        user=None,
        reset=False,
        attached=(),
        shown_attachments=(),
        messages=MESSAGES if settings.message_limit is None else settings.message_limit,
        model=model if settings.allow_model_override and isinstance(model, str) and model else None,
        system=prompt if settings.allow_prompt_override and isinstance(prompt, str) and prompt else None,
        fields=chosen,
    )


def _anythingllm(told: Asked, prompt: Prompt) -> Question:
    (message,) = chat_messages(prompt.messages)
    return Question(
        text=told.message,
        message=message,
        mode=cast(Mode | None, told.mode),
        session=told.session,
        user=told.user,
        reset=told.reset,
        attached=tuple(Attached(each.name, each.data) for each in told.documents),
        shown_attachments=told.attachments,
        fields={} if told.max_tokens is None else {"max_tokens": told.max_tokens},
    )


def _conversation(read: AgentRequest) -> Question:
    """The last message of a conversation, and all before it; what the caller says to the model besides."""
    prompt = read.prompt
    spoken = [message for message in prompt.messages if message.role in ("user", "assistant")]
    system = [message for message in prompt.messages if message.role not in ("user", "assistant")]
    if not spoken or spoken[-1].role != "user":
        raise InvalidRequest("the last message must be the user's question", param="messages")
    mode = read.option("mode")
    if mode is not None and mode not in MODES:
        raise InvalidRequest(f"'mode' must be one of {', '.join(MODES)}", param="mode")
    *before, message = chat_messages(tuple(spoken))
    return Question(
        text=_asked_text(spoken),
        message=message,
        mode=mode,
        history=tuple(before),
        system="\n\n".join(text_of(each.parts, "\n") for each in system) or None,
        sources=read.option("sources") is not False,
        fields=_fields(prompt),
    )


def _asked_text(spoken: list[Message]) -> str:
    """What to look for: the newest words of the user's, which need not be in the last message."""
    for message in reversed(spoken):
        if message.role == "user" and (text := text_of(message.parts, "\n").strip()):
            return text
    return ""


def _fields(prompt: Prompt) -> dict[str, Any]:
    """What the request says about the answer beside the conversation: temperature, tools, its form."""
    bare = msgspec.structs.replace(prompt, messages=(), extra=None)
    body = load_dialect("openai-chat").write_prompt(bare, "", frozenset())
    return {name: value for name, value in msgspec.json.decode(body).items() if name not in _BESIDE}
