"""Owns the rows of the ledger: one for each generation, and what they add up to.

Everything here runs in the store's thread, in a transaction of its caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Connection, Integer, Select, case, cast, func, select, update

from tidegate.store.rows import add, add_new
from tidegate.store.schema import generations

By = Literal["model", "caller", "day"]

_DAY_MS: Final = 86_400_000
_AT_ONCE: Final = 500
"""Rows that one statement names."""


class GenerationRow(NamedTuple):
    """A row of :data:`tidegate.store.schema.generations`, in the order of its columns.

    ``attempts`` are JSON values, one for each source that was asked.
    """

    stream: str
    caller: str
    key_id: str | None
    parent: str | None
    model: str
    answered: str | None
    dialect: str
    outcome: str
    error: str | None
    created_ms: int
    first_ms: int | None
    total_ms: int | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    estimated: bool
    attempts: list[Any]


class UsageRow(NamedTuple):
    """What the generations of one model, caller or day add up to; ``group`` is a day as its first Unix ms.

    ``first_ms`` and ``total_ms`` are means, in ms, of those where they are known.
    """

    group: str | int
    generations: int
    failed: int
    cancelled: int
    estimated: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    first_ms: float | None
    total_ms: float | None


def write_generations(
    connection: Connection, rows: Sequence[GenerationRow], *, only_new: bool = False
) -> None:
    """Write rows. One that is there already is the same generation, taken up again: unless ``only_new``, it
    is written anew, and goes on to have begun when it first did.
    """
    latest = {row.stream: row for row in rows}
    if not latest or add_new(connection, (generations, list(latest.values()))):
        return
    names = list(latest)
    known: dict[str, int] = {}
    for first in range(0, len(names), _AT_ONCE):
        asked = select(generations.c.stream, generations.c.created_ms)
        asked = asked.where(generations.c.stream.in_(names[first : first + _AT_ONCE]))
        known.update((name, created_ms) for name, created_ms in connection.execute(asked))
    add(connection, (generations, [row for row in latest.values() if row.stream not in known]))
    for stream, created_ms in known.items() if not only_new else ():
        row = latest[stream]
        began = min(created_ms, row.created_ms)
        total_ms = None if row.total_ms is None else row.created_ms + row.total_ms - began
        values = row._asdict() | {"created_ms": began, "total_ms": total_ms}
        connection.execute(update(generations).where(generations.c.stream == stream).values(values))


def add_up(
    connection: Connection, by: By, since_ms: int = 0, caller: str | None = None, offset_ms: int = 0
) -> list[UsageRow]:
    """The ledger since a time, by model, caller or day, most output first and days in their order.

    ``offset_ms`` is what local time is ahead of UTC, by which days begin.
    """
    row = generations.c
    group: Any = {"model": row.model, "caller": row.caller}.get(by)
    if group is None:
        shifted = row.created_ms + offset_ms
        group = shifted - shifted % _DAY_MS - offset_ms
    asked: Select[Any] = (
        select(
            group,
            func.count(),
            func.sum(case((row.outcome.in_(("failed", "interrupted")), 1), else_=0)),
            func.sum(case((row.outcome == "cancelled", 1), else_=0)),
            func.sum(cast(row.estimated, Integer)),
            func.sum(row.input_tokens),
            func.sum(row.output_tokens),
            func.sum(row.cached_tokens),
            func.sum(row.reasoning_tokens),
            func.avg(row.first_ms),
            func.avg(row.total_ms),
        )
        .where(row.created_ms >= since_ms)
        .group_by(group)
        .order_by(group if by == "day" else func.sum(row.output_tokens).desc(), group)
    )
    if caller is not None:
        asked = asked.where(row.caller == caller)
    return [UsageRow._make(each) for each in connection.execute(asked)]
