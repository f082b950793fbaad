"""Holds the documents true: the files that they name exist, and their links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source_tree import PACKAGE, ROOT, shown

CODE_SPAN = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^(```|~~~).*?^\1[^\S\n]*$", re.MULTILINE | re.DOTALL)
# A path with an ending, or a folder; `openai/gpt` and `/v1/models` are neither.
NAMED_FILE = re.compile(r"[\w.*-]+(?:/[\w.*-]+)*(?:\.(?:py|toml|md|ts|tsx|js|c|h|txt|yaml|yml|html|css)|/)")
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\s*\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#+\s+(.+?)\s*#*$", re.MULTILINE)
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def missing_files(markdown: str, folders: list[Path]) -> list[str]:
    """The files and folders named in code spans that exist in none of `folders`; `*` is a wildcard."""
    return [
        name
        for span in CODE_SPAN.findall(FENCE.sub("", markdown))
        if NAMED_FILE.fullmatch(name := span.strip())
        if not any(exists(folder, name) for folder in folders)
    ]


def exists(folder: Path, name: str) -> bool:
    return any(folder.glob(name.rstrip("/"))) if folder.is_dir() else False


def broken_links(markdown: str, path: Path) -> list[str]:
    """The relative links of the document at `path` that lead to no file, or to no heading of it."""
    return [target for target in link_targets(markdown) if not resolves(target, markdown, path)]


def link_targets(markdown: str) -> Iterator[str]:
    """Where a document's links lead, those to other sites left out, and none that stands in code."""
    prose = CODE_SPAN.sub("", FENCE.sub("", markdown))
    for inline, reference in LINK.findall(prose):
        target = inline or reference
        if not re.match(r"[a-z][a-z0-9+.-]*:|//", target, re.IGNORECASE):
            yield target


def resolves(target: str, markdown: str, path: Path) -> bool:
    file, _, anchor = target.partition("#")
    if not file:
        return anchor in anchors(markdown)
    goal = path.parent / file
    if not anchor or goal.suffix != ".md":
        return goal.exists()
    return goal.exists() and anchor in anchors(goal.read_text(encoding="utf-8"))


def anchors(markdown: str) -> set[str]:
    """The names that GitHub gives to a document's headings, but for repeated ones."""
    titles = HEADING.findall(FENCE.sub("", markdown))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_links_lead_somewhere() -> None:
    found = [
        f"{shown(path)}: nothing at {target}"
        for path in documents()
        for target in broken_links(path.read_text(encoding="utf-8"), path)
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.skipif(not ARCHITECTURE.exists(), reason="docs/architecture.md is not written yet")
def test_architecture_names_files_that_exist() -> None:
    missing = missing_files(ARCHITECTURE.read_text(encoding="utf-8"), [ROOT, PACKAGE, ROOT / "docs"])
    assert not missing, f"docs/architecture.md names what is not there: {', '.join(missing)}"


def test_missing_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "fold.py").touch()
    markdown = (
        "`core/fold.py` `core/` `core/*.py` `gone.py` `core/gone.py` `gone/` `gone/*.py` `a/b` `x = 1`\n"
    )
    markdown += "```\n`in/a/fence.py`\n```\n"
    assert missing_files(markdown, [tmp_path / "nowhere", tmp_path]) == [
        "gone.py",
        "core/gone.py",
        "gone/",
        "gone/*.py",
    ]


def test_broken_link_is_reported(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A Heading: here\n", encoding="utf-8")
    markdown = (
        "# Own title\n[a](there.md) [b](gone.md) ![c](gone.png 'title') [d](https://a.example/x)\n"
        "[e](#own-title)\n"
        "[f](there.md#a-heading-here) [g](there.md#gone) [h](#gone) `[i](code.md)` [j](mailto:a@b.example)\n"
        "[k]: gone/reference.md\n"
    )
    found = broken_links(markdown, tmp_path / "document.md")
    assert found == ["gone.md", "gone.png", "there.md#gone", "#gone", "gone/reference.md"]
