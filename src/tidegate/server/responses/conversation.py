"""The items of a conversation: what a response was shown, and what the one after it is shown."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from tidegate.store.responses import StoredResponse
from tidegate.wire.ascii_json import ascii_json

Items = list[dict[str, Any]]

_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
}


def items_of(sent: Raw | bytes | None) -> Items:
    """The ``input`` of a request as a list."""
    value = None if sent is None else msgspec.json.decode(sent)
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    return value or []


def continued(before: StoredResponse, sent: Raw | None) -> Raw:
    """The ``input`` of a request that goes on from a response."""
    said: Items = msgspec.json.decode(before.response)["output"]
    mark = before.id.removeprefix("resp_")
    carried = [_carried(item) for item in said if _may_be_carried(item, mark)]
    return Raw(ascii_json([*items_of(before.input), *carried, *items_of(sent)]).encode("ascii"))


def item_in(stored: StoredResponse, name: str) -> dict[str, Any] | None:
    """The item of this id in a response or its input, as one of input."""
    said: Items = msgspec.json.decode(stored.response)["output"]
    for item in (*said, *listed(stored)):
        if item.get("id") == name:
            return _carried(item)
    return None


def listed(stored: StoredResponse) -> Items:
    """A response's input for whoever asks for it: each item has an id and a type."""
    mark = stored.id.removeprefix("resp_")
    return [_listed(item, mark, number) for number, item in enumerate(items_of(stored.input))]


def _listed(item: dict[str, Any], mark: str, number: int) -> dict[str, Any]:
    kind = item.get("type") or "message"
    told = {"id": f"{_PREFIXES.get(kind, 'item')}_{mark}{number:04x}", "type": kind, **item}
    if kind == "message":
        told.setdefault("status", "completed")
        if isinstance(told.get("content"), str):
            form = "output_text" if told.get("role") == "assistant" else "input_text"
            told["content"] = [{"type": form, "text": told["content"]}]
    return told


def _may_be_carried(item: dict[str, Any], mark: str) -> bool:
    """Whether an upstream takes an item back: not hidden reasoning that only it could look up by its id."""
    if item.get("type") != "reasoning":
        return True
    return bool(item.get("encrypted_content") or item.get("content") or mark in str(item.get("id")))


def _carried(item: dict[str, Any]) -> dict[str, Any]:
    """An item of an answer as one of input. Its id would have an upstream look for what it never kept."""
    if item.get("type") == "reasoning":
        return item
    return {name: value for name, value in item.items() if name != "id"}
