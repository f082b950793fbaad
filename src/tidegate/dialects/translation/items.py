"""What is ours and has a form in no dialect: files that agents made, questions to persons.

Every rendering tells it under one name, in a place where the dialect's clients look past it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidegate.core.event import SEAMS, Item
from tidegate.dialects.api import DIALECTS
from tidegate.dialects.translation.citations import CITATION

_OF_CHAT: Final = frozenset({"chunk", "choice", "delta"})


def own_item(item: Item) -> dict[str, Any] | None:
    """Such an item as it is told; None for what upstreams say."""
    if item.block is not None or item.kind in _OF_CHAT or item.kind == CITATION or item.kind in DIALECTS:
        return None
    return {"kind": item.kind, "value": item.value}


def with_items(answer: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The members that tell all items of a whole answer, beside what it tells of its seams already."""
    if not items:
        return {}
    return {SEAMS: {**answer.get(SEAMS, {}), "items": list(items)}}
