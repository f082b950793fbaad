"""Finds the passages that have to do with a question: by their words, by their meaning, or by both.

Both ways give scores that do not compare; in proportion to the best of each they add up to the order. Whether
a passage has enough to do with the question is another matter, told by its score from 0 to 1: the cosine of
its vector and the question's, or how much of what the question says is in it, whichever is more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

from tidegate.errors import TidegateError
from tidegate.workspaces.document import Hit
from tidegate.workspaces.index import PassageIndex, Placed
from tidegate.workspaces.vectors import vectors_possible
from tidegate.workspaces.words import matching, query_words

logger = logging.getLogger("tidegate")

Embed = Callable[[Sequence[str], bool], Awaitable[list[list[float]]]]
"""Vectors of texts; whether these are questions, which some models must be told."""

Rerank = Callable[[str, Sequence[str]], Awaitable[list[float]]]
"""How well each of some texts answers a question: the better, the more."""

MOST: Final = 50
"""Passages that each way of searching brings."""

RERANKED: Final = 30
"""Passages that a reranker is shown at least."""

_SEARCHED: Final = 2000
"""Characters that are looked for of either end of a question: who pastes a text asks before it or behind it,
and each word costs a search of its own."""

Ranked = list[tuple[int, float]]


async def search(
    index: PassageIndex,
    workspace: int,
    embedder_name: str | None,
    query: str,
    *,
    top: int,
    threshold: float,
    embed: Embed | None = None,
    rerank: Rerank | None = None,
    documents: frozenset[str] | None = None,
    fell_back: Callable[[TidegateError], None] | None = None,
) -> list[Hit]:
    """At most ``top`` passages of a workspace with a score of ``threshold`` at least, the best first.

    The order is that of :func:`fused`, or the reranker's; scores need not fall. When the embedder or the
    reranker fails, its part is left out and ``fell_back`` is told. Raises StoreError.
    """
    if top < 1 or not query.strip():
        return []
    query = searched(query)
    failed = fell_back or _log
    lexical, nearest, weights = await asyncio.gather(
        index.lexical(workspace, query, MOST, documents),
        _nearest(index, workspace, embedder_name, query, embed, documents, failed),
        index.weights(workspace, query_words(query)),
    )
    order = fused(lexical, nearest)
    most = max(MOST, top)
    candidates = await index.passages(workspace, order[:most])
    if rerank is not None and len(candidates) > 1:
        candidates = await _reranked(rerank, query, candidates, max(RERANKED, top), failed)
    return await asyncio.to_thread(_hits, candidates, dict(nearest), weights, threshold, top)


def searched(query: str) -> str:
    """What is looked for: the beginning and the end of what is far longer than a question."""
    if len(query) <= 2 * _SEARCHED:
        return query
    return f"{query[:_SEARCHED]}\n{query[-_SEARCHED:]}"


def fused(lexical: Ranked, nearest: Ranked) -> list[int]:
    """Ids of passages, the best of both orders first.

    Ranks would say less: where all vectors are about as near, as those of a model are that does not know the
    language, they leave the order to the words. `python -m bench.retrieval` is what this was measured by.
    """
    scores: dict[int, float] = {}
    for ranked in (lexical, nearest):
        best = ranked[0][1] if ranked else 0.0
        for passage, score in ranked:
            scores[passage] = scores.get(passage, 0.0) + (max(0.0, score / best) if best > 0 else 0.0)
    worded = {passage for passage, _ in lexical}
    # As much of a word that was asked for is worth more than as near a vector.
    return sorted(scores, key=lambda passage: (-scores[passage], passage not in worded, passage))


def coverage(weights: Mapping[str, float], text: str) -> float:
    """How much of a question is in a passage, from 0 to 1.

    It is the share of the question's words, weighted by how rare they are. One word alone, where there are
    others, may be in a passage about something else: its share is squared.
    """
    whole = sum(weights.values())
    found = matching(weights, text)
    if not whole or not found:
        return 0.0
    share = min(1.0, sum(weights[word] for word in found) / whole)
    return share if len(found) > 1 else share * share


async def _nearest(
    index: PassageIndex,
    workspace: int,
    embedder: str | None,
    query: str,
    embed: Embed | None,
    documents: frozenset[str] | None,
    failed: Callable[[TidegateError], None],
) -> Ranked:
    if embedder is None or embed is None or not vectors_possible():
        return []
    try:
        vector = (await embed([query], True))[0]
        return await index.nearest(workspace, embedder, vector, MOST, documents)
    except TidegateError as error:
        failed(error)
        return []


async def _reranked(
    rerank: Rerank,
    query: str,
    candidates: list[Placed],
    most: int,
    failed: Callable[[TidegateError], None],
) -> list[Placed]:
    """The first candidates as the reranker orders them; the rest stay behind them."""
    shown, rest = candidates[:most], candidates[most:]
    try:
        scores = await rerank(query, [_shown(each) for each in shown])
    except TidegateError as error:
        failed(error)
        return candidates
    order = sorted(range(len(shown)), key=lambda at: -scores[at])
    return [*(shown[at] for at in order), *rest]


def _hits(
    candidates: Iterable[Placed],
    cosines: Mapping[int, float],
    weights: Mapping[str, float],
    threshold: float,
    top: int,
) -> list[Hit]:
    hits: list[Hit] = []
    for each in candidates:
        score = max(0.0, cosines.get(each.id, 0.0))
        if score < threshold or each.id not in cosines:
            score = max(score, coverage(weights, _shown(each)))
        if score >= threshold:
            hits.append(_hit(each, min(1.0, score)))
        if len(hits) == top:
            break
    return hits


def _hit(placed: Placed, score: float) -> Hit:
    entry = placed.entry
    return Hit(
        passage=placed.id,
        document=placed.document,
        number=entry.number,
        text=entry.text,
        score=score,
        heading=entry.heading,
        page=entry.page,
    )


def _shown(placed: Placed) -> str:
    return f"{placed.entry.heading}\n{placed.entry.text}" if placed.entry.heading else placed.entry.text


def _log(error: TidegateError) -> None:
    logger.warning("a search went on without a model that it asks: %s", error.message)
