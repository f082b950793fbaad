"""Owns the vectors that are held in memory for searching: their form, their blocks, and their bounds.

numpy does the arithmetic and is imported when it is first needed. Without it there is no search by vectors.
"""

from __future__ import annotations

import importlib.util
import math
import struct
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from tidegate.errors import Broken

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Floats = NDArray[np.float32]

BLOCK: Final = 4096
"""Vectors that are read and multiplied at once."""

_NONE: Final = -1
"""In place of the id of a passage whose vector was replaced."""

_LEAST: Final = -2.0
"""Less than any cosine."""

Row = tuple[int, int, bytes]
"""Where a vector stands in its table, the id of its passage, and the vector."""


@cache
def vectors_possible() -> bool:
    """Whether this environment has what a search by vectors needs."""
    return importlib.util.find_spec("numpy") is not None


def packed(vector: Sequence[float]) -> bytes:
    """A vector as it is kept: of length 1, in numbers of 16 bits. One without a direction is all zeros."""
    length = math.sqrt(math.fsum(each * each for each in vector))
    scale = 1 / length if 0 < length < math.inf else 0.0
    return struct.pack(f"<{len(vector)}e", *(each * scale if scale else 0.0 for each in vector))


class Block:
    """Vectors of one embedder, at most :data:`BLOCK` of them, all of as many numbers."""

    def __init__(self, dimensions: int) -> None:
        import numpy as np  # noqa: PLC0415 - an extra, and slow to import

        self.length = 0
        # Memory that was never written takes no room.
        self.ids: Ids = np.empty(BLOCK, dtype=np.int64)
        self.matrix: Floats = np.empty((BLOCK, dimensions), dtype=np.float32)

    def extend(self, rows: Sequence[Row]) -> int:
        """Take as many of them as there is room for, and say how many that were."""
        import numpy as np  # noqa: PLC0415

        begin = self.length
        end = min(BLOCK, begin + len(rows))
        taken = rows[: end - begin]
        flat = np.frombuffer(b"".join([row[2] for row in taken]), dtype="<f2")
        self.matrix[begin:end] = flat.reshape(len(taken), self.matrix.shape[1])
        self.ids[begin:end] = [row[1] for row in taken]
        self.length = end  # last: searches in other threads see whole rows
        return len(taken)

    def replaced(self, ids: Collection[int]) -> None:
        """Find these no more."""
        import numpy as np  # noqa: PLC0415

        mine = self.ids[: self.length]
        mine[np.isin(mine, list(ids))] = _NONE

    def scores(self, vector: Floats, among: Ids | None) -> tuple[Ids, Floats]:
        """The cosine of each with a vector of length 1; ``among`` are the ids that may be found."""
        import numpy as np  # noqa: PLC0415

        length = self.length
        ids = self.ids[:length]
        cosines = _products(self.matrix[:length], vector)
        cosines[ids == _NONE] = _LEAST
        if among is not None:
            cosines[~np.isin(ids, among)] = _LEAST
        return ids, cosines


class Best:
    """The nearest of what has been looked at so far."""

    def __init__(self, vector: Sequence[float], most: int, among: Collection[int] | None) -> None:
        import numpy as np  # noqa: PLC0415

        asked = np.asarray(vector, dtype=np.float64)
        length = float(np.linalg.norm(asked))
        self.vector: Floats = (asked / length if 0 < length < math.inf else asked * 0).astype(np.float32)
        self._most = most
        self._among = None if among is None else np.fromiter(among, dtype=np.int64, count=len(among))
        self._found: list[tuple[Ids, Floats]] = []

    def look(self, block: Block) -> None:
        """Look at these too. Raises Broken where they have another number of dimensions."""
        import numpy as np  # noqa: PLC0415

        dimensions = block.matrix.shape[1]
        if dimensions != len(self.vector):
            raise Broken(
                f"the embedder gave a vector of {len(self.vector)} numbers, and those of the passages have "
                f"{dimensions}; name the model that embedded them, or embed them anew"
            )
        ids, cosines = block.scores(self.vector, self._among)
        if len(cosines) > self._most:
            kept = np.argpartition(cosines, -self._most)[-self._most :]
            ids, cosines = ids[kept], cosines[kept]
        self._found.append((ids, cosines))

    def result(self) -> list[tuple[int, float]]:
        """Ids and cosines, the nearest first."""
        pairs = [
            (passage, cosine)
            for ids, cosines in self._found
            for passage, cosine in zip(ids.tolist(), cosines.tolist(), strict=True)
            if cosine > _LEAST
        ]
        pairs.sort(key=lambda pair: (-pair[1], pair[0]))
        return [(passage, max(-1.0, min(1.0, cosine))) for passage, cosine in pairs[: self._most]]


class Matrix:
    """The vectors of one workspace and embedder in memory, and up to where they were read.

    Only one thread at a time adds to it; others may search meanwhile.
    """

    def __init__(self, removed: int) -> None:
        self.last = 0
        """The place of the last vector that was read."""
        self.removed = removed
        """How many had been removed when the first was read."""
        self.blocks: list[Block] = []
        self._replaced = removed

    def __len__(self) -> int:
        return sum(block.length for block in self.blocks)

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return sum(block.length * (block.matrix.shape[1] * 4 + 8) for block in self.blocks)

    def add(self, rows: Sequence[Row], removed: int) -> None:
        """Add what was read behind the last one; ``removed`` is how many were removed by then.

        Vectors that are not of as many numbers as the first are left out.
        """
        if not rows:
            return
        self.last = rows[-1][0]
        if removed != self._replaced:
            ids = [row[1] for row in rows]
            for block in self.blocks:
                block.replaced(ids)
            self._replaced = removed
        for rest in _alike(rows, self.blocks[0].matrix.shape[1] if self.blocks else len(rows[0][2]) // 2):
            if not self.blocks or self.blocks[-1].length == BLOCK:
                self.blocks.append(Block(len(rest[0][2]) // 2))
            taken = self.blocks[-1].extend(rest)
            if taken < len(rest):
                self.blocks.append(Block(len(rest[0][2]) // 2))
                self.blocks[-1].extend(rest[taken:])

    def search(self, best: Best) -> list[tuple[int, float]]:
        """Look at all."""
        for block in list(self.blocks):
            best.look(block)
        return best.result()


def _products(matrix: Floats, vector: Floats) -> Floats:
    """Each row times the vector, in this thread alone.

    The product of a matrix would be shared out among threads that wait for one another, which takes many
    times as long on a machine that has other things to do.
    """
    import numpy as np  # noqa: PLC0415

    product: Floats = (
        np.vecdot(matrix, vector) if hasattr(np, "vecdot") else np.einsum("ij,j->i", matrix, vector)
    )
    return product


def _alike(rows: Sequence[Row], dimensions: int) -> Iterator[list[Row]]:
    """The rows with vectors of so many numbers, in parts of a block at most."""
    alike = [row for row in rows if len(row[2]) == 2 * dimensions and dimensions]
    for at in range(0, len(alike), BLOCK):
        yield alike[at : at + BLOCK]


class Matrices:
    """Those of several workspaces, the least lately used of which make room for others."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._kept: dict[Any, Matrix] = {}

    def get(self, key: tuple[int, str]) -> Matrix | None:
        matrix = self._kept.pop(key, None)
        if matrix is not None:
            self._kept[key] = matrix
        return matrix

    def keep(self, key: tuple[int, str], matrix: Matrix) -> None:
        """Keep it, for as long as there is room."""
        self._kept.pop(key, None)
        self._kept[key] = matrix
        held = self.bytes
        for each in list(self._kept):
            if held <= self.most_bytes:
                break
            held -= self._kept.pop(each).bytes

    def forget(self, workspace: int, except_embedder: str | None = None) -> None:
        """Let go of a workspace's, but for those of one embedder."""
        for each in [key for key in self._kept if key[0] == workspace and key[1] != except_embedder]:
            del self._kept[each]

    @property
    def bytes(self) -> int:
        """What they take together."""
        return sum(matrix.bytes for matrix in self._kept.values())
