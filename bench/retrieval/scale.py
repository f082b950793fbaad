"""Measures a workspace of very many passages: searches, ingestion, memory, and what the event loop feels."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from tidegate.server.interpreter import settle_interpreter
from tidegate.store.database import Database
from tidegate.workspaces.document import Entry
from tidegate.workspaces.passages import SqlitePassages
from tidegate.workspaces.retrieval import search

WORKSPACE: Final = 1
DIMENSIONS: Final = 384
EMBEDDER: Final = "random"
PER_DOCUMENT: Final = 100
AT_ONCE: Final = 50
"""Documents that are made before they are put in: making them is not what is measured."""
WORDS: Final = 120
"""Words of a passage."""
SEARCHES: Final = 300
ROUND: Final = 50
"""Searches of a round; the quietest of them tells what other programs disturbed least."""
TICK: Final = 0.001


@dataclass(frozen=True, slots=True)
class Scale:
    """What was measured. Times are in milliseconds, memory in MiB."""

    passages: int
    ingested_per_second: float
    first_ms: float
    alone_ms: list[float]
    cpu_ms: float
    beside_ms: list[float]
    beside_per_second: float
    blocked_ms: tuple[float, ...]
    resident: float

    def lines(self) -> Iterator[str]:
        """The figures, with their targets."""
        blocked = ", ".join(f"{each:.1f}" for each in self.blocked_ms)
        rows = {
            "passages": f"{self.passages:,}",
            "ingestion, without embedding": f"{self.ingested_per_second:,.0f} passages/s (at least 50)",
            "first search, which reads the vectors": f"{self.first_ms:.0f} ms",
            "hybrid search, p50": f"{_share(self.alone_ms, 50):.1f} ms (at most 30)",
            "  of the quietest round": f"{_quietest(self.alone_ms):.1f} ms",
            "hybrid search, p99": f"{_share(self.alone_ms, 99):.1f} ms",
            "CPU time of a hybrid search": f"{self.cpu_ms:.1f} ms",
            "hybrid search beside ingestion, p50": f"{_share(self.beside_ms, 50):.1f} ms",
            "hybrid search beside ingestion, p99": f"{_share(self.beside_ms, 99):.1f} ms",
            "ingestion beside searches": f"{self.beside_per_second:,.0f} passages/s",
            "longest block of the event loop": f"{max(self.blocked_ms):.1f} ms (at most 20)",
            "  ingesting, reading vectors, searching, both": f"{blocked} ms",
            "memory of the process at most": f"{self.resident:,.0f} MiB",
        }
        for name, figure in rows.items():
            yield f"{name:46}{figure}"


class Lag:
    """Notes by how much the event loop was late at most, because of this process.

    What other programs on the machine took is left out: the time for which the loop's thread was ready and
    had no core, where the system tells it, and all that is more than the time this process was running.
    """

    def __init__(self) -> None:
        self.most = 0.0
        self._schedule = -1
        with suppress(OSError):  # of Linux
            self._schedule = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            due, ran, waited = time.perf_counter() + TICK, time.process_time(), self._without_core()
            await asyncio.sleep(TICK)
            late = time.perf_counter() - due - (self._without_core() - waited)
            self.most = max(self.most, min(late, time.process_time() - ran))

    def _without_core(self) -> float:
        """For how many seconds this thread was ready to run and had no core, where the system says so."""
        return int(os.pread(self._schedule, 100, 0).split()[1]) / 1e9 if self._schedule >= 0 else 0.0

    def taken(self) -> float:
        """The most since it was last taken, in milliseconds."""
        most, self.most = self.most, 0.0
        return most * 1000

    def stop(self) -> None:
        self._task.cancel()
        if self._schedule >= 0:
            os.close(self._schedule)


class Corpus:
    """Passages of words as common as those of a language, and vectors in clusters; the same in each run."""

    def __init__(self, seed: int = 7) -> None:
        self._random = random.Random(seed)
        self._numbers = np.random.default_rng(seed)
        syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
        self.words = ["".join(self._random.choices(syllables, k=2 + at % 3)) for at in range(30_000)]
        self._weights = [1 / (at + 3) for at in range(len(self.words))]
        self._accumulated = list(np.cumsum(self._weights))
        self._centres = self._numbers.standard_normal((500, DIMENSIONS))

    def document(self, passages: int) -> list[Entry]:
        texts = self._random.choices(self.words, cum_weights=self._accumulated, k=passages * WORDS)
        return [
            Entry(at, " ".join(texts[at * WORDS : (at + 1) * WORDS]), f"Part {at // 10}", at // 5 + 1)
            for at in range(passages)
        ]

    def documents(self, count: int) -> list[list[Entry]]:
        return [self.document(PER_DOCUMENT) for _ in range(count)]

    def vectors(self, count: int) -> list[bytes]:
        """Packed vectors."""
        chosen = self._numbers.integers(len(self._centres), size=count)
        made = self._centres[chosen] + 0.7 * self._numbers.standard_normal((count, DIMENSIONS))
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return [row.tobytes() for row in made.astype("<f2")]

    def question(self) -> str:
        """Eight words, rare ones and common ones."""
        return " ".join(self._random.choices(self.words, cum_weights=self._accumulated, k=8))

    async def embed(self, texts: Sequence[str], _is_query: bool) -> list[list[float]]:
        return [list(struct.unpack(f"<{DIMENSIONS}e", each)) for each in self.vectors(len(texts))]


async def measure(passages: int) -> Scale:
    """Fill a workspace in a folder of its own, and search it. The interpreter is set as in the gateway."""
    settle_interpreter()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder, "tidegate.db"))
        index = SqlitePassages(database)
        await index.open()
        try:
            return await _measure(index, Corpus(), passages)
        finally:
            await index.close()


async def _measure(index: SqlitePassages, corpus: Corpus, passages: int) -> Scale:
    lag = Lag()
    ingesting = blocked = 0.0
    for at in range(0, passages, AT_ONCE * PER_DOCUMENT):
        documents = corpus.documents(min(AT_ONCE, (passages - at) // PER_DOCUMENT))
        await asyncio.sleep(TICK)
        lag.taken()
        begun = time.perf_counter()
        for number, document in enumerate(documents):
            await index.put(WORKSPACE, f"document-{at // PER_DOCUMENT + number}", document)
        ingesting += time.perf_counter() - begun
        blocked = max(blocked, lag.taken())
        _progress(at, passages)
    await _embed(index, corpus)
    await asyncio.sleep(TICK)
    lag.taken()
    first = await _searched(index, corpus, 1)
    blocked_first = lag.taken()
    begun = time.process_time()
    alone = await _searched(index, corpus, SEARCHES)
    cpu = (time.process_time() - begun) * 1000 / SEARCHES
    blocked_searching = lag.taken()
    again = await asyncio.to_thread(corpus.documents, max(1, passages // PER_DOCUMENT // 50))
    await asyncio.sleep(TICK)
    lag.taken()
    beside, written = await _beside(index, corpus, again)
    blocked_beside = lag.taken()
    lag.stop()
    return Scale(
        passages=passages,
        ingested_per_second=passages / ingesting,
        first_ms=first[0],
        alone_ms=alone,
        cpu_ms=cpu,
        beside_ms=beside,
        beside_per_second=written,
        blocked_ms=(blocked, blocked_first, blocked_searching, blocked_beside),
        resident=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        / (1024 if sys.platform == "linux" else 2**20),
    )


async def _embed(index: SqlitePassages, corpus: Corpus) -> None:
    last = 0
    while rows := await index.without_vectors(WORKSPACE, EMBEDDER, 2000, last):
        last = rows[-1][0]
        ids = [row[0] for row in rows]
        await index.add_vectors(WORKSPACE, EMBEDDER, list(zip(ids, corpus.vectors(len(ids)), strict=True)))


async def _searched(index: SqlitePassages, corpus: Corpus, count: int) -> list[float]:
    times = []
    for _ in range(count):
        question = corpus.question()
        begun = time.perf_counter()
        await search(index, WORKSPACE, EMBEDDER, question, top=4, threshold=0.25, embed=corpus.embed)
        times.append((time.perf_counter() - begun) * 1000)
    return times


async def _beside(
    index: SqlitePassages, corpus: Corpus, documents: Sequence[list[Entry]]
) -> tuple[list[float], float]:
    """Searches for as long as documents are put in anew; how many of their passages in a second."""

    async def ingest() -> float:
        begun, last = time.perf_counter(), 0
        for at, document in enumerate(documents):
            await index.put(WORKSPACE, f"document-{at}", document)
            ids = [row[0] for row in await index.without_vectors(WORKSPACE, EMBEDDER, PER_DOCUMENT, last)]
            last = ids[-1]
            await index.add_vectors(
                WORKSPACE, EMBEDDER, list(zip(ids, corpus.vectors(len(ids)), strict=True))
            )
        return sum(map(len, documents)) / (time.perf_counter() - begun)

    ingesting = asyncio.create_task(ingest())
    times: list[float] = []
    while not ingesting.done():
        times += await _searched(index, corpus, 1)
    return times, await ingesting


def _quietest(times: Sequence[float]) -> float:
    """The median of the round in which it is least."""
    return min(statistics.median(times[at : at + ROUND]) for at in range(0, len(times), ROUND))


def _share(times: Sequence[float], percent: int) -> float:
    return statistics.quantiles(times, n=100)[percent - 1] if len(times) > 1 else times[0]


def _progress(at: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{at:,} of {of:,} passages", end="", file=sys.stderr)
