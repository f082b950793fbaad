"""What keeps the passages of workspaces and finds them: the interface, behind which other databases fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from tidegate.workspaces.document import Entry


class Placed(NamedTuple):
    """A passage of an index, and the document that it is of."""

    id: int
    document: str
    entry: Entry


class PassageIndex(Protocol):
    """Passages and their vectors. Nothing of one workspace is seen, or counted, in another.

    Ids of passages are given by the index and never given again. Vectors are of length 1, in the form of
    :func:`tidegate.workspaces.vectors.packed`, and belong to the embedder that made them: there may be those
    of several at a time. ``documents`` limits a search to these. All methods raise StoreError.
    """

    async def put(self, workspace: int, document: str, entries: Sequence[Entry]) -> None:
        """Put a document's passages in place of those that it had; searches find either all or none."""
        ...

    async def remove(self, workspace: int, document: str) -> None:
        """Take a document out, with its vectors."""
        ...

    async def drop(self, workspace: int) -> None:
        """Take all of a workspace out."""
        ...

    async def tidy(self) -> None:
        """Take out what a killed process left that nobody finds."""
        ...

    async def placed(self) -> list[tuple[int, str]]:
        """The workspaces that have passages, each with every document that these are of."""
        ...

    async def count(self, workspace: int) -> int:
        """How many passages it has."""
        ...

    async def total(self, workspaces: Collection[int] | None = None) -> int:
        """How many passages these have together; None is all there are."""
        ...

    async def without_vectors(
        self, workspace: int, embedder: str, most: int, after: int = 0
    ) -> list[tuple[int, str]]:
        """Ids and texts of passages, by their ids from ``after`` on, that the embedder has yet to embed."""
        ...

    async def add_vectors(self, workspace: int, embedder: str, vectors: Sequence[tuple[int, bytes]]) -> None:
        """Keep vectors of passages. Those of passages that are not there any more are left out."""
        ...

    async def forget_vectors(self, workspace: int, except_embedder: str | None) -> None:
        """Let go of the vectors of all other embedders."""
        ...

    async def vector_count(self, workspace: int, embedder: str) -> int:
        """How many passages have a vector of this embedder."""
        ...

    async def weights(self, workspace: int, words: Collection[str]) -> Mapping[str, float]:
        """How much each of a question's words tells in this workspace: the rarer, the more."""
        ...

    async def lexical(
        self, workspace: int, query: str, most: int, documents: frozenset[str] | None = None
    ) -> list[tuple[int, float]]:
        """Passages that have words of the question, the best first, with a score that only orders them."""
        ...

    async def nearest(
        self,
        workspace: int,
        embedder: str,
        vector: Sequence[float],
        most: int,
        documents: frozenset[str] | None = None,
    ) -> list[tuple[int, float]]:
        """Passages nearest to a vector of any length, with the cosine of the angle between them.

        Raises Broken for a vector that has not as many numbers as those of the passages.
        """
        ...

    async def passages(self, workspace: int, ids: Sequence[int]) -> list[Placed]:
        """These passages, in this order; those that are not there are left out."""
        ...
