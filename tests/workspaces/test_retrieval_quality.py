"""Holds the quality of retrieval: no way of searching may find less than it did."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.retrieval.quality import Figures, Vectors, measure
from bench.retrieval.questions import articles, questions

# Recall among the first four, nDCG@10, recall over the usual threshold, share of the unanswerable refused.
# What is measured is a little above; who raises it may raise these.
LEAST = {
    ("lexical", "english"): Figures(0.83, 0.79, 0.70, 0.93),
    ("lexical", "chinese"): Figures(0.94, 0.91, 0.66, 1.0),
    ("vector", "english"): Figures(0.97, 0.94, 0.97, 0.6),
    ("vector", "chinese"): Figures(0.44, 0.40, 0.44, 0.0),
    ("hybrid", "english"): Figures(0.96, 0.91, 0.96, 0.6),
    ("hybrid", "chinese"): Figures(0.94, 0.91, 0.90, 0.0),
}


def lacking(found: dict[tuple[str, str], Figures]) -> list[str]:
    """One sentence for each figure that is too low."""
    return [
        f"{' '.join(which)}: {name} is {getattr(figures, name):.3f}, under {getattr(LEAST[which], name)}"
        for which, figures in found.items()
        for name in ("recall", "gain", "answered", "refused")
        if getattr(figures, name) < getattr(LEAST[which], name) - 1e-9
    ]


def test_words_find_what_they_found(tmp_path: Path) -> None:
    assert lacking(asyncio.run(measure(tmp_path, None))) == []


def test_vectors_and_both_find_what_they_found(tmp_path: Path) -> None:
    vectors = Vectors.stored()
    if reason := vectors.missing():
        pytest.skip(reason)
    found = asyncio.run(measure(tmp_path, vectors))
    assert set(found) == set(LEAST)
    assert lacking(found) == []


def test_the_questions_ask_for_passages_that_there_are() -> None:
    there = {article.passage(entry) for article in articles() for entry in article.entries}
    asked = questions()
    assert len(there) >= 200
    assert sum(bool(each.relevant) for each in asked) >= 100
    assert {name for each in asked for name in each.relevant} <= there
    assert len({each.question for each in asked}) == len(asked)
