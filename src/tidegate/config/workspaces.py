"""Owns reading what holds for all workspaces: the models that they use, and how documents are cut."""

from __future__ import annotations

from typing import Final

from tidegate.config.document import Section
from tidegate.config.settings import Workspaces
from tidegate.config.values import parse_integer, parse_model_name, parse_switch, ranged

_SMALLEST: Final = 100
_LARGEST: Final = 20_000


def read_workspaces(section: Section) -> Workspaces:
    """Return the settings of workspaces."""
    default = Workspaces()
    size = ranged(
        parse_integer, _SMALLEST, _LARGEST, f"a number of characters from {_SMALLEST} to {_LARGEST}"
    )
    passage = section.parsed("passage", size, default.passage)
    overlap = section.parsed(
        "overlap",
        ranged(parse_integer, 0, _LARGEST, "a number of characters"),
        min(default.overlap, passage // 4),
    )
    if overlap * 2 > passage and (value := section.get("overlap")) is not None:
        value.complain(f"must be at most half of passage, which is {passage}")
    found = Workspaces(
        model=section.optional("model", parse_model_name),
        embedder=section.optional("embedder", parse_model_name),
        reranker=section.optional("reranker", parse_model_name),
        passage=passage,
        overlap=overlap,
        private_links=section.parsed("private_links", parse_switch, default.private_links),
        multi_user=section.parsed("multi_user", parse_switch, default.multi_user),
    )
    section.close()
    return found
