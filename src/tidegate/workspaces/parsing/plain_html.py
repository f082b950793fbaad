"""Writes HTML as Markdown with the standard library alone: all that is shown, menus too, in its order."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

from tidegate.workspaces.parsing.letters import clean
from tidegate.workspaces.parsing.markdown import fewer_blanks, one_line

_HIDDEN: Final = frozenset(
    {"script", "style", "template", "noscript", "svg", "math", "iframe", "object", "select"}
)
_BLOCKS: Final = frozenset(
    {"address", "article", "aside", "blockquote", "body", "dd", "div", "dl", "dt", "fieldset", "figcaption"}
    | {"figure", "footer", "form", "header", "hr", "html", "main", "nav", "ol", "p", "pre", "section"}
    | {"table", "tbody", "tfoot", "thead", "ul"}
)
_CHARSET: Final = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w-]+)", re.I)
_MARK: Final = re.compile(r"(?:^|\n) *(?:- |\d+\. )$")
_SPACE: Final = re.compile(r"\s+")


def charset(data: bytes) -> str | None:
    """What a page says of its encoding."""
    found = _CHARSET.search(data[:4096])
    return found[1].decode("ascii", "replace") if found else None


def html_text(html: str) -> tuple[str, str]:
    """The title and the text."""
    writer = _Writer()
    writer.feed(html)
    writer.close()
    return one_line(clean("".join(writer.title))), fewer_blanks(clean("".join(writer.parts)))


class _Writer(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self.parts: list[str] = []
        self._hidden: list[str] = []
        self._in_title = False
        self._preformatted = 0
        self._lists: list[int] = []
        """For each list that is open the number of its last item; unordered ones count from below zero."""
        self._cells = 0
        self._rows = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden.append(tag)
        elif tag == "title":
            self._in_title = not self._hidden
        elif len(tag) == 2 and tag[0] == "h" and tag[1] in "123456":
            self._block("#" * int(tag[1]) + " ")
        elif tag == "br":
            self._put("\n")
        elif tag in {"ul", "ol"}:
            self._lists.append(0 if tag == "ol" else -(1 << 30))
            self._break()
        elif tag == "li":
            self._item()
        elif tag == "tr":
            self._cells = 0
            self._line("| ")
        elif tag in {"td", "th"}:
            self._cells += 1
        elif tag in _BLOCKS:
            self._preformatted += tag == "pre"
            self._rows = 0 if tag == "table" else self._rows
            self._break()

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            if tag in self._hidden:
                del self._hidden[self._hidden.index(tag) :]
        elif tag == "title":
            self._in_title = False
        elif tag in {"td", "th"}:
            self._put(" | ")
        elif tag == "tr":
            self._rows += 1
            self._line("|" + " --- |" * self._cells if self._rows == 1 else "")
        elif tag in {"ul", "ol"}:
            del self._lists[-1:]
            self._break()
        elif tag in _BLOCKS or tag in {"h1", "h2", "h3", "h4", "h5", "h6"}:
            self._preformatted -= tag == "pre" and self._preformatted > 0
            self._break()

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._in_title:
            self.title.append(data)
        elif self._preformatted and not self._cells:
            self.parts.append(data)
        else:
            self._put(_SPACE.sub(" ", data))

    def _item(self) -> None:
        depth = max(len(self._lists) - 1, 0)
        mark = "- "
        if self._lists:
            self._lists[-1] += 1
            mark = f"{self._lists[-1]}. " if self._lists[-1] > 0 else mark
        self._line("  " * min(depth, 10) + mark)

    def _put(self, text: str) -> None:
        if self._hidden:
            return
        before = self.parts[-1][-1:] if self.parts else "\n"
        if before in {"\n", " "} and text not in {"\n", " | "}:
            text = text.lstrip(" ")
        if text:
            self.parts.append(text)

    def _line(self, text: str) -> None:
        if not self._hidden:
            if self.parts and not self.parts[-1].endswith("\n"):
                self.parts.append("\n")
            if text:
                self.parts.append(text)

    def _break(self) -> None:
        """Between blocks stands a blank line; in a cell or an item they are run together."""
        if self._hidden or not self.parts:
            return
        if self.parts[-1].endswith("| ") or _MARK.search(self.parts[-1][-40:]):
            return
        self.parts.append("\n\n")

    def _block(self, text: str) -> None:
        self._break()
        if not self._hidden:
            self.parts.append(text)
