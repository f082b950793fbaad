"""Owns the full-text tables of SQLite: one for each workspace, so that words are counted for it alone.

They hold no text, only words as :mod:`tidegate.workspaces.words` cuts them, which SQLite's plainest tokenizer
leaves as they are (it takes all that is not ASCII for letters). To delete a passage takes its words again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from tidegate.workspaces.words import BEGINNING, words

_IMAGINED: Final = 100
"""Passages that are thought to be there too, so that words of a question tell something of three passages."""

_COUNTED: Final = 4_000
"""Passages up to which those that have a word are counted; a word in more of them is common."""
_ORDERED: Final = 6_000
"""Passages that are put in order for a question, about, if it has words that are in fewer."""


def indexed_words(heading: str, text: str) -> str:
    """What is put in for a passage."""
    return " ".join(words(f"{heading}\n{text}"))


def table(workspace: int) -> str:
    return f"passages_{int(workspace)}"


def exists(connection: Connection, workspace: int) -> bool:
    found = connection.exec_driver_sql(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table(workspace),)
    )
    return found.first() is not None


def insert(connection: Connection, workspace: int, rows: Sequence[tuple[int, str]]) -> None:
    """Put in ids of passages with what :func:`indexed_words` makes of them."""
    if not exists(connection, workspace):
        connection.exec_driver_sql(
            f"CREATE VIRTUAL TABLE {table(workspace)} USING fts5(words, content='', tokenize='ascii')"
        )
    if rows:
        connection.exec_driver_sql(
            f"INSERT INTO {table(workspace)} (rowid, words) VALUES (?, ?)", [tuple(row) for row in rows]
        )


def delete(connection: Connection, workspace: int, rows: Iterable[tuple[int, str]]) -> None:
    """Take out what was put in by :func:`insert`, which must be told as it was."""
    each = [("delete", *row) for row in rows]
    if each and exists(connection, workspace):
        name = table(workspace)
        connection.exec_driver_sql(f"INSERT INTO {name} ({name}, rowid, words) VALUES (?, ?, ?)", each)


def drop(connection: Connection, workspace: int) -> None:
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table(workspace)}")


class Frequencies:
    """In how many passages words are, counted once until passages are put in. For one connection.

    What was taken out since still counts, which only makes its words tell a little less.
    """

    def __init__(self) -> None:
        self._last = -1
        self._totals: dict[int, int] = {}
        self._found: dict[tuple[int, str], int] = {}

    def of(
        self, connection: Connection, workspace: int, asked: Collection[str]
    ) -> tuple[int, dict[str, int]]:
        """How many passages there are, and in how many each word is, up to a bound."""
        last = connection.exec_driver_sql("SELECT max(id) FROM passages").scalar() or 0
        if last != self._last:
            self._last = last
            self._totals.clear()
            self._found.clear()
        if workspace not in self._totals:
            both = "SELECT count(*) FROM passages WHERE workspace IN (?, ?)"
            rows = connection.exec_driver_sql(both, (workspace, -workspace))
            self._totals[workspace] = rows.scalar() or 0
        total = self._totals[workspace]
        new = [word for word in asked if (workspace, word) not in self._found]
        for word, count in _count(connection, workspace, new).items():
            self._found[workspace, word] = count
        return total, {word: self._found[workspace, word] for word in asked}


def _count(connection: Connection, workspace: int, asked: Collection[str]) -> dict[str, int]:
    if not asked or not exists(connection, workspace):
        return dict.fromkeys(asked, 0)
    name = table(workspace)
    counted = f"SELECT count(*) FROM (SELECT 1 FROM {name} WHERE {name} MATCH ? LIMIT {_COUNTED})"
    return {word: connection.exec_driver_sql(counted, (_term(word),)).scalar() or 0 for word in asked}


def weight(frequency: int, total: int) -> float:
    """How much a word tells that is in so many of all passages."""
    return math.log1p((total + _IMAGINED) / (frequency + 1))


def telling(found: Mapping[str, int]) -> list[str]:
    """The words that order passages: those that are there, the common ones only where there are no others.

    Each passage that has a word takes its time, so the rarest are taken for as long as they are not too many.
    """
    there = sorted((count, word) for word, count in found.items() if count)
    chosen: list[str] = []
    together = 0
    for count, word in there:
        together += count
        if chosen and (together > _ORDERED or count >= _COUNTED):
            break
        chosen.append(word)
    return chosen


def search(
    connection: Connection, workspace: int, asked: Sequence[str], documents: frozenset[str] | None, most: int
) -> list[tuple[int, float]]:
    """Ids of passages that have any of the words, the best by BM25 first, with their score."""
    name = table(workspace)
    match = " OR ".join(_term(word) for word in asked)
    if documents is None:
        found = connection.exec_driver_sql(
            f"SELECT rowid, -rank FROM {name} WHERE {name} MATCH ? ORDER BY rank LIMIT ?", (match, most)
        )
    else:
        found = connection.exec_driver_sql(
            f"SELECT f.rowid, -f.rank FROM {name} AS f CROSS JOIN passages AS p ON p.id = f.rowid "
            f"WHERE f.{name} MATCH ? AND p.document IN (SELECT value FROM json_each(?)) "
            "ORDER BY f.rank LIMIT ?",
            (match, json.dumps(sorted(documents)), most),
        )
    return [(int(row[0]), float(row[1])) for row in found]


def _term(word: str) -> str:
    """A word as a query has it. There are only letters and digits in it, but for the sign of a beginning."""
    return f'"{word[:-1]}" *' if word.endswith(BEGINNING) else f'"{word}"'
