"""The works that put passages and vectors into SQLite's tables, and take them out and read them again.

What is being put in, or was taken out, is a row whose workspace is the negative of its own: nobody finds it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from tidegate.store.schema import passages, vector_changes, vectors
from tidegate.workspaces import full_text
from tidegate.workspaces.document import Entry
from tidegate.workspaces.index import Placed
from tidegate.workspaces.vectors import Row

TOGETHER: Final = 256
"""Passages that are written in one transaction: other writers wait for it."""

SPARE: Final = 14
"""How many more are looked for than are wanted: some may have been taken out meanwhile."""

_AMONG: Final = "id IN (SELECT value FROM json_each(?))"


class Prepared(NamedTuple):
    """A passage that is ready to be put in, with its words."""

    entry: Entry
    words: str


class Changes(NamedTuple):
    """Where the last vector of an embedder stands that a workspace ever had, and how many it lost."""

    added: int
    removed: int


def prepared(entries: Sequence[Entry]) -> list[Prepared]:
    """Entries with their words; half a pair of surrogates is in no text that the database takes."""
    whole = [Entry(each.number, _whole(each.text), _whole(each.heading), each.page) for each in entries]
    return [Prepared(each, full_text.indexed_words(each.heading, each.text)) for each in whole]


def insert_unseen(connection: Connection, workspace: int, name: str, batch: Sequence[Prepared]) -> None:
    """Put passages in under a name of their own, where nobody finds them."""
    rows = [
        {
            "workspace": -workspace,
            "document": name,
            "number": each.entry.number,
            "page": each.entry.page,
            "heading": each.entry.heading,
            "text": each.entry.text,
        }
        for each in batch
    ]
    put = insert(passages).returning(passages.c.id, sort_by_parameter_order=True)
    ids = connection.execute(put, rows).scalars().all()
    words = [(passage, each.words) for passage, each in zip(ids, batch, strict=True)]
    full_text.insert(connection, workspace, words)


def show(connection: Connection, workspace: int, document: str, name: str, count: int) -> bool:
    """Show what was put in under that name as the document's, and no more what it had.

    False when not all of it is there: somebody has cleared it away.
    """
    unseen = (passages.c.workspace == -workspace) & (passages.c.document == name)
    there = connection.execute(select(func.count()).select_from(passages).where(unseen)).scalar_one()
    if there != count:
        return False
    hide(connection, workspace, document)
    connection.execute(update(passages).where(unseen).values(workspace=workspace, document=document))
    return True


def hide(connection: Connection, workspace: int, document: str) -> None:
    mine = (passages.c.workspace == workspace) & (passages.c.document == document)
    connection.execute(update(passages).where(mine).values(workspace=-workspace))


def unseen(connection: Connection) -> list[tuple[int, str]]:
    """Workspaces and names of what is in the tables and not to be found."""
    found = connection.execute(
        select(passages.c.workspace, passages.c.document).where(passages.c.workspace < 0).distinct()
    )
    return [(-row.workspace, row.document) for row in found]


def placed(connection: Connection) -> list[tuple[int, str]]:
    """Workspaces and documents that have passages to be found."""
    found = connection.execute(
        select(passages.c.workspace, passages.c.document).where(passages.c.workspace > 0).distinct()
    )
    return [(row.workspace, row.document) for row in found]


def clear_some(connection: Connection, workspace: int, name: str) -> int:
    """Take out some of what is not to be found under a name; how many that were."""
    unseen = (passages.c.workspace == -workspace) & (passages.c.document == name)
    chosen = select(passages.c.id, passages.c.heading, passages.c.text).where(unseen).limit(TOGETHER)
    rows = connection.execute(chosen).all()
    words = [(row.id, full_text.indexed_words(row.heading, row.text)) for row in rows]
    full_text.delete(connection, workspace, words)
    _delete(connection, workspace, [row.id for row in rows])
    return len(rows)


def drop_some(connection: Connection, workspace: int) -> int:
    """Take out some of a workspace, whose full-text table goes first; how many that were."""
    full_text.drop(connection, workspace)
    chosen = (
        select(passages.c.id).where(passages.c.workspace.in_((workspace, -workspace))).limit(4 * TOGETHER)
    )
    ids = connection.execute(chosen).scalars().all()
    _delete(connection, workspace, ids)
    if not ids:
        connection.execute(delete(vector_changes).where(vector_changes.c.workspace == workspace))
        connection.execute(delete(vectors).where(vectors.c.workspace == workspace))
    return len(ids)


def _delete(connection: Connection, workspace: int, ids: Sequence[int]) -> None:
    """Delete rows of passages, and their vectors."""
    lost: dict[str, int] = {}
    mine = vectors.c.passage.in_(ids)
    for embedder in connection.execute(select(vectors.c.embedder).where(mine)).scalars():
        lost[embedder] = lost.get(embedder, 0) + 1
    connection.execute(delete(vectors).where(mine))
    connection.execute(delete(passages).where(passages.c.id.in_(ids)))
    for embedder, count in lost.items():
        _changed(connection, workspace, embedder, removed=count)


def visible(connection: Connection, workspace: int, ids: Collection[int]) -> set[int]:
    """Those of the passages that the workspace has."""
    # Not by the workspace too: SQLite would read all that it has.
    found = connection.exec_driver_sql(f"SELECT id, workspace FROM passages WHERE {_AMONG}", (_json(ids),))
    return {int(row[0]) for row in found if row[1] == workspace}


def still_there(
    connection: Connection, workspace: int, found: Sequence[tuple[int, float]]
) -> list[tuple[int, float]]:
    """Those of what was found that the workspace has."""
    there = visible(connection, workspace, [row[0] for row in found])
    return [row for row in found if row[0] in there]


def of_documents(connection: Connection, workspace: int, documents: Collection[str]) -> list[int]:
    """The ids of passages of some documents."""
    found = connection.exec_driver_sql(
        "SELECT id FROM passages WHERE workspace = ? AND document IN (SELECT value FROM json_each(?))",
        (workspace, _json(documents)),
    )
    return [int(row[0]) for row in found]


def fetch(connection: Connection, workspace: int, ids: Sequence[int]) -> list[Placed]:
    """These passages, in this order."""
    rows = connection.exec_driver_sql(
        f"SELECT id, workspace, document, number, text, heading, page FROM passages WHERE {_AMONG}",
        (_json(ids),),
    )
    found = {row[0]: Placed(row[0], row[2], Entry(*row[3:])) for row in rows if row[1] == workspace}
    return [found[each] for each in ids if each in found]


def without_vectors(
    connection: Connection, workspace: int, embedder: str, most: int, after: int
) -> list[tuple[int, str]]:
    """Ids and texts of passages without a vector, each with the headings that it does not show itself."""
    embedded = select(vectors.c.passage).where(
        vectors.c.passage == passages.c.id, vectors.c.embedder == embedder
    )
    chosen = (
        select(passages.c.id)
        .where(passages.c.workspace == workspace, passages.c.id > after, ~embedded.exists())
        .order_by(passages.c.id)
        .limit(most)
    )
    ids = connection.execute(chosen).scalars().all()
    return [(each.id, _embedded_text(each.entry)) for each in fetch(connection, workspace, ids)]


def add_vectors(connection: Connection, workspace: int, embedder: str, given: Mapping[int, bytes]) -> None:
    """Keep vectors of passages that are there, each behind all that were ever added."""
    there = sorted(visible(connection, workspace, given))
    if not there:
        return
    again = vectors.c.passage.in_(there) & (vectors.c.embedder == embedder)
    replaced = connection.execute(delete(vectors).where(again)).rowcount
    # Places are given in order and never again, so that who has read up to one misses none.
    last = connection.exec_driver_sql("SELECT max(rowid) FROM vectors").scalar() or 0
    last = max(last, changes(connection, workspace, embedder).added)
    connection.exec_driver_sql(
        "INSERT INTO vectors (rowid, passage, embedder, workspace, vector) VALUES (?, ?, ?, ?, ?)",
        [(last + at, each, embedder, workspace, given[each]) for at, each in enumerate(there, 1)],
    )
    _changed(connection, workspace, embedder, added=last + len(there), removed=replaced)


def forget_some(connection: Connection, workspace: int, except_embedder: str | None) -> int:
    """Delete some of the vectors of other embedders; how many that were."""
    others = (vectors.c.workspace == workspace) & (vectors.c.embedder != (except_embedder or ""))
    chosen = select(vectors.c.passage, vectors.c.embedder).where(others).limit(4 * TOGETHER)
    rows = connection.execute(chosen).all()
    for embedder in {row.embedder for row in rows}:
        ids = [row.passage for row in rows if row.embedder == embedder]
        mine = vectors.c.passage.in_(ids) & (vectors.c.embedder == embedder)
        connection.execute(delete(vectors).where(mine))
        _changed(connection, workspace, embedder, removed=len(ids))
    return len(rows)


def changes(connection: Connection, workspace: int, embedder: str) -> Changes:
    """What has become of an embedder's vectors in a workspace."""
    row = connection.exec_driver_sql(
        "SELECT added, removed FROM vector_changes WHERE workspace = ? AND embedder = ?",
        (workspace, embedder),
    ).first()
    return Changes(*row) if row is not None else Changes(0, 0)


def vectors_behind(connection: Connection, workspace: int, embedder: str, last: int, most: int) -> list[Row]:
    """Vectors that stand behind a place, in the order of theirs."""
    found = connection.exec_driver_sql(
        "SELECT rowid, passage, vector FROM vectors WHERE workspace = ? AND embedder = ? AND rowid > ? "
        "ORDER BY rowid LIMIT ?",
        (workspace, embedder, last, most),
    )
    return [(row[0], row[1], row[2]) for row in found]


def vectors_of(connection: Connection, embedder: str, ids: Collection[int]) -> list[tuple[int, bytes]]:
    """Those of an embedder's vectors that these passages have, with their ids."""
    found = connection.exec_driver_sql(
        "SELECT passage, vector FROM vectors "
        "WHERE embedder = ? AND passage IN (SELECT value FROM json_each(?))",
        (embedder, _json(ids)),
    )
    return [(row[0], row[1]) for row in found]


def dimensions(connection: Connection, workspace: int, embedder: str) -> int:
    """How many numbers the first of an embedder's vectors has; 0 when there is none."""
    behind = vectors_behind(connection, workspace, embedder, 0, 1)
    return len(behind[0][2]) // 2 if behind else 0


def vector_count(connection: Connection, workspace: int, embedder: str) -> int:
    mine = (vectors.c.workspace == workspace) & (vectors.c.embedder == embedder)
    return connection.execute(select(func.count()).select_from(vectors).where(mine)).scalar_one()


def count(connection: Connection, workspaces: Collection[int] | None) -> int:
    """How many passages these workspaces have together; None is all."""
    chosen = select(func.count()).select_from(passages)
    if workspaces is None:
        chosen = chosen.where(passages.c.workspace > 0)
    else:
        chosen = chosen.where(passages.c.workspace.in_(workspaces))
    return connection.execute(chosen).scalar_one()


def _changed(
    connection: Connection, workspace: int, embedder: str, *, added: int = 0, removed: int = 0
) -> None:
    before = changes(connection, workspace, embedder)
    values = {"added": max(added, before.added), "removed": before.removed + removed}
    of = _of(workspace, embedder)
    if not connection.execute(update(vector_changes).where(*of).values(values)).rowcount:
        connection.execute(insert(vector_changes).values(workspace=workspace, embedder=embedder, **values))


def _of(workspace: int, embedder: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return vector_changes.c.workspace == workspace, vector_changes.c.embedder == embedder


def _json(values: Collection[int] | Collection[str]) -> str:
    return json.dumps(list(values))


def _embedded_text(entry: Entry) -> str:
    """What an embedder is given: the passage, and above it the headings, unless it begins with the last."""
    last = entry.heading.rpartition(" > ")[2]
    if not entry.heading or last in entry.text.partition("\n")[0]:
        return entry.text
    return f"{entry.heading}\n\n{entry.text}"


def _whole(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
