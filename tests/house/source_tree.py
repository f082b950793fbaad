"""Finds the files that the gates look at; judging them is left to the gates."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "tidegate"
# Where our own Python stands; a folder that does not exist yet holds no files.
PYTHON_FOLDERS = ("src", "tests", "tools", "bench", "examples")
TEXT_FOLDERS = (*PYTHON_FOLDERS, "docs", "deploy", "clients", "web", ".ci")
TEXT_ENDINGS = frozenset(
    {
        "",
        ".c",
        ".css",
        ".h",
        ".html",
        ".in",
        ".js",
        ".json",
        ".md",
        ".mjs",
        ".py",
        ".sh",
        ".toml",
        ".ts",
        ".tsx",
        ".txt",
    }
    | {".yaml", ".yml"}
)
NOT_OURS = frozenset({"__pycache__", "node_modules", ".venv", "dist", "build"})


def files(*folders: str) -> Iterator[Path]:
    """Every file of ours below these folders of the repository, in a stable order."""
    for folder in folders:
        for place, inner, names in os.walk(ROOT / folder):
            # Pruned, for what is installed for the client tests is tens of thousands of files.
            inner[:] = sorted(set(inner) - NOT_OURS)
            yield from (Path(place, name) for name in sorted(names))


def python_files(*folders: str) -> Iterator[Path]:
    return (path for path in files(*(folders or PYTHON_FOLDERS)) if path.suffix == ".py")


def text_files() -> Iterator[Path]:
    """Every text file of ours: those at the top of the repository and those below TEXT_FOLDERS."""
    yield from (path for path in sorted(ROOT.iterdir()) if path.is_file() and is_text(path))
    yield from (path for path in files(*TEXT_FOLDERS) if is_text(path))


def is_text(path: Path) -> bool:
    if path.suffix not in TEXT_ENDINGS:
        return False
    return b"\0" not in path.read_bytes()[:1024]


def shown(path: Path) -> str:
    """The path as a reader of a failed gate knows it."""
    return path.relative_to(ROOT).as_posix()


def nodes(source: str) -> Iterator[ast.AST]:
    """All nodes of a Python file, which are many: look for a word of what is sought first."""
    return ast.walk(ast.parse(source))


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """The statements in a node, those that others hold included: far fewer than all nodes."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        inner = getattr(node, name, ())
        for each in inner if isinstance(inner, list) else ():
            yield each
            yield from statements(each)
