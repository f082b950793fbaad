"""What a message and its blocks look like to clients, from canonical events: shared by both renderings.

What an upstream of the same dialect said is told as it was said. What another dialect's upstream said gets
every member that the published schemas require.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidegate.core.event import Delta, Event, Finish, Item, Text, Thinking, Tool
from tidegate.core.lifecycle import Block
from tidegate.core.request import Header
from tidegate.core.usage import Usage
from tidegate.dialects.anthropic_messages.signature import FOREIGN_INDEX, write_redacted, write_signature
from tidegate.dialects.anthropic_messages.stops import chat_reason, stop_reason
from tidegate.dialects.anthropic_messages.usage import NAME, whole_usage, write_usage
from tidegate.dialects.translation.citations import foreign_citation, is_document

Fields = dict[str, Any]

_NOTHING: Final[Mapping[str, Any]] = {}


def own(event: Event | None) -> Mapping[str, Any]:
    """What an upstream of this dialect said beside the canonical fields of an event."""
    extra = event.extra if event is not None else None
    return extra.get(NAME, _NOTHING) if extra is not None else _NOTHING


def usage_object(usage: Usage | None) -> Fields:
    """The usage of a whole message, or of its start."""
    if usage is not None and usage.dialect == NAME and usage.extra is not None:
        return whole_usage(usage.extra)
    return write_usage(usage or Usage())


def message(header: Header, model: str | None, usage: Usage | None, said: Mapping[str, Any] | None) -> Fields:
    """A message that has said nothing yet. ``said`` is what else its upstream's start told, if that came."""
    beside = {"stop_details": None, "container": None} if said is None else said
    return {
        "id": f"msg_{header.id}",
        "type": "message",
        "role": "assistant",
        "model": model or header.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        **beside,
        "usage": usage_object(usage),
    }


def block_object(opening: Delta, header: Header, index: int) -> Fields:
    """A content block that holds nothing yet, as its first event describes it."""
    said = own(opening).get("block")
    if isinstance(opening, Item):
        return dict(opening.value.get("content_block") or {"type": "text", "text": ""})
    if isinstance(opening, Tool):
        beside = {"caller": {"type": "direct"}} if said is None else said
        call_id = opening.call_id or f"toolu_{header.id[:20]}{index}"
        return {"type": "tool_use", "id": call_id, "name": opening.name or "", "input": {}, **beside}
    if isinstance(opening, Thinking):
        if opening.redacted is not None and not opening.text:
            data = write_signature(opening.redacted, opening.origin)
            return {"type": "redacted_thinking", "data": data, **(said or {})}
        return {"type": "thinking", "thinking": "", "signature": "", **(said or {})}
    return {"type": "text", "text": "", **({"citations": []} if said is None else said)}


def delta_objects(event: Delta, block: Block) -> list[Fields]:
    """What an event adds to its block, as ``delta`` members; nothing where it adds nothing."""
    if isinstance(event, Item):
        delta = event.value.get("delta")
        return [delta] if delta else []
    said = own(event).get("delta", _NOTHING)
    if "type" in said:  # a delta of a type that only this dialect knows
        return [dict(said)]
    found: list[Fields] = []
    if isinstance(event, Text):
        if event.text or said:
            found.append({"type": "text_delta", "text": event.text, **said})
    elif isinstance(event, Tool):
        if (event.arguments or said) and "implied" not in own(event):
            found.append({"type": "input_json_delta", "partial_json": event.arguments, **said})
    else:
        found += _thinking_deltas(event, block, said)
    return found


def _thinking_deltas(event: Thinking, block: Block, said: Mapping[str, Any]) -> list[Fields]:
    found: list[Fields] = []
    if event.text or (said and event.signature is None):
        found.append({"type": "thinking_delta", "thinking": event.text, **said})
    if event.signature is not None:
        signature = write_signature(event.signature, event.origin)
        found.append({"type": "signature_delta", "signature": signature, **(said if not found else {})})
    opening = block.opening
    if event.redacted is not None and not (
        event is opening and isinstance(opening, Thinking) and not opening.text
    ):
        # Text and redacted data in one block: the data stands where clients keep a signature.
        found.append({"type": "signature_delta", "signature": write_redacted(event.redacted, event.origin)})
    return found


def citation_delta(item: Item) -> Fields | None:
    """What a page that another dialect's upstream cites adds to the open text; None for any other item."""
    page = foreign_citation(item, NAME)
    if page is None:
        return None
    if is_document(page):
        return {"type": "citations_delta", "citation": _found(page)}
    citation = {
        "type": "web_search_result_location",
        "cited_text": page.get("text", ""),
        "url": page["url"],
        "title": page.get("title") or None,
        "encrypted_index": FOREIGN_INDEX,
    }
    return {"type": "citations_delta", "citation": citation}


def _found(page: Fields) -> Fields:
    """A passage of a document, as a search result that was cited whole."""
    return {
        "type": "search_result_location",
        "cited_text": page.get("text", ""),
        "source": page["url"] or page["document"],
        "title": page.get("title") or None,
        "search_result_index": page.get("number", 0),
        "start_block_index": 0,
        "end_block_index": 1,
        "encrypted_index": FOREIGN_INDEX,
    }


def stop_members(finish: Finish, *, refused: bool) -> Fields:
    """``stop_reason`` and what belongs to it: an upstream's own where nothing speaks against it."""
    said = own(finish).get("delta")
    if said is not None and chat_reason(str(said.get("stop_reason"))) == finish.reason:
        return dict(said)
    reason = stop_reason(finish)
    if refused and reason == "end_turn":
        reason = "refusal"
    beside = said or {"stop_details": None, "container": None}
    return {**beside, "stop_reason": reason, "stop_sequence": finish.stop}
