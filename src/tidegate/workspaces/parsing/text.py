"""Reads text: plain, Markdown, and the headings of Org, AsciiDoc and reStructuredText as Markdown's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import yaml

from tidegate.workspaces.document import Page, Parsed
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.letters import clean, decode

_FRONT: Final = re.compile(r"\A---[ \t]*\n(.{0,20000}?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
_TITLE: Final = re.compile(r"^#[ \t]+(.+?)[ \t]*#*$", re.M)
_ORG: Final = re.compile(r"(\*{1,6})[ \t]+(.*?)(?:[ \t]+:[\w@:]+:)?")
_ORG_TITLE: Final = re.compile(r"#\+title:[ \t]*(.*)", re.I)
_ORG_FENCE: Final = re.compile(r"#\+(begin|end)_\w+.*", re.I)
_ADOC: Final = re.compile(r"(={1,6})[ \t]+(.*)")
_ADOC_FENCE: Final = re.compile(r"(-{4,}|\.{4,}|={4,})")
_RST_LINE: Final = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}")


def read(file: File) -> Parsed:
    text = clean(decode(file.data, file.charset))
    mark = _MARKUPS.get(file.extension)
    if mark is not None:
        text = mark(text)
    facts: Mapping[str, str] = {}
    if file.extension in {".md", ".markdown"} or file.mime == "text/markdown":
        text, facts = _front_matter(text)
    if mark is not None or facts or file.extension in {".md", ".markdown"}:
        found = _TITLE.search(text)
        facts = {"title": found[1] if found else "", **facts}
    return Parsed(pages=(Page(text),), **facts)


def _front_matter(text: str) -> tuple[str, Mapping[str, str]]:
    """The text without what stands above it in YAML, and what that says."""
    found = _FRONT.match(text)
    if found is None:
        return text, {}
    try:
        front = yaml.safe_load(found[1])
    except (yaml.YAMLError, ValueError, RecursionError):
        return text, {}
    if not isinstance(front, dict):
        return text, {}
    names = {"title": "title", "author": "author", "description": "description", "published": "date"}
    facts = {fact: str(front[name]) for fact, name in names.items() if front.get(name) is not None}
    return text[found.end() :], facts


def _org(text: str) -> str:
    lines, fenced = [], False
    for line in text.split("\n"):
        if fence := _ORG_FENCE.fullmatch(line.strip()):
            fenced = fence[1].lower() == "begin"
        found = None if fenced else _ORG.fullmatch(line)
        title = None if fenced else _ORG_TITLE.fullmatch(line)
        if found is not None:
            lines.append(f"{'#' * len(found[1])} {found[2]}")
        else:
            lines.append(line if title is None else f"# {title[1]}")
    return "\n".join(lines)


def _asciidoc(text: str) -> str:
    lines, fence = [], ""
    for line in text.split("\n"):
        if mark := _ADOC_FENCE.fullmatch(line.rstrip()):
            fence = "" if fence == mark[1] else fence or mark[1]
        found = None if fence else _ADOC.fullmatch(line)
        lines.append(line if found is None else f"{'#' * len(found[1])} {found[2]}")
    return "\n".join(lines)


def _restructured(text: str) -> str:
    """A line with a rule below it, and perhaps one above, is a heading; each kind of rule is a level."""
    levels: list[str] = []
    lines: list[str] = []
    source = text.split("\n")
    at = 0
    while at < len(source):
        over = at + 2 < len(source) and _is_rule(source[at]) and source[at] == source[at + 2]
        title = source[at + 1 if over else at].strip()
        rule = source[at + 2] if over else source[at + 1] if at + 1 < len(source) else ""
        if title and _is_rule(rule) and not _is_rule(title) and len(rule.rstrip()) >= len(title):
            style = ("over" if over else "") + rule[0]
            if style not in levels:
                levels.append(style)
            lines.append(f"{'#' * min(levels.index(style) + 1, 6)} {title}")
            at += 3 if over else 2
        else:
            lines.append(source[at])
            at += 1
    return "\n".join(lines)


def _is_rule(line: str) -> bool:
    return _RST_LINE.fullmatch(line.rstrip()) is not None


_MARKUPS: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {".org": _org, ".adoc": _asciidoc, ".rst": _restructured}
)
