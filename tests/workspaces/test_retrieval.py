"""Which passages a question finds: their order, their scores, the threshold, and what fails beside them."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tidegate.errors import TidegateError, Unreachable
from tidegate.store.database import Database
from tidegate.workspaces.document import Entry, Hit
from tidegate.workspaces.passages import SqlitePassages
from tidegate.workspaces.retrieval import Embed, Rerank, coverage, fused, search
from tidegate.workspaces.vectors import packed

MODEL = "small"
MANUAL = {
    "If the root password of MySQL is lost, start the server with an init file.": 0.0,
    "Identifiers are folded to capital letters on some file systems.": 120.0,
    "The buffer pool should have most of the memory of the machine.": 60.0,
    "Replication copies changes from a source to its replicas.": 180.0,
    "Each connection is a thread with buffers of its own.": 240.0,
}


def pointing(degrees: float) -> list[float]:
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


def embed_at(degrees: float) -> Embed:
    """An embedder by which each question points there."""

    async def embed(texts: Sequence[str], is_query: bool) -> list[list[float]]:
        assert is_query
        return [pointing(degrees) for _ in texts]

    return embed


async def fail(_texts: Sequence[str], _is_query: bool) -> list[list[float]]:
    raise Unreachable("nobody answers at the embedder's address")


Ask = Callable[..., Awaitable[list[Hit]]]


def asking(folder: Path, test: Callable[[Ask], Awaitable[None]]) -> None:
    """Run a test with the manual in a workspace, and its vectors."""

    async def main() -> None:
        index = SqlitePassages(Database(folder / "tidegate.db"))
        await index.open()
        try:
            await index.put(1, "manual", [Entry(at, text, "Manual", 3) for at, text in enumerate(MANUAL)])
            rows = await index.without_vectors(1, MODEL, 100)
            texts = [(passage, text.rpartition("\n")[2]) for passage, text in rows]
            await index.add_vectors(
                1, MODEL, [(each, packed(pointing(MANUAL[text]))) for each, text in texts]
            )

            async def ask(
                query: str,
                degrees: float | None = None,
                *,
                threshold: float = 0.25,
                top: int = 4,
                embed: Embed | None = None,
                rerank: Rerank | None = None,
                documents: frozenset[str] | None = None,
                fell_back: Callable[[TidegateError], None] | None = None,
            ) -> list[Hit]:
                embedder = embed or (None if degrees is None else embed_at(degrees))
                return await search(
                    index,
                    1,
                    None if embedder is None else MODEL,
                    query,
                    top=top,
                    threshold=threshold,
                    embed=embedder,
                    rerank=rerank,
                    documents=documents,
                    fell_back=fell_back,
                )

            await test(ask)
        finally:
            await index.close()

    asyncio.run(main())


def test_words_alone_find_a_passage_with_all_that_cites_it(tmp_path: Path) -> None:
    async def test(ask: Ask) -> None:
        [hit] = await ask("I lost the root password")
        assert (hit.document, hit.number, hit.heading, hit.page) == ("manual", 0, "Manual", 3)
        assert hit.text.startswith("If the root password")
        assert hit.score == 1.0

    asking(tmp_path, test)


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of France?",
        "Who invented the machine that flies?",
        "How many files has the tax office?",
        "法国的首都是哪座城市？",
        "What is it about?",
        "?",
        " ",
    ],
)
def test_what_is_not_in_the_documents_finds_nothing(tmp_path: Path, question: str) -> None:
    async def test(ask: Ask) -> None:
        assert await ask(question) == []
        assert await ask(question, 270.0, threshold=0.95) == []

    asking(tmp_path, test)


def test_a_vector_finds_what_shares_no_word(tmp_path: Path) -> None:
    async def test(ask: Ask) -> None:
        hits = await ask("How much RAM does InnoDB want?", 60.0, top=1)
        assert [hit.number for hit in hits] == [2]
        assert hits[0].score == pytest.approx(1, abs=1e-3)

    asking(tmp_path, test)


def test_an_opposite_vector_scores_nothing(tmp_path: Path) -> None:
    async def test(ask: Ask) -> None:
        hits = await ask("zzz", 0.0, threshold=0.0, top=9)
        scores = {hit.number: hit.score for hit in hits}
        assert scores[0] == pytest.approx(1, abs=1e-3)
        assert scores[2] == pytest.approx(0.5, abs=1e-3)
        assert scores[3] == 0.0
        assert [hit.number for hit in await ask("zzz", 0.0, top=9)] == [0, 2]

    asking(tmp_path, test)


def test_every_score_reaches_the_threshold(tmp_path: Path) -> None:
    async def test(ask: Ask) -> None:
        for threshold in (0.0, 0.25, 0.5, 0.75, 1.0):
            for degrees in (None, 10.0, 100.0):
                hits = await ask("lost root password memory thread", degrees, threshold=threshold, top=9)
                assert all(threshold <= hit.score <= 1 for hit in hits)
        assert len(await ask("lost root password memory thread", 10.0, threshold=0.0, top=9)) == len(MANUAL)

    asking(tmp_path, test)


def test_what_both_ways_find_comes_first(tmp_path: Path) -> None:
    async def test(ask: Ask) -> None:
        hits = await ask("Where do replicas copy changes from?", 180.0, threshold=0.0)
        assert hits[0].number == 3
        assert len(hits) == 4

    asking(tmp_path, test)


def test_a_failing_embedder_leaves_the_words(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test(ask: Ask) -> None:
        told: list[TidegateError] = []
        [hit] = await ask("lost root password", embed=fail, fell_back=told.append)
        assert hit.number == 0
        assert [error.message for error in told] == ["nobody answers at the embedder's address"]
        with caplog.at_level(logging.WARNING, "tidegate"):
            assert len(await ask("lost root password", embed=fail)) == 1
        assert "nobody answers" in caplog.text

    asking(tmp_path, test)


def test_a_vector_of_another_model_leaves_the_words(tmp_path: Path) -> None:
    async def embed(texts: Sequence[str], _is_query: bool) -> list[list[float]]:
        return [[1.0, 0.0, 0.0] for _ in texts]

    async def test(ask: Ask) -> None:
        told: list[TidegateError] = []
        assert len(await ask("lost root password", embed=embed, fell_back=told.append)) == 1
        assert "3 numbers" in told[0].message

    asking(tmp_path, test)


def test_a_reranker_has_the_last_word_about_the_order(tmp_path: Path) -> None:
    async def shortest(query: str, texts: Sequence[str]) -> list[float]:
        assert query == "zzz"
        return [-float(len(text)) for text in texts]

    async def broken(_query: str, _texts: Sequence[str]) -> list[float]:
        raise Unreachable("no reranker")

    async def test(ask: Ask) -> None:
        hits = await ask("zzz", 0.0, threshold=0.0, top=9, rerank=shortest)
        assert [hit.number for hit in hits] == sorted(range(5), key=lambda at: len(list(MANUAL)[at]))
        told: list[TidegateError] = []
        hits = await ask("zzz", 0.0, rerank=broken, fell_back=told.append)
        assert [hit.number for hit in hits] == [0, 2]
        assert len(told) == 1

    asking(tmp_path, test)


def test_a_search_may_be_limited_to_documents(tmp_path: Path) -> None:
    async def test(ask: Ask) -> None:
        assert await ask("lost root password", 0.0, documents=frozenset({"other"})) == []
        assert await ask("lost root password", 0.0, documents=frozenset({"manual"})) != []

    asking(tmp_path, test)


RANKED = st.lists(
    st.tuples(st.integers(0, 20), st.floats(-1, 30)), max_size=10, unique_by=lambda row: row[0]
).map(lambda rows: sorted(rows, key=lambda row: -row[1]))


@given(RANKED, RANKED)
@examples(100)
def test_both_orders_together_lose_and_invent_nothing(
    lexical: list[tuple[int, float]], nearest: list[tuple[int, float]]
) -> None:
    assert sorted(fused(lexical, nearest)) == sorted({row[0] for row in [*lexical, *nearest]})


def test_one_word_of_several_may_be_about_something_else() -> None:
    weights = {"capit": 3.0, "franc": 3.0}
    assert coverage(weights, "Capital letters") == 0.25
    assert coverage(weights, "The capital of France") == 1.0
    assert coverage({"capit": 3.0}, "Capital letters") == 1.0
    assert coverage({}, "Capital letters") == 0.0


def test_of_passages_as_good_the_one_with_the_words_comes_first() -> None:
    assert fused([(9, 2.0)], [(1, 0.5), (2, 0.5)]) == [9, 1, 2]
