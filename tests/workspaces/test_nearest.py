"""Searches among very many vectors: what is found by their codes, and how much is held in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.workspaces.test_index import MODEL
from tidegate.errors import Broken
from tidegate.store.database import Database
from tidegate.workspaces.codes import Coder
from tidegate.workspaces.document import Entry
from tidegate.workspaces.passages import SqlitePassages
from tidegate.workspaces.vectors import BLOCK, Form, Matrices, Matrix, Row, Sought, bytes_of, unpacked

Vectors = NDArray[np.float32]

DIMENSIONS = 72
"""Not a multiple of what is compared at once."""
ASKED = 30
FEW = 600


def made(count: int, dimensions: int, kind: str = "around a point", seed: int = 3) -> Vectors:
    """Vectors of length 1. Those of models are not spread evenly, and some numbers are larger than others."""
    numbers = np.random.default_rng(seed)
    vectors = numbers.standard_normal((count, dimensions))
    if kind == "around a point":
        vectors = vectors / np.sqrt(np.arange(1, dimensions + 1)) + numbers.standard_normal(dimensions) / 2
    elif kind == "one number is large":
        vectors[:, 1] *= 8
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return unpacked([row.tobytes() for row in vectors.astype("<f2")])


def rows_of(vectors: Vectors) -> list[Row]:
    """As they are kept, of passages numbered from 0."""
    return [(at + 1, at, row.tobytes()) for at, row in enumerate(vectors.astype("<f2"))]


def filled(rows: list[Row], form: Form = "exact") -> Matrix:
    matrix = Matrix(0, form)
    for begin in range(0, len(rows), 3000):
        matrix.add(rows[begin : begin + 3000], 0)
    return matrix


def nothing(_: object) -> list[tuple[int, bytes]]:
    raise AssertionError("all of it is held")


def recall(found: list[int], vectors: Vectors, asked: Vectors) -> float:
    best = np.argsort(-(vectors @ asked))[: len(found)]
    return len(set(found) & set(best.tolist())) / len(found)


@pytest.mark.parametrize("kind", ["evenly", "around a point", "one number is large"])
@pytest.mark.parametrize("form", ["exact", "coded"])
def test_the_nearest_of_many_are_found(kind: str, form: Form) -> None:
    vectors = made(3 * BLOCK + 100 + ASKED, DIMENSIONS, kind)
    vectors, asked = vectors[:-ASKED], vectors[-ASKED:]
    rows = rows_of(vectors)
    matrix = filled(rows, form)
    fetched = {row[1]: row[2] for row in rows}
    shares = []
    for each in asked:
        sought = Sought(each.tolist(), 10, None)
        matrix.search(sought, nothing if form == "exact" else lambda ids: [(at, fetched[at]) for at in ids])
        found = sought.result()
        assert [cosine for _, cosine in found] == pytest.approx(
            [float(vectors[at] @ each) for at, _ in found], abs=1e-3
        )
        shares.append(recall([at for at, _ in found], vectors, each))
    assert len(matrix) == len(vectors)
    assert np.mean(shares) >= 0.95


def test_codes_tell_cosines() -> None:
    """Whatever the vectors are, within about the error that the paper gives."""
    for kind in ("evenly", "around a point", "one number is large"):
        vectors = made(BLOCK + 1, 384, kind)
        vectors, asked = vectors[:-1], vectors[-1]
        coder = Coder(vectors)
        estimates = coder.codes(vectors).estimates(coder.asked(asked))
        errors = estimates - vectors @ asked
        assert np.std(errors) < 0.05, kind


def test_of_many_only_some_may_be_found_and_replaced_ones_not() -> None:
    vectors = made(2 * BLOCK, DIMENSIONS)
    matrix = filled(rows_of(vectors))
    among = range(BLOCK - FEW, BLOCK + FEW)
    sought = Sought(vectors[0].tolist(), 10, among)
    matrix.search(sought, nothing)
    best = np.argsort(-(vectors[among.start : among.stop] @ vectors[0]))[:10] + among.start
    assert {at for at, _ in sought.result()} == set(best.tolist())
    place = 2 * BLOCK + 1
    matrix.add([(place, 5, (-vectors[5]).astype("<f2").tobytes())], 1)
    sought = Sought(vectors[5].tolist(), 10, None)
    matrix.search(sought, nothing)
    assert 5 not in [at for at, _ in sought.result()]
    sought = Sought((-vectors[5]).tolist(), 1, None)
    matrix.search(sought, nothing)
    [(found, cosine)] = sought.result()
    assert found == 5
    assert cosine == pytest.approx(1, abs=1e-3)


def test_very_many_may_be_wanted() -> None:
    vectors = made(BLOCK, 8)
    sought = Sought(vectors[0].tolist(), 2 * BLOCK, None)
    filled(rows_of(vectors)).search(sought, nothing)
    assert len(sought.result()) == BLOCK


def test_vectors_that_are_all_alike_are_found() -> None:
    vectors = np.tile(made(1, DIMENSIONS), (BLOCK, 1))
    for alike in (vectors, np.zeros_like(vectors)):
        sought = Sought(vectors[0].tolist(), 5, None)
        filled(rows_of(alike)).search(sought, nothing)
        assert [cosine for _, cosine in sought.result()] == pytest.approx(
            [float(alike[0] @ vectors[0])] * 5, abs=1e-3
        )


def test_another_number_of_dimensions_is_told_of_many_too() -> None:
    matrix = filled(rows_of(made(BLOCK, 8)), "coded")
    with pytest.raises(Broken, match="8; name the model"):
        matrix.search(Sought([1.0, 0.0], 5, None), nothing)


def test_what_is_held_is_bounded() -> None:
    count, dimensions = 5 * BLOCK, 384
    whole, codes = bytes_of(count, dimensions, "exact"), bytes_of(count, dimensions, "coded")
    assert codes * 12 < whole
    assert Matrices(whole).form(count, dimensions) == "exact"
    assert Matrices(whole - 1).form(count, dimensions) == "coded"
    assert Matrices(codes - 1).form(count, dimensions) == "unread"
    assert filled(rows_of(made(BLOCK, 8)), "coded").bytes == bytes_of(BLOCK, 8, "coded")


def with_index(folder: Path, most_bytes: int, test: Callable[[SqlitePassages], Awaitable[None]]) -> None:
    async def main() -> None:
        index = SqlitePassages(Database(folder / "tidegate.db"), most_bytes)
        await index.open()
        try:
            await test(index)
        finally:
            await index.close()

    asyncio.run(main())


def test_a_workspace_beyond_the_bound_is_searched_by_codes(tmp_path: Path) -> None:
    """Its vectors stay in the database, of which a process that comes later makes the codes again."""
    count = BLOCK + 200
    vectors = made(count, DIMENSIONS)
    most_bytes = bytes_of(count, DIMENSIONS, "coded") + BLOCK
    assert bytes_of(count, DIMENSIONS, "exact") > most_bytes
    ids: list[int] = []

    async def nearest(index: SqlitePassages, vector: Vectors) -> list[int]:
        found = await index.nearest(1, MODEL, vector.tolist(), 10)
        return [ids.index(passage) for passage, _ in found]

    async def fill(index: SqlitePassages) -> None:
        await index.put(1, "a", [Entry(at, str(at)) for at in range(count)])
        ids.extend(row[0] for row in await index.without_vectors(1, MODEL, count))
        rows = [(ids[at], row[2]) for at, row in enumerate(rows_of(vectors))]
        await index.add_vectors(1, MODEL, rows)
        assert recall(await nearest(index, vectors[7]), vectors, vectors[7]) >= 0.9

    async def search(index: SqlitePassages) -> None:
        shares = [recall(await nearest(index, each), vectors, each) for each in vectors[:ASKED]]
        assert np.mean(shares) >= 0.95
        await index.add_vectors(1, MODEL, [(ids[3], rows_of(-vectors[3:4])[0][2])])
        assert 3 not in await nearest(index, vectors[3])
        assert (await nearest(index, -vectors[3]))[0] == 3
        await index.put(1, "b", [Entry(0, "more")])
        [(more, _)] = await index.without_vectors(1, MODEL, 9)
        await index.add_vectors(1, MODEL, [(more, rows_of(vectors[9:10])[0][2])])
        found = [passage for passage, _ in await index.nearest(1, MODEL, vectors[9].tolist(), 2)]
        assert set(found) == {ids[9], more}
        await index.remove(1, "a")
        assert [row[0] for row in await index.nearest(1, MODEL, vectors[9].tolist(), 9)] == [more]

    with_index(tmp_path, most_bytes, fill)
    with_index(tmp_path, most_bytes, search)
