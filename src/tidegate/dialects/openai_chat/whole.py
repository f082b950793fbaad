"""The fold of a stream as one ``chat.completion`` object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidegate.core.event import AnyEvent, Thinking, seams_told
from tidegate.core.fold import Choice, Fold, ToolCall
from tidegate.core.request import Header
from tidegate.core.usage import Usage
from tidegate.dialects.api import DIALECTS
from tidegate.dialects.framed import Framed
from tidegate.dialects.openai_chat.calls import Declared, custom_call
from tidegate.dialects.openai_chat.render import FINISH_REASONS
from tidegate.dialects.openai_chat.thinking import NAME, write_detail
from tidegate.dialects.openai_chat.usage import write_usage
from tidegate.dialects.translation.citations import foreign_citation, openai_citation, told_here
from tidegate.wire.ascii_json import ascii_json


class ChatWholeRenderer(Framed):
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
        answer.update(seams_told(fold.end))
        return ascii_json(answer).encode("ascii")

    def keep_alive(self) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        return b""

    def _choice(self, index: int, choice: Choice) -> dict[str, Any]:
        reason = choice.reason or "stop"
        reason = FINISH_REASONS.get(reason, reason)
        message: dict[str, Any] = {"role": "assistant", "content": "".join(choice.text)}
        if (choice.calls or choice.refusal) and not choice.text:
            message["content"] = None
        if choice.refusal:
            message["refusal"] = "".join(choice.refusal)
        if thinking := "".join(choice.thinking):
            message[choice.thinking_name or "reasoning_content"] = thinking
        if details := _details(choice):
            message["reasoning_details"] = details
        if choice.calls:
            declared = Declared(self._header)
            message.update(self._calls(index, choice, declared))
            reason = declared.reason(reason)
        message.update(choice.extra.get("delta", {}))
        pages = [page for item in choice.items if (page := foreign_citation(item, NAME)) is not None]
        if pages:
            notes = [{"type": "url_citation", "url_citation": openai_citation(page)} for page in pages]
            message["annotations"] = [*message.get("annotations", ()), *notes]
        items = [
            {"kind": item.kind, "value": item.value}
            for item in choice.items
            if item.kind not in DIALECTS
            and not told_here(item, NAME)
            and foreign_citation(item, NAME) is None
        ]
        if items:
            message["tidegate"] = items
        return {
            "index": index,
            "message": message,
            "logprobs": choice.logprobs,
            "finish_reason": reason,
            **{k: v for k, v in choice.extra.get("choice", {}).items() if k != "logprobs"},
        }

    def _calls(self, index: int, choice: Choice, declared: Declared) -> dict[str, Any]:
        calls = [call for _, call in sorted(choice.calls.items())]
        if declared.legacy:
            arguments = "".join(calls[0].arguments)
            return {"function_call": {"name": calls[0].name or "", "arguments": arguments}}
        return {
            "tool_calls": [
                self._call(call, f"{index}{position}", declared) for position, call in enumerate(calls)
            ]
        }

    def _call(self, call: ToolCall, place: str, declared: Declared) -> dict[str, Any]:
        call_id = call.call_id or f"call_{self._header.id[:20]}{place}"
        if declared.custom(call.name, call.custom, call.extra):
            custom = custom_call(call.name, call.custom, call.arguments)
            return {"id": call_id, "type": "custom", "custom": custom}
        function = {"name": call.name or "", "arguments": "".join(call.arguments), **call.inside}
        return {"id": call_id, "type": "function", "function": function, **call.extra}


def _details(choice: Choice) -> list[dict[str, Any]]:
    """All thoughts in the form that has a place for a signature, if any has one.

    Those of an upstream of our own dialect are among the unknown fields of its deltas.
    """
    if any(each.origin == NAME for each in choice.thoughts.values()):
        return []
    if not any(each.signature is not None or each.redacted is not None for each in choice.thoughts.values()):
        return []
    return [
        write_detail(
            Thinking(
                text="".join(each.text),
                block=block,
                signature=each.signature,
                redacted=each.redacted,
                origin=each.origin,
            )
        )
        for block, each in sorted(choice.thoughts.items())
    ]
