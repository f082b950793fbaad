"""The parts that pages are made of. Everything that is not markup is escaped here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Final

STYLE: Final = Path(__file__).with_name("style.css").read_text("utf-8")

_SPANS = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")


def text(value: object) -> str:
    """``value`` as text of a page, quotes included, so that it may stand in an attribute too."""
    return escape(str(value), quote=True)


def code(value: object) -> str:
    """A short piece of code."""
    return f"<code>{text(value)}</code>"


def block(value: str) -> str:
    """Lines of code, to be copied."""
    return f'<pre tabindex="0"><code>{text(value)}</code></pre>'


def link(target: str, label: str) -> str:
    """A link within this server."""
    return f'<a href="{text(target)}">{text(label)}</a>'


def prose(source: str) -> str:
    """Paragraphs of the little Markdown that the OpenAPI document uses: ``code`` and **bold**."""
    return "".join(f"<p>{spans(paragraph)}</p>" for paragraph in source.split("\n\n") if paragraph.strip())


def spans(source: str) -> str:
    """One paragraph's Markdown, without the paragraph."""
    parts, at = [], 0
    for found in _SPANS.finditer(source):
        parts.append(text(source[at : found.start()]))
        parts.append(code(found[1]) if found[1] is not None else f"<strong>{text(found[2])}</strong>")
        at = found.end()
    return "".join([*parts, text(source[at:])])


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, stacked: bool = False) -> str:
    """A table; empty without rows. Cells are markup already.

    Where it is too wide it scrolls by itself, or, ``stacked``, puts the cells of a row below each other.
    """
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    if not body:
        return ""
    head = "".join(f'<th scope="col">{text(each)}</th>' for each in heads)
    kind = ' class="stacked"' if stacked else ""
    return (
        f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def page(title: str, body: str) -> str:
    """A whole page. ``body`` is markup."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )
