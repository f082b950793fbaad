"""Owns the examples in the documents: finding the fenced blocks that are run, and running them.

``bash`` and ``python`` blocks are run against a gateway that has the demo model alone; what cannot run there
is fenced as ``sh`` or ``py``. A block fenced as ``text output`` is what the block before it prints: ``…``
stands for anything, ids and times may differ.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import forked
from tests.gateway import Gateway, clean_environment

ROOT = Path(__file__).resolve().parents[2]
WRITTEN_ADDRESS = "http://127.0.0.1:7860"
KEY = "sk-documented"
IMPORTED = ("openai", "anthropic", "google.genai", "tidegate.client")
"""What the examples in Python import, which takes longer than to run them."""

_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```[^\S\n]*$", re.MULTILINE | re.DOTALL)
_DIFFERS = re.compile(r"…|[0-9a-f]{32}|(?<=\"created\":)\d+")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the words after its fence, its text, and where it stands."""

    document: str
    line: int
    words: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """A block that is run. ``expected`` is what it prints, empty where the document does not show it."""

    document: str
    line: int
    language: str
    source: str
    expected: str


def documents() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks() -> Iterator[Block]:
    """Every fenced block of every document."""
    for path in documents():
        markdown = path.read_text(encoding="utf-8")
        for found in _FENCE.finditer(markdown):
            line = markdown.count("\n", 0, found.start()) + 1
            yield Block(path.relative_to(ROOT).as_posix(), line, tuple(found[1].split()), found[2])


def examples() -> list[Example]:
    """The blocks that are run, each with the output that follows it."""
    found: list[Example] = []
    for block in blocks():
        if block.words in (("bash",), ("python",)):
            found.append(Example(block.document, block.line, block.words[0], block.text, ""))
        elif block.words == ("text", "output"):
            last = found.pop()
            assert last.document == block.document
            found.append(Example(last.document, last.line, last.language, last.source, block.text))
    return found


def run(example: Example, gateway: Gateway, folder: Path) -> str:
    """What an example prints when it is run against ``gateway``, in ``folder``; it must end well."""
    source = example.source.replace(WRITTEN_ADDRESS, gateway.url)
    environment = clean_environment()
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
        "TIDEGATE_HOME": str(folder),
        "TIDEGATE_URL": gateway.url,
        "TIDEGATE_API_KEY": KEY,
    }
    if example.language == "bash":
        shell = ["bash", "-eu", "-o", "pipefail", "-c", source]
        done = subprocess.run(
            shell, cwd=folder, env=environment, capture_output=True, text=True, timeout=50, check=False
        )
    else:
        done = forked.run_program(source, folder, environment, IMPORTED)
    assert done.returncode == 0, f"{example.document}:{example.line}\n{done.stdout}\n{done.stderr}"
    return done.stdout.replace(gateway.url, WRITTEN_ADDRESS)


def fits(expected: str, printed: str) -> bool:
    """Whether an output is what the document shows."""
    pattern, at = "", 0
    for found in _DIFFERS.finditer(expected):
        pattern += re.escape(expected[at : found.start()])
        pattern += {"…": ".*?"}.get(found[0], "[0-9a-f]+" if len(found[0]) == 32 else r"\d+")
        at = found.end()
    pattern += re.escape(expected[at:].rstrip())
    return re.fullmatch(pattern, printed.rstrip(), re.DOTALL) is not None
