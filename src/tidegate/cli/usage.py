"""``tidegate usage``: what the ledger adds up to."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast

import click

from tidegate.cli.keys import period
from tidegate.cli.stored import config_option, in_store
from tidegate.cli.terminal.tables import show_table
from tidegate.store.generations import By, UsageRow, add_up

_NUMBERS: Final = (
    "ANSWERS",
    "FAILED",
    "CANCELLED",
    "INPUT",
    "CACHED",
    "OUTPUT",
    "REASONING",
    "FIRST TOKEN",
    "TOTAL",
)


@click.command()
@click.option(
    "--by",
    type=click.Choice(["model", "caller", "day"]),
    default="model",
    help="What each row stands for; default model.",
)
@click.option("--since", metavar="PERIOD", type=period, help="How far back, such as 24h; without it all.")
@click.option("--caller", metavar="ID", help="This caller's only.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@config_option
def command(by: str, since: int | None, caller: str | None, as_json: bool, config_path: Path | None) -> None:
    """Show how many tokens were used, and by whom.

    Every generation counts once, however it ended. Where the upstream counted none, the deltas that were
    shown count as tokens and the input is estimated; such figures begin with ~.

    \b
    Examples:
      tidegate usage
      tidegate usage --by day --since 30d
      tidegate usage --by caller --json
    """
    since_ms = 0 if since is None else time.time_ns() // 1_000_000 - since
    offset = datetime.now().astimezone().utcoffset()
    offset_ms = 0 if offset is None else round(offset.total_seconds() * 1000)
    rows = in_store(
        config_path, lambda connection: add_up(connection, cast(By, by), since_ms, caller, offset_ms)
    )
    if as_json:
        click.echo(json.dumps([_told(row, by) for row in rows], indent=2))
    elif not rows:
        click.echo("Nothing was asked in that time." if since or caller else "Nothing was asked yet.")
    else:
        cells = [_cells(row, by) for row in rows]
        if len(rows) > 1:
            cells.append(_cells(_sum(rows), None))
        show_table((by.upper(), *_NUMBERS), cells, frozenset(_NUMBERS))


def _sum(rows: list[UsageRow]) -> UsageRow:
    return UsageRow(
        "total",
        sum(row.generations for row in rows),
        sum(row.failed for row in rows),
        sum(row.cancelled for row in rows),
        sum(row.estimated for row in rows),
        sum(row.input_tokens for row in rows),
        sum(row.output_tokens for row in rows),
        sum(row.cached_tokens for row in rows),
        sum(row.reasoning_tokens for row in rows),
        _mean([(row.first_ms, row.generations) for row in rows]),
        _mean([(row.total_ms, row.generations) for row in rows]),
    )


def _mean(figures: list[tuple[float | None, int]]) -> float | None:
    """The mean of means, each with the number that it stands for."""
    known = [(figure, count) for figure, count in figures if figure is not None]
    return (
        sum(figure * count for figure, count in known) / sum(count for _, count in known) if known else None
    )


def _told(row: UsageRow, by: str) -> dict[str, Any]:
    told = row._asdict()
    return {by: _named(told.pop("group"), by), **told}


def _cells(row: UsageRow, by: str | None) -> tuple[str, ...]:
    about = "~" if row.estimated else ""
    return (
        _named(row.group, by),
        f"{row.generations:,}",
        f"{row.failed:,}",
        f"{row.cancelled:,}",
        f"{about}{row.input_tokens:,}",
        f"{row.cached_tokens:,}",
        f"{about}{row.output_tokens:,}",
        f"{row.reasoning_tokens:,}",
        "" if row.first_ms is None else f"{row.first_ms / 1000:.2f} s",
        "" if row.total_ms is None else f"{row.total_ms / 1000:.2f} s",
    )


def _named(group: str | int, by: str | None) -> str:
    if by == "day":
        return datetime.fromtimestamp(int(group) / 1000).strftime("%Y-%m-%d")
    return str(group)
