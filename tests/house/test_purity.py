"""Holds core, wire and dialects pure: they do no I/O, read no clock and no randomness, write no log."""

from __future__ import annotations

import ast

import pytest

from tests.house.source_tree import python_files, shown

PURE_FOLDERS = ("src/tidegate/core", "src/tidegate/wire", "src/tidegate/dialects")
# With the reason, which the failed test prints. A name stands for the module and everything below it.
BANNED_MODULES = {
    **dict.fromkeys(("asyncio", "uvloop", "concurrent", "threading", "multiprocessing", "queue"), "waits"),
    **dict.fromkeys(("contextvars", "_thread", "sched"), "waits"),
    **dict.fromkeys(
        ("socket", "selectors", "select", "ssl", "http", "urllib.request", "urllib.error"), "does I/O"
    ),
    **dict.fromkeys(("socketserver", "httptools", "uvicorn", "starlette", "requests", "httpx"), "does I/O"),
    **dict.fromkeys(("os", "pathlib", "shutil", "tempfile", "subprocess", "signal", "sqlite3"), "does I/O"),
    **dict.fromkeys(("logging", "warnings", "rich", "click", "prometheus_client"), "reports"),
    **dict.fromkeys(("time", "datetime", "zoneinfo"), "reads a clock"),
    **dict.fromkeys(("random", "secrets", "uuid"), "is random"),
}
BANNED_CALLS = {
    "open": "does I/O",
    "print": "does I/O",
    "input": "does I/O",
    "breakpoint": "stops",
}


def impurities(source: str) -> list[str]:
    """One sentence for each import or call in `source` that a pure layer may not have."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for name in imported_names(node):
            banned = next((name for name in with_parents(name) if name in BANNED_MODULES), None)
            if banned:
                found.append(
                    f"line {line_of(node)} imports {banned}, which {BANNED_MODULES[banned]}: pass it in"
                )
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS:
            name = node.func.id
            found.append(
                f"line {node.lineno} calls {name}(), which {BANNED_CALLS[name]}: do it in an outer layer"
            )
    return found


def imported_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        # `from urllib import request` is an import of urllib.request.
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def with_parents(name: str) -> list[str]:
    """ "a.b.c" → ["a", "a.b", "a.b.c"]."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def line_of(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 0))


def test_inner_layers_are_pure() -> None:
    found = [
        f"{shown(path)}: {impurity}"
        for path in python_files(*PURE_FOLDERS)
        for impurity in impurities(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio",
        "import asyncio.subprocess as sub",
        "from time import monotonic",
        "from datetime import datetime",
        "def late():\n    import random",
        "import urllib.request",
        "from urllib import request",
        "from urllib.request import urlopen",
        "from http import HTTPStatus",
        "if TYPE_CHECKING:\n    import logging",
        "text = open('a').read()",
        "def show(x):\n    print(x)",
    ],
)
def test_impurity_is_reported(source: str) -> None:
    assert len(impurities(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import json, re, base64, hashlib",
        "from urllib.parse import quote",
        "import msgspec",
        "from tidegate.core.clock import Clock",
        "from .time import since",
        "frame.open()",
        "timeline = []",
    ],
)
def test_pure_code_passes(source: str) -> None:
    assert impurities(source) == []
