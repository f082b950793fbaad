"""Refuses prompts that cannot fit, before llama.cpp counts their tokens at about a megabyte a second.

While it counts, a request can neither be cancelled nor let another begin.
"""

from __future__ import annotations

from typing import Any


class PromptLimit:
    """What fits into ``context`` tokens, when no token stands for more than ``longest_token`` bytes."""

    def __init__(self, context: int, longest_token: int) -> None:
        self._context = context
        self._longest_token = longest_token

    def problem(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The error for a prompt that is too long for sure, in llama.cpp's words, else None."""
        if self._longest_token == 0:
            return None
        tokens = _text_size(request) // self._longest_token
        if tokens <= self._context:
            return None
        return {
            "error": {
                "code": 400,
                "message": (
                    f"request (at least {tokens} tokens) exceeds the available context size "
                    f"({self._context} tokens), try increasing it"
                ),
                "type": "exceed_context_size_error",
                "n_prompt_tokens": tokens,
                "n_ctx": self._context,
            }
        }


def _text_size(request: dict[str, Any]) -> int:
    """Characters of text that every chat template shows to the model: a lower bound for the bytes."""
    prompt = request.get("prompt")
    size = len(prompt) if isinstance(prompt, str) else 0
    messages = request.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            size += len(content)
        elif isinstance(content, list):
            texts = (part.get("text") for part in content if isinstance(part, dict))
            size += sum(len(text) for text in texts if isinstance(text, str))
    return size
