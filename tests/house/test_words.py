"""Holds the words: no empty name, no unfinished mark, no path of one machine, no vendor singled out."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source_tree import PACKAGE, nodes, python_files, shown, text_files

EMPTY_WORDS = frozenset({"util", "helper", "common", "manager", "handler", "base", "misc", "stuff"})
# Spelled in parts, so that this file passes its own gate.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]) + r")\b")
# A folder of somebody's machine at the start of a path; `/v1/work/` or `a.com/root/` is none.
MACHINE_PATH = re.compile(r"(?<![\w.:/*-])/(?:work|root|farm|Users/\w+|home/\w+)/")
PRESETS = PACKAGE / "sources" / "presets.toml"


def empty_name(path: str) -> str | None:
    """A sentence when a file or folder in this path has a name that could hold anything."""
    for part in Path(path).with_suffix("").parts:
        words = {word.removesuffix("s") for word in part.lower().split("_")}
        if EMPTY_WORDS & words:
            return f"{part} could hold anything: name it after the one thing that it owns"
    return None


def unfinished_marks(text: str) -> list[str]:
    return [
        f"line {line}: unfinished mark: finish it or leave it out" for line in lines_with(UNFINISHED, text)
    ]


def machine_paths(text: str) -> list[str]:
    return [
        f"line {line}: a path of one machine: make it relative" for line in lines_with(MACHINE_PATH, text)
    ]


def lines_with(pattern: re.Pattern[str], text: str) -> list[int]:
    return [number for number, line in enumerate(text.splitlines(), start=1) if pattern.search(line)]


def forbidden_statements(source: str) -> list[str]:
    """One sentence for each `global`, sleep of the whole thread, or placeholder body in a Python file."""
    found: list[str] = []
    if not any(word in source for word in ("global", "sleep", "NotImplementedError")):
        return found
    for node in nodes(source):
        if isinstance(node, ast.Global):
            found.append(f"line {node.lineno}: `global`: keep the state in an object that is passed in")
        elif is_sleep(node):
            found.append(f"line {line_of(node)}: time.sleep: wait for an event, with a deadline")
        elif isinstance(node, ast.Raise) and "NotImplementedError" in ast.dump(node):
            found.append(f"line {node.lineno}: NotImplementedError: write it, or use a Protocol")
    return found


def is_sleep(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "time" and any(alias.name == "sleep" for alias in node.names)
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "sleep"
        and isinstance(node.value, ast.Name)
        and node.value.id == "time"
    )


def vendor_comparisons(source: str, vendors: frozenset[str]) -> list[str]:
    """One sentence for each comparison with a vendor's name, also by `in (…)`, `case` and startswith."""
    if not any(vendor in source for vendor in vendors):
        return []
    return [
        f'line {line_of(node)} compares with "{name}": make the difference a quirk in presets.toml'
        for node in nodes(source)
        for name in sorted(vendors.intersection(compared_strings(node)))
    ]


def compared_strings(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Compare):
        operands: list[ast.AST] = [node.left, *node.comparators]
    elif isinstance(node, ast.MatchValue):
        operands = [node.value]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        operands = [*node.args] if node.func.attr in {"startswith", "endswith"} else []
    else:
        operands = []
    for operand in operands:
        inner = operand.elts if isinstance(operand, ast.Tuple | ast.List | ast.Set) else [operand]
        yield from (
            each.value for each in inner if isinstance(each, ast.Constant) and isinstance(each.value, str)
        )


def line_of(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 0))


def vendor_names() -> frozenset[str]:
    if not PRESETS.exists():
        return frozenset()
    return frozenset(tomllib.loads(PRESETS.read_text(encoding="utf-8")))


def test_names_say_what_they_hold() -> None:
    found = [f"{shown(path)}: {sentence}" for path in python_files() if (sentence := empty_name(shown(path)))]
    assert not found, "\n" + "\n".join(found)


def test_text_is_finished_and_of_no_machine() -> None:
    found = [f"{shown(path)}: {sentence}" for path in text_files() for sentence in text_violations(path)]
    assert not found, "\n" + "\n".join(found)


def text_violations(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="replace")
    return [*unfinished_marks(text), *machine_paths(text)]


def test_code_keeps_no_global_state_and_never_sleeps() -> None:
    found = [
        f"{shown(path)}: {sentence}"
        for path in python_files("src", "tests")
        for sentence in forbidden_statements(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n" + "\n".join(found)


def test_no_vendor_is_singled_out() -> None:
    vendors = vendor_names()
    found = [
        f"{shown(path)}: {sentence}"
        for path in python_files("src")
        if PACKAGE / "sources" not in path.parents
        for sentence in vendor_comparisons(path.read_text(encoding="utf-8"), vendors)
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "path",
    ["src/utils.py", "src/http_helpers.py", "src/common/sse.py", "src/stream_manager.py", "src/base.py"],
)
def test_empty_name_is_reported(path: str) -> None:
    assert empty_name(path) is not None


@pytest.mark.parametrize(
    "path", ["src/tidegate/core/fold.py", "src/tidegate/database.py", "src/commonmark.py"]
)
def test_telling_name_passes(path: str) -> None:
    assert empty_name(path) is None


def test_unfinished_mark_is_reported() -> None:
    assert len(unfinished_marks("x = 1\n# TO" + "DO: more\n# FIX" + "ME\nautodo = 2\n")) == 2


@pytest.mark.parametrize(
    "text", ["open('/ro" + "ot/a')", "see /ho" + "me/jane/x", "cd /wo" + "rk/main", " /Us" + "ers/jane/x"]
)
def test_machine_path_is_reported(text: str) -> None:
    assert len(machine_paths(text)) == 1


@pytest.mark.parametrize(
    "text", ["/v1/ro" + "ot/x", "https://a.example/wo" + "rk/", "./ho" + "me/jane/x", "/var/lib/tidegate"]
)
def test_other_path_passes(text: str) -> None:
    assert machine_paths(text) == []


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    global x\n    x = 1",
        "import time\ntime.sleep(1)",
        "from time import sleep",
        "wait = time.sleep",
        "raise NotImplementedError",
        "raise NotImplementedError('later')",
    ],
)
def test_forbidden_statement_is_reported(source: str) -> None:
    assert len(forbidden_statements(source)) == 1


def test_other_sleeps_pass() -> None:
    assert forbidden_statements("await asyncio.sleep(0)\nclock.sleep(1)\nfrom time import monotonic") == []


@pytest.mark.parametrize(
    "source",
    [
        'if vendor == "acme": pass',
        'if "acme" != vendor: pass',
        'if vendor in ("other", "acme"): pass',
        'if vendor in {"acme"}: pass',
        'if "acme" in base_url: pass',
        'if name.startswith("acme"): pass',
        'match vendor:\n    case "acme": pass',
        'match vendor:\n    case "other" | "acme": pass',
    ],
)
def test_vendor_comparison_is_reported(source: str) -> None:
    assert len(vendor_comparisons(source, frozenset({"acme"}))) == 1


def test_naming_a_vendor_without_comparing_passes() -> None:
    source = 'example = "acme"\nshow("acme")\nif vendor == "other": pass\nif dialect == "acme-chat": pass'
    assert vendor_comparisons(source, frozenset({"acme"})) == []
