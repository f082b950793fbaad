"""Reads pages of the web: what they are about, without menus and the like where the extra is installed."""

from __future__ import annotations

import importlib.util
from typing import Any, Final

from tidegate.workspaces.document import Page, Parsed
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.letters import decode
from tidegate.workspaces.parsing.markdown import one_line
from tidegate.workspaces.parsing.plain_html import charset, html_text

_SHORT: Final = 250
"""Characters below which what was taken for the main text may be a part of it only."""


def read(file: File) -> Parsed:
    html = decode(file.data, file.charset or charset(file.data))
    title, text = html_text(html)
    if importlib.util.find_spec("trafilatura") is None:
        return Parsed(pages=(Page(text),), title=title)
    return _main(html, title, text)


def _main(html: str, title: str, text: str) -> Parsed:
    import trafilatura  # noqa: PLC0415 - in an extra

    main = trafilatura.extract(
        html, output_format="markdown", include_tables=True, include_comments=False, favor_recall=True
    )
    if not main or len(main) < min(_SHORT, len(text) // 2):
        main = text
    found: Any = trafilatura.extract_metadata(html)
    title = one_line((found and found.title) or title)
    if title and not main.lstrip().startswith("#"):
        main = f"# {title}\n\n{main}"
    if found is None:
        return Parsed(pages=(Page(main),), title=title)
    return Parsed(
        pages=(Page(main),),
        title=title,
        author=found.author or "",
        description=found.description or "",
        published=found.date or "",
    )
