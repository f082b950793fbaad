"""A conversation of another dialect as turns that alternate, the way that Messages wants them.

Instructions lead, in ``system``, or stand as text in a turn of the user where they came later. Results of
tools come first in their turn. What is empty is left out, for it would be refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from json import loads
from typing import Any, Final

from tidegate.core.message import (
    AnyPart,
    CallPart,
    ForeignPart,
    MediaPart,
    Message,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
)
from tidegate.dialects.anthropic_messages.usage import NAME
from tidegate.dialects.translation.customs import arguments_of

Fields = dict[str, Any]

_WRONG_IN_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")
_NOTHING_ASKED: Final = "(the conversation begins with the assistant)"


def write_turns(messages: Sequence[Message]) -> tuple[list[Fields], list[Fields]]:
    """The blocks of ``system``, and the messages."""
    leading = 0
    while leading < len(messages) - 1 and messages[leading].role in ("system", "developer"):
        leading += 1
    system = [block for message in messages[:leading] for part in message.parts for block in write_part(part)]
    turns: list[Fields] = []
    for message in messages[leading:]:
        role = "assistant" if message.role == "assistant" else "user"
        content = [block for part in message.parts for block in write_part(part)]
        if not content:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += content
        else:
            turns.append({"role": role, "content": content})
    if not turns or turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": _NOTHING_ASKED}]})
    for turn in turns:
        if turn["role"] == "user":
            turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    _trim(turns[-1])
    return system, turns


def _trim(turn: Fields) -> None:
    """A beginning that the answer is to go on with must not end in white space."""
    last = turn["content"][-1]
    if turn["role"] == "assistant" and last["type"] == "text":
        last["text"] = last["text"].rstrip()


def signed_here(part: AnyPart) -> bool:
    """Whether a part is thinking that an upstream of this dialect can check."""
    return (
        isinstance(part, ThinkingPart)
        and part.origin == NAME
        and bool(part.signature or part.redacted is not None)
    )


def write_part(part: AnyPart) -> Iterator[Fields]:
    """The content block for a part; none for what is empty or what only others can read."""
    block: Fields | None = None
    match part:
        case TextPart(text=text) | RefusalPart(text=text):
            block = {"type": "text", "text": text} if text.strip() else None
        case MediaPart():
            block = _media(part)
        case ThinkingPart():
            block = _thinking(part)
        case CallPart():
            block = {
                "type": "tool_use",
                "id": call_id(part.call_id),
                "name": part.name,
                "input": _input(arguments_of(part)),
            }
        case ResultPart():
            block = _result(part)
        case ForeignPart(dialect=dialect, value=value):
            block = dict(value) if dialect == NAME else None
    if block is not None:
        if part.cache is not None and block["type"] not in ("thinking", "redacted_thinking"):
            block["cache_control"] = part.cache
        yield block


def call_id(value: str) -> str:
    """The id of a call, in letters that Anthropic takes; the same for the call and its result."""
    plain = _WRONG_IN_ID.sub("_", value)
    if plain == value and value:
        return value
    return f"{plain}_{hashlib.sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _input(arguments: str) -> Mapping[str, Any]:
    """The arguments of an earlier call as an object, which a model may not have written."""
    try:
        value = loads(arguments, strict=False)
    except (ValueError, RecursionError):
        return {"arguments": arguments}
    return value if isinstance(value, dict) else {"arguments": value}


def _result(part: ResultPart) -> Fields:
    block: Fields = {"type": "tool_result", "tool_use_id": call_id(part.call_id)}
    content = [inner for each in part.content for inner in write_part(each)]
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        block["content"] = content[0]["text"]
    elif content:
        block["content"] = content
    if part.error:
        block["is_error"] = True
    return block


def _thinking(part: ThinkingPart) -> Fields | None:
    if not signed_here(part):
        return None
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _media(part: MediaPart) -> Fields | None:
    if part.text is not None:
        source: Fields = {"type": "text", "media_type": "text/plain", "data": part.text}
    elif part.data is not None:
        default = "image/png" if part.kind == "image" else "application/pdf"
        source = {"type": "base64", "media_type": part.media_type or default, "data": part.data}
    elif part.url is not None:
        source = {"type": "url", "url": part.url}
    elif part.file_id is not None:
        source = {"type": "file", "file_id": part.file_id}
    else:
        return None
    if part.kind == "image":
        return {"type": "image", "source": source}
    block: Fields = {"type": "document", "source": source}
    if part.name:
        block["title"] = part.name
    return block
