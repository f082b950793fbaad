"""Owns the vectors that are held in memory for searching: their form, their blocks, and their bounds.

numpy does the arithmetic and is imported when it is first needed. Without it there is no search by vectors.

Vectors come in blocks. Those of one that is not full yet are all compared with what is asked for; a full one
has codes (:mod:`tidegate.workspaces.codes`), by which those are chosen that are worth it. So a search of very
many reads a sixteenth of them, and they need not be in memory themselves.
"""

from __future__ import annotations

import importlib.util
import math
import struct
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from tidegate.errors import Broken
from tidegate.workspaces.codes import Coder, Codes, bytes_of_code

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Floats = NDArray[np.float32]

BLOCK: Final = 4096
"""Vectors that are read and coded at once."""

_CLOSER: Final = 2000
"""Vectors that are compared after their codes: among them are the nearest, 99 of 100 at least."""

_NONE: Final = -1
"""In place of the id of a passage whose vector was replaced."""

_LEAST: Final = -2.0
"""Less than any cosine."""

Row = tuple[int, int, bytes]
"""Where a vector stands in its table, the id of its passage, and the vector."""

Form = Literal["exact", "coded", "unread"]
"""What is held of vectors: themselves, only the codes of full blocks, nothing."""

Fetch = Callable[[Sequence[int]], Iterable[tuple[int, bytes]]]
"""Brings vectors by the ids of their passages."""


@cache
def vectors_possible() -> bool:
    """Whether this environment has what a search by vectors needs."""
    return importlib.util.find_spec("numpy") is not None


def packed(vector: Sequence[float]) -> bytes:
    """A vector as it is kept: of length 1, in numbers of 16 bits. One without a direction is all zeros."""
    length = math.sqrt(math.fsum(each * each for each in vector))
    scale = 1 / length if 0 < length < math.inf else 0.0
    return struct.pack(f"<{len(vector)}e", *(each * scale if scale else 0.0 for each in vector))


def bytes_of(count: int, dimensions: int, form: Form) -> int:
    """What so many vectors take in memory."""
    if form == "unread":
        return 0
    full, rest = divmod(count, BLOCK)
    coded = 8 + bytes_of_code(dimensions) + (2 * dimensions if form == "exact" else 0)
    return full * BLOCK * coded + rest * (8 + 4 * dimensions)


class Sought:
    """What is nearest to a vector of any length, of all that was looked at so far.

    ``most`` are wanted; ``among`` are the ids that may be found, None being all.
    """

    def __init__(self, vector: Sequence[float], most: int, among: Collection[int] | None) -> None:
        import numpy as np  # noqa: PLC0415 - an extra, and slow to import

        self.last = 0
        """The place of the last vector that was looked at, where they are read for this search."""
        asked = np.asarray(vector, dtype=np.float64)
        length = float(np.linalg.norm(asked))
        self.vector: Floats = (asked / length if 0 < length < math.inf else asked * 0).astype(np.float32)
        self.most = most
        self._among = None if among is None else np.fromiter(among, dtype=np.int64, count=len(among))
        self._found: list[tuple[Ids, Floats]] = []

    def cosines(self, vectors: Floats) -> Floats:
        """The cosine of each with what is asked for. Raises Broken for another number of dimensions."""
        import numpy as np  # noqa: PLC0415

        self.check(vectors.shape[1])
        # Not the product of a matrix: it would be shared out among threads that wait for one another.
        cosines: Floats = np.vecdot(vectors, self.vector)
        return cosines

    def look(self, ids: Ids, cosines: Floats) -> None:
        """Look at these too."""
        import numpy as np  # noqa: PLC0415

        cosines = np.where(self.may_be_found(ids), cosines, np.float32(_LEAST))
        if len(cosines) > self.most:
            kept = np.argpartition(cosines, -self.most)[-self.most :]
            ids, cosines = ids[kept], cosines[kept]
        self._found.append((ids, cosines))

    def look_at(self, rows: Sequence[Row]) -> None:
        """Look at what was read for this search; vectors that are not of as many numbers are left out."""
        import numpy as np  # noqa: PLC0415

        if rows:
            self.last = rows[-1][0]
            alike = [row for row in rows if len(row[2]) == len(rows[0][2])]
            cosines = self.cosines(unpacked([row[2] for row in alike]))
            self.look(np.array([row[1] for row in alike]), cosines)

    def check(self, dimensions: int) -> None:
        """Raises Broken where those that are searched have another number of dimensions."""
        if dimensions != len(self.vector):
            raise Broken(
                f"the embedder gave a vector of {len(self.vector)} numbers, and those of the passages have "
                f"{dimensions}; name the model that embedded them, or embed them anew"
            )

    def may_be_found(self, ids: Ids) -> NDArray[np.bool_]:
        import numpy as np  # noqa: PLC0415

        there: NDArray[np.bool_] = ids != _NONE
        return there if self._among is None else there & np.isin(ids, self._among)

    def result(self) -> list[tuple[int, float]]:
        """Ids and cosines, the nearest first."""
        found = {
            passage: cosine
            for ids, cosines in self._found
            for passage, cosine in zip(ids.tolist(), cosines.tolist(), strict=True)
            if cosine > _LEAST
        }
        pairs = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
        return [(passage, max(-1.0, min(1.0, cosine))) for passage, cosine in pairs[: self.most]]


class Block:
    """Vectors of one embedder, at most :data:`BLOCK` of them, all of as many numbers."""

    def __init__(self, dimensions: int) -> None:
        import numpy as np  # noqa: PLC0415

        self.length = 0
        # Memory that was never written takes no room.
        self.ids: Ids = np.empty(BLOCK, dtype=np.int64)
        self.vectors: NDArray[Any] | None = np.empty((BLOCK, dimensions), dtype=np.float32)
        """Of 32 bits as long as there are no codes, of 16 then, if they are held at all."""
        self.codes: Codes | None = None

    def extend(self, rows: Sequence[Row]) -> int:
        """Take as many of them as there is room for, and say how many that were."""
        assert self.vectors is not None
        begin, end = self.length, min(BLOCK, self.length + len(rows))
        taken = rows[: end - begin]
        self.vectors[begin:end] = unpacked([row[2] for row in taken])
        self.ids[begin:end] = [row[1] for row in taken]
        self.length = end
        return len(taken)

    def seal(self, codes: Codes, form: Form) -> None:
        """Hold these codes of it from now on."""
        import numpy as np  # noqa: PLC0415

        assert self.vectors is not None
        self.codes = codes
        self.vectors = self.vectors.astype(np.float16) if form == "exact" else None

    def replaced(self, ids: Collection[int]) -> None:
        """Find these no more."""
        import numpy as np  # noqa: PLC0415

        mine = self.ids[: self.length]
        mine[np.isin(mine, list(ids))] = _NONE


class Matrix:
    """What is held of the vectors of one workspace and embedder, and up to where they were read.

    ``removed`` is how many had been removed when the first was read. Only one thread uses it.
    """

    def __init__(self, removed: int, form: Form) -> None:
        self.last = 0
        """The place of the last vector that was read."""
        self.removed = removed
        self.form: Form = form
        self._blocks: list[Block] = []
        self._dimensions = 0
        self._coder: Coder | None = None
        self._replaced = removed

    def __len__(self) -> int:
        return sum(block.length for block in self._blocks)

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return bytes_of(len(self), self._dimensions, self.form)

    def add(self, rows: Sequence[Row], removed: int) -> None:
        """Add what was read behind the last one; ``removed`` is how many were removed by then.

        Vectors that are not of as many numbers as the first are left out.
        """
        if not rows:
            return
        self.last = rows[-1][0]
        if removed != self._replaced:
            ids = [row[1] for row in rows]
            for block in self._blocks:
                block.replaced(ids)
            self._replaced = removed
        self._dimensions = self._dimensions or len(rows[0][2]) // 2
        rest = [row for row in rows if len(row[2]) == 2 * self._dimensions > 0]
        while rest:
            if not self._blocks or self._blocks[-1].codes is not None:
                self._blocks.append(Block(self._dimensions))
            rest = rest[self._blocks[-1].extend(rest) :]
            if self._blocks[-1].length == BLOCK:
                self._seal(self._blocks[-1])

    def search(self, sought: Sought, fetch: Fetch) -> None:
        """Look at all; ``fetch`` brings what is worth it and not held."""
        if self._blocks:
            sought.check(self._dimensions)
        if self._coder is not None:
            self._search_coded(sought, self._coder, fetch)
        for block in self._blocks[-1:]:
            if block.codes is None and block.vectors is not None:
                cosines = sought.cosines(block.vectors[: block.length])
                sought.look(block.ids[: block.length], cosines)

    def _seal(self, block: Block) -> None:
        vectors = block.vectors
        assert vectors is not None
        if self._coder is None:
            self._coder = Coder(vectors)
        block.seal(self._coder.codes(vectors), self.form)

    def _search_coded(self, sought: Sought, coder: Coder, fetch: Fetch) -> None:
        import numpy as np  # noqa: PLC0415

        asked = coder.asked(sought.vector)
        found = []
        for block in self._blocks:
            if block.codes is not None:
                estimates = block.codes.estimates(asked)
                estimates[~sought.may_be_found(block.ids)] = -np.inf
                found.append(estimates)
        estimates = np.concatenate(found)
        closer = min(len(estimates), max(_CLOSER, 4 * sought.most))
        best = np.argpartition(estimates, -closer)[-closer:]
        best = np.sort(best[estimates[best] > -np.inf])
        if self.form == "exact":
            sought.look(*self._held(best, sought))
            return
        wanted = [int(self._blocks[at // BLOCK].ids[at % BLOCK]) for at in best.tolist()]
        rows = [row for row in fetch(wanted) if len(row[1]) == 2 * self._dimensions]
        if rows:
            cosines = sought.cosines(unpacked([row[1] for row in rows]))
            sought.look(np.array([row[0] for row in rows]), cosines)

    def _held(self, places: Ids, sought: Sought) -> tuple[Ids, Floats]:
        """The ids and cosines of vectors at places, which are in order, of full blocks."""
        import numpy as np  # noqa: PLC0415

        ids = np.empty(len(places), dtype=np.int64)
        cosines = np.empty(len(places), dtype=np.float32)
        ends = np.searchsorted(places, np.arange(len(self._blocks) + 1) * BLOCK).tolist()
        for block, begin, end in zip(self._blocks, ends, ends[1:], strict=False):
            if begin < end and block.vectors is not None:
                rows = places[begin:end] % BLOCK
                ids[begin:end] = block.ids[rows]
                cosines[begin:end] = sought.cosines(block.vectors[rows].astype(np.float32))
        return ids, cosines


def unpacked(vectors: Sequence[bytes]) -> Floats:
    """Vectors as they are kept, all of as many numbers, as a matrix to reckon with."""
    import numpy as np  # noqa: PLC0415

    return np.frombuffer(b"".join(vectors), dtype="<f2").reshape(len(vectors), -1).astype(np.float32)


class Matrices:
    """Those of several workspaces, the least lately used of which make room for others."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._kept: dict[Any, Matrix] = {}

    def form(self, count: int, dimensions: int) -> Form:
        """What there is room to hold of so many vectors."""
        forms: tuple[Form, ...] = ("exact", "coded")
        for form in forms:
            if bytes_of(count, dimensions, form) <= self.most_bytes:
                return form
        return "unread"

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
