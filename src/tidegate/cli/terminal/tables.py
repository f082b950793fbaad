"""Draws a table: as wide as the terminal, or as wide as it wants to be where nobody looks."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from tidegate.cli.terminal.lines import console_for_lines, printable


def show_table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: frozenset[str]) -> None:
    """Print rows below a head; the columns named in ``numbers`` are aligned at their right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in head:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console_for_lines().print(table)
