"""The fold of a stream as one ``text_completion`` object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidegate.core.event import AnyEvent, seams_told
from tidegate.core.fold import Choice, Fold
from tidegate.core.request import Header
from tidegate.core.usage import Usage
from tidegate.dialects.framed import Framed
from tidegate.dialects.openai_chat.usage import write_usage
from tidegate.dialects.openai_completions.logprobs import to_legacy
from tidegate.dialects.openai_completions.render import FINISH_REASONS
from tidegate.wire.ascii_json import ascii_json


class CompletionsWholeRenderer(Framed):
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
            "id": f"cmpl-{header.id}",
            "object": "text_completion",
            "created": header.created,
            "model": fold.model or header.model,
            "choices": [
                _choice(index, choice) for index, choice in sorted((fold.choices or {0: Choice()}).items())
            ],
            "usage": write_usage(fold.end.usage or Usage()),
        }
        answer.update(fold.chunk)
        answer.update(seams_told(fold.end))
        return ascii_json(answer).encode("ascii")

    def keep_alive(self) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        return b""


def _choice(index: int, choice: Choice) -> dict[str, Any]:
    reason = choice.reason or "stop"
    return {
        "index": index,
        "text": "".join([*choice.text, *choice.refusal]),
        "logprobs": to_legacy(choice.logprobs, 0),
        "finish_reason": FINISH_REASONS.get(reason, reason),
        **{name: value for name, value in choice.extra.get("choice", {}).items() if name != "logprobs"},
    }
