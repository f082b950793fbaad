"""Signed reasoning in Chat messages: OpenRouter's ``reasoning_details``, which clients give back unchanged.

Chat itself has no place for the signature that some upstreams want back with their reasoning
(https://openrouter.ai/docs/guides/best-practices/reasoning-tokens).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tidegate.core.event import Thinking
from tidegate.core.message import ThinkingPart

_TEXT, _SUMMARY, _ENCRYPTED = "reasoning.text", "reasoning.summary", "reasoning.encrypted"


def write_detail(event: Thinking) -> dict[str, Any]:
    """One element of ``reasoning_details`` for a signature or redacted reasoning."""
    detail: dict[str, Any]
    if event.redacted is not None:
        detail = {"type": _ENCRYPTED, "data": event.redacted}
    else:
        detail = {"type": _TEXT, "text": event.text, "signature": event.signature}
    return {**detail, "format": event.origin, "index": event.block}


def read_details(details: list[Any], thought: str) -> Iterator[ThinkingPart]:
    """The reasoning in ``reasoning_details``; pieces of one index are one block.

    ``thought`` is the text beside it: a streamed signature comes without the text that it speaks for.
    """
    blocks: dict[Any, dict[str, Any]] = {}
    for at, detail in enumerate(details):
        if isinstance(detail, dict):
            block = blocks.setdefault((detail.get("index", at), detail.get("type")), {"text": ""})
            for name in ("text", "summary"):
                block["text"] += detail.get(name) or ""
            for name in ("signature", "data", "format"):
                block[name] = detail.get(name) or block.get(name)
    if thought and not any(block["text"] for block in blocks.values()):
        signed = next((block for block in blocks.values() if block.get("signature")), None)
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
