"""The fold of a stream as one ``chat.completion`` object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidegate.core.event import AnyEvent
from tidegate.core.fold import Choice, Fold
from tidegate.core.request import Header
from tidegate.core.usage import Usage
from tidegate.dialects.openai_chat.render import FINISH_REASONS
from tidegate.dialects.openai_chat.thinking import write_detail
from tidegate.dialects.openai_chat.usage import write_usage
from tidegate.wire.ascii_json import ascii_json


class ChatWholeRenderer:
    """Renders nothing until the stream has completed, then the whole answer at once."""

    content_type = b"application/json"

    def __init__(self, header: Header) -> None:
        self._header = header
        self._fold = Fold()

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        fold = self._fold
        fold.add(events)
        if fold.end is None or fold.end.outcome != "completed":
            return b""
        header = self._header
        answer: dict[str, Any] = {
            "id": f"chatcmpl-{header.id}",
            "object": "chat.completion",
            "created": header.created,
            "model": fold.model or header.model,
            "choices": [
                self._choice(index, choice)
                for index, choice in sorted((fold.choices or {0: Choice()}).items())
            ],
            "usage": write_usage(fold.end.usage or Usage()),
        }
        answer.update(fold.chunk)
        return ascii_json(answer).encode("ascii")

    def keep_alive(self) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        return b""

    def _choice(self, index: int, choice: Choice) -> dict[str, Any]:
        reason = choice.reason or "stop"
        message: dict[str, Any] = {"role": "assistant", "content": "".join(choice.text)}
        if choice.calls and not choice.text:
            message["content"] = None
        if choice.thinking:
            message[choice.thinking_name or "reasoning_content"] = "".join(choice.thinking)
        if choice.signed:
            message["reasoning_details"] = [write_detail(event) for event in choice.signed]
        if choice.calls:
            message["tool_calls"] = [
                {
                    "id": call.call_id or f"call_{self._header.id[:20]}{index}{position}",
                    "type": "function",
                    "function": {
                        "name": call.name or "",
                        "arguments": "".join(call.arguments),
                        **call.inside,
                    },
                    **call.extra,
                }
                for position, (_, call) in enumerate(sorted(choice.calls.items()))
            ]
        message.update(choice.extra.get("delta", {}))
        if choice.items:
            message["tidegate"] = [{"kind": item.kind, "value": item.value} for item in choice.items]
        return {
            "index": index,
            "message": message,
            "logprobs": choice.logprobs,
            "finish_reason": FINISH_REASONS.get(reason, reason),
            **{k: v for k, v in choice.extra.get("choice", {}).items() if k != "logprobs"},
        }
