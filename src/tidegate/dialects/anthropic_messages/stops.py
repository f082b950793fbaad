"""Why an answer ended, in Anthropic's words and in OpenAI Chat's, which canonical events use.

Words: https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons.
"""

from __future__ import annotations

from typing import Final

from tidegate.core.event import Finish

_CHAT: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}
_ANTHROPIC: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_OWN: Final = frozenset(
    {*_CHAT, "pause_turn", "refusal", "model_context_window_exceeded", "compaction"},
)
"""All words of Anthropic's; canonical events use those that Chat has no word for."""


def chat_reason(reason: str) -> str:
    """The reason of a canonical finish for an upstream's ``stop_reason``."""
    return _CHAT.get(reason, reason)


def stop_reason(finish: Finish) -> str:
    """The nearest word for why an upstream of another dialect finished."""
    if finish.stop is not None and finish.reason == "stop":
        return "stop_sequence"
    if finish.reason in _OWN:
        return finish.reason
    return _ANTHROPIC.get(finish.reason, "end_turn")
