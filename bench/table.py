"""Renders rows as a Markdown table whose columns also line up in a terminal. Pure."""

from collections.abc import Sequence

from bench.figures import Row, Spread

NUMERIC = {2, 3, 4, 5}


def table(rows: Sequence[Row], gateway: str) -> str:
    titles = ("figure", "unit", gateway, "nginx", "× nginx", "target", "result")
    cells = [titles, *map(row_cells, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(titles))]
    rule = [
        ("-" * (width - 1) + ":") if column in NUMERIC else "-" * width for column, width in enumerate(widths)
    ]
    lines = [
        aligned(titles, widths),
        f"| {' | '.join(rule)} |",
        *(aligned(line, widths) for line in cells[1:]),
    ]
    return "\n".join(lines)


def row_cells(row: Row) -> tuple[str, ...]:
    digits = row.digits
    return (
        row.name,
        row.unit,
        spread_text(row.gateway, digits),
        spread_text(row.nginx, digits),
        spread_text(row.ratio, 2),
        row.target,
        row.verdict,
    )


def aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if column in NUMERIC else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def spread_text(spread: Spread | None, digits: int) -> str:
    """`14.8 (14.2–18.6)`; the median alone where the rounds agree to the digit."""
    if spread is None:
        return ""
    middle, low, high = (f"{value:,.{digits}f}" for value in (spread.median, spread.low, spread.high))
    return middle if low == high else f"{middle} ({low}–{high})"
