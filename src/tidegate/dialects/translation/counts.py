"""Token counts in an answer that is no generation, in the names of either of OpenAI's APIs."""

from __future__ import annotations

from typing import Any

from tidegate.core.usage import Usage
from tidegate.dialects.openai_chat.usage import read_usage as read_chat
from tidegate.dialects.openai_responses.usage import read_usage as read_responses


def usage_of(told: Any) -> Usage | None:
    """The tokens that a member ``usage`` tells of; None where it is none."""
    if not isinstance(told, dict):
        return None
    return read_chat(told) if "prompt_tokens" in told else read_responses(told)
