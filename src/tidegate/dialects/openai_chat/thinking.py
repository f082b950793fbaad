"""Signed reasoning in Chat messages: OpenRouter's ``reasoning_details``, which clients give back unchanged.

Chat itself has no place for the signature that some upstreams want back with their reasoning
(https://openrouter.ai/docs/guides/best-practices/reasoning-tokens).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from tidegate.core.event import Thinking
from tidegate.core.message import ThinkingPart

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
