"""Where an answer says that it has something from: a page and its title, in no dialect.

A decoder tells such a citation beside the words of its own dialect, in which nobody else would find it. A
rendering of that dialect has these words, and passes over what is marked as told there.
"""

from __future__ import annotations

from typing import Any, Final

from tidegate.core.event import Item

CITATION: Final = "citation"
"""The kind of these items. One of a workspace's document names it: ``document`` is its id, ``number`` counts
what was found for the answer, and ``url`` may be empty.
"""


def cited(
    dialect: str,
    url: Any,
    title: Any = None,
    *,
    choice: int = 0,
    start: Any = None,
    end: Any = None,
    text: Any = None,
) -> list[Item]:
    """A citation that an upstream of this dialect told; none where there is no address.

    ``start`` and ``end`` are the characters of the answer that it stands for, ``text`` what is cited.
    """
    if not isinstance(url, str) or not url:
        return []
    value: dict[str, Any] = {"url": url, "title": title if isinstance(title, str) else ""}
    if isinstance(start, int) and isinstance(end, int):
        value.update(start=start, end=end)
    if isinstance(text, str):
        value["text"] = text
    return [Item(kind=CITATION, value=value, choice=choice, extra={dialect: {}})]


def told_here(item: Item, dialect: str) -> bool:
    """Whether a rendering of this dialect has a citation already, in the dialect's own words."""
    return item.kind == CITATION and item.extra is not None and dialect in item.extra


def foreign_citation(item: Item, dialect: str) -> dict[str, Any] | None:
    """The citation in an item, where a rendering of this dialect has still to tell it."""
    if item.kind != CITATION or told_here(item, dialect):
        return None
    value = item.value
    return value if isinstance(value, dict) and isinstance(value.get("url"), str) else None


def is_document(value: dict[str, Any]) -> bool:
    """Whether a citation is of a document that was searched here, and not of a page somewhere."""
    return isinstance(value.get("document"), str)


def openai_citation(value: dict[str, Any]) -> dict[str, Any]:
    """The members of an OpenAI ``url_citation``; nobody knows where most stand, so they stand for nothing."""
    return {
        "start_index": value.get("start", 0),
        "end_index": value.get("end", 0),
        "title": value.get("title", ""),
        "url": value["url"],
    }
