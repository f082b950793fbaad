"""Legacy completion chunks from an upstream to canonical events: Chat's decoder, with the text elsewhere."""

from __future__ import annotations

from typing import Any

from tidegate.core.event import AnyEvent
from tidegate.dialects.openai_chat.decode import ChatDecoder
from tidegate.dialects.openai_completions.logprobs import from_legacy


class CompletionsDecoder(ChatDecoder):
    """Decodes one streamed or whole legacy completion."""

    __slots__ = ()

    text_key = b'"text":'

    def _chunk(self, chunk: dict[str, Any], events: list[AnyEvent]) -> None:
        choices = chunk.get("choices")
        if isinstance(choices, list):
            chunk = {**chunk, "choices": [_as_chat(choice) for choice in choices]}
        super()._chunk(chunk, events)


def _as_chat(choice: Any) -> Any:
    """A choice as Chat has it. One that has no text is taken for Chat's own."""
    if not isinstance(choice, dict) or "text" not in choice:
        return choice
    written = {name: value for name, value in choice.items() if name not in ("text", "logprobs")}
    written["delta"] = {"content": choice["text"]} if choice["text"] else {}
    if logprobs := from_legacy(choice.get("logprobs")):
        written["logprobs"] = logprobs
    return written
