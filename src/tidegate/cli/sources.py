"""The sources of an answer: where in which documents stands what it is from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from tidegate.cli.connection import Server
from tidegate.cli.frames import FrameReader
from tidegate.cli.terminal.lines import printable
from tidegate.client.patience import Patience
from tidegate.errors import SourceError

PREFIX: Final = "workspace/"
"""What the names of workspaces as models begin with."""

_ITEM: Final = "anythingllm"
"""The kind of the event that tells sources, which no other dialect's frames have."""


def sources_of(server: Server, stream_id: str) -> list[str]:
    """A line for each source of an answer that has ended. None where it has none, or cannot be read again."""
    found: list[Mapping[str, Any]] = []
    try:
        for event in _events(server, stream_id):
            value = event.get("value")
            if event.get("kind") == _ITEM and isinstance(value, dict):
                found = [each for each in value.get("sources") or () if isinstance(each, dict)]
    except SourceError:
        return []
    return source_lines(found)


def _events(server: Server, stream_id: str) -> Iterator[dict[str, Any]]:
    if not stream_id:
        return
    for data in FrameReader(server, stream_id, None, "events", Patience(0)):
        try:
            event = json.loads(data.removeprefix("data: "))
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def source_lines(sources: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each place; several passages of one place share it, with the best one's score."""
    best: dict[str, Mapping[str, Any]] = {}
    for source in sources:
        place = _place(source)
        if place not in best or _score(source) > _score(best[place]):
            best[place] = source
    return [source_line(source) for source in best.values()]


def source_line(source: Mapping[str, Any]) -> str:
    """A source in one line: its title, the page or the heading, and its score."""
    if "score" not in source:
        return f"{_place(source)} (pinned)"
    return f"{_place(source)} · {_score(source):.2f}"


def _place(source: Mapping[str, Any]) -> str:
    title = str(source.get("title") or source.get("url") or "untitled")
    if source.get("page") is not None:
        return printable(f"{title}, page {source['page']}")
    if source.get("heading") and source["heading"] != title:
        return printable(f"{title}, {source['heading']}")
    return printable(title)


def _score(source: Mapping[str, Any]) -> float:
    score = source.get("score")
    return float(score) if isinstance(score, (int, float)) else 0.0
