"""Signed reasoning in Chat messages: OpenRouter's ``reasoning_details``, which clients give back unchanged.

Chat itself has no place for the signature that some upstreams want back with their reasoning
(https://openrouter.ai/docs/guides/best-practices/reasoning-tokens).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from tidegate.core.event import Thinking
from tidegate.core.message import ThinkingPart
from tidegate.wire.ascii_json import ascii_json

NAME: Final = "openai-chat"

_STANDING: Final = frozenset({"gemini"})
"""Dialects whose signatures speak for the text or the call behind them, where they sign no thinking."""
_TEXT, _SUMMARY, _ENCRYPTED = "reasoning.text", "reasoning.summary", "reasoning.encrypted"


def write_detail(event: Thinking) -> dict[str, Any]:
    """One element of ``reasoning_details`` for a signature or redacted reasoning."""
    detail: dict[str, Any]
    if event.redacted is not None:
        detail = {"type": _ENCRYPTED, "data": event.redacted}
    else:
        detail = {"type": _TEXT, "text": event.text, "signature": event.signature}
    return {**detail, "format": event.origin, "index": event.block}


class Seal(NamedTuple):
    """What an upstream signed, or hid, in one element: that element without its text, as JSON.

    To other dialects' clients it is a signature like any other; :func:`give_back` makes the element of it.
    """

    signature: str | None
    redacted: str | None


def read_delta(details: Any) -> tuple[str, list[Seal]]:
    """The text in ``reasoning_details`` of an answer or a piece of one, and what is sealed there."""
    text, seals = "", list[Seal]()
    for detail in details if isinstance(details, list) else ():
        if not isinstance(detail, dict):
            continue
        for member in ("text", "summary"):
            if isinstance(detail.get(member), str):
                text += detail[member]
        rest = {name: value for name, value in detail.items() if name not in ("text", "summary")}
        if detail.get("signature"):
            seals.append(Seal(ascii_json(rest), None))
        elif detail.get("data"):
            seals.append(Seal(None, ascii_json(rest)))
    return text, seals


def give_back(part: ThinkingPart) -> dict[str, Any] | None:
    """The element of ``reasoning_details`` that a part was read from; None for one of another origin."""
    seal = part.signature or part.redacted
    if part.origin != NAME or seal is None:
        return None
    try:
        detail = json.loads(seal)
    except ValueError:
        return None
    if isinstance(detail, dict) and part.signature is not None and part.text:
        detail["text"] = part.text
    return detail if isinstance(detail, dict) else None


class Reasoned(NamedTuple):
    """The reasoning of a message, and what stands between its text and its calls."""

    before: tuple[ThinkingPart, ...]
    after: tuple[ThinkingPart, ...]


def read_reasoning(details: list[Any], thought: str) -> Reasoned:
    """The reasoning in ``reasoning_details``, around the text of its message.

    ``thought`` is the text beside it: a streamed signature comes without the text that it speaks for.
    ``index`` is a block's number: one that stands alone and is not next to the thinking is behind the text.
    """
    standing = [
        detail
        for detail in details
        if isinstance(detail, dict)
        and detail.get("format") in _STANDING
        and isinstance(index := detail.get("index"), int)
        and index > bool(thought)
    ]
    before = [detail for detail in details if detail not in standing]
    return Reasoned(tuple(_read_details(before, thought)), tuple(_read_details(standing, "")))


def _read_details(details: list[Any], thought: str) -> Iterator[ThinkingPart]:
    """Pieces of one index are one block."""
    blocks: dict[Any, dict[str, Any]] = {}
    for at, detail in enumerate(details):
        if isinstance(detail, dict):
            block = blocks.setdefault((detail.get("index", at), detail.get("type")), {"text": ""})
            for name in ("text", "summary"):
                block["text"] += detail.get(name) or ""
            for name in ("signature", "data", "format"):
                block[name] = detail.get(name) or block.get(name)
    if thought and not any(block["text"] for block in blocks.values()):
        signed = next(
            (
                block
                for block in blocks.values()
                if block.get("signature") and block.get("format") not in _STANDING
            ),
            None,
        )
        if signed is None:
            yield ThinkingPart(text=thought)
        else:
            signed["text"] = thought
    for block in blocks.values():
        if block["text"] or block.get("signature") or block.get("data"):
            yield ThinkingPart(
                text=block["text"],
                signature=block.get("signature"),
                redacted=block.get("data"),
                origin=block.get("format"),
            )
