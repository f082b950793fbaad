"""A prompt of another dialect as the body of a legacy completion: the conversation becomes a transcript."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tidegate.core.message import AnyPart, MediaPart, Message, ResultPart, text_of
from tidegate.core.request import Prompt
from tidegate.dialects.api import Lack

LACKS: Final[Mapping[str, Lack]] = {
    **dict.fromkeys(("tools", "custom_tools", "json_object", "json_schema"), "refuse"),
    **{f"image_{form}": "refuse" for form in ("data", "url", "file")},
    **{f"document_{form}": "refuse" for form in ("data", "url", "file")},
    **{f"audio_{form}": "refuse" for form in ("data", "url", "file")},
    **{f"video_{form}": "refuse" for form in ("data", "url", "file")},
    "result_media": "refuse",
    **dict.fromkeys(("schema_name", "schema_description", "schema_strict"), "drop"),
    **dict.fromkeys(("media_in_instructions", "media_of_model", "image_detail"), "drop"),
    **dict.fromkeys(("document_name", "document_citations", "document_context"), "drop"),
    "hosted_tools": "drop",
    "foreign_tools": "drop",
    "tool_choice": "drop",
    "allowed_tools": "drop",
    "parallel_tools": "drop",
    "reasoning": "drop",
    "verbosity": "drop",
    "message_name": "drop",
    "thinking": "drop",
    "foreign_thinking": "drop",
    "foreign_seals": "drop",
    "foreign_parts": "drop",
    "cache": "drop",
    "metadata": "drop",
    "service_tier": "drop",
}
"""See :attr:`tidegate.dialects.api.Dialect.lacks`."""

_AS_THEY_ARE: Final = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "user",
)
_SPEAKERS: Final = {"system": "System", "developer": "System", "user": "User", "assistant": "Assistant"}
_NEXT_TURN: Final = "\n\nUser:"
_MOST_STOPS: Final = 4


def write_prompt(prompt: Prompt, model: str, quirks: frozenset[str]) -> bytes:
    """See :meth:`tidegate.dialects.api.Dialect.write_prompt`. Always asks for a stream, with usage."""
    fields: dict[str, Any] = {"model": model, "stream": True}
    if "no_stream_options" not in quirks:
        fields["stream_options"] = {"include_usage": True}
    for name in _AS_THEY_ARE:
        if (value := getattr(prompt, name)) is not None:
            fields["random_seed" if name == "seed" and "random_seed" in quirks else name] = value
    if prompt.choices > 1:
        fields["n"] = prompt.choices
    if prompt.logprobs:
        fields["logprobs"] = prompt.top_logprobs or 0
    stop = prompt.stop
    messages = prompt.messages
    if len(messages) == 1 and messages[0].role == "user":
        fields["prompt"] = _said(messages[0])
    else:
        fields["prompt"] = _transcript(messages)
        stop = (*stop, _NEXT_TURN)[:_MOST_STOPS]  # else the model would go on with the user's part
    if stop:
        fields["stop"] = list(stop)
    return msgspec.json.encode(fields)


def _transcript(messages: tuple[Message, ...]) -> str:
    """Turns under the names of who speaks, up to where the model is to go on."""
    turns = [f"{_SPEAKERS[each.role]}: {_said(each)}" for each in messages]
    if not messages or messages[-1].role != "assistant":
        turns.append("Assistant:")
    return "\n\n".join(turns)


def _said(message: Message) -> str:
    return "\n\n".join(text for part in message.parts if (text := _text(part)))


def _text(part: AnyPart) -> str:
    if isinstance(part, MediaPart):
        return part.text or ""
    if isinstance(part, ResultPart):
        return text_of(part.content, "\n")
    return text_of((part,))
