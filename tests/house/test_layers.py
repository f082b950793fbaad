"""Holds the layers: inside `tidegate`, imports go to lower numbers or stay within one's own folder."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source_tree import PACKAGE, python_files, shown, statements

# The number of every top-level module or folder of the package; two of the same number may not import each
# other. `__init__` is the bare package, which holds the version: all may import it, it imports none of them.
LAYERS = {
    "__init__": -1,
    "errors": 0,
    "core": 1,
    "config": 2,
    "wire": 2,
    "dialects": 3,
    "net": 3,
    "store": 3,
    "engines": 4,
    "access": 4,
    "observe": 4,
    "agents": 4,
    "workspaces": 4,
    "client": 4,
    "sources": 5,
    "routing": 5,
    "streams": 6,
    "generation": 7,
    "inner": 8,
    "inner_calls": 8,
    "server": 8,
    "app": 9,
    "cli": 10,
    "__main__": 11,
}

CALLED = frozenset({"import_module", "__import__"})
"""What imports as a function does; whatever else imports is a statement."""


def layer_violations(source: str, module: str) -> list[str]:
    """One sentence for each import in `source` that breaks the layers.

    `module` is the dotted name of the file, "tidegate.core.fold"; a package's own file ends in ".__init__".
    """
    own = top_level(module)
    if own not in LAYERS:
        return [f"{own} has no layer: give it a number in LAYERS, as docs/architecture.md orders the package"]
    found = []
    for line, imported in tidegate_imports(source, module):
        other = top_level(imported)
        if other == own or (other in LAYERS and LAYERS[other] < LAYERS[own]):
            continue
        reason = f"{LAYERS[other]} is not below {LAYERS[own]}" if other in LAYERS else "which has no layer"
        found.append(f"line {line} imports {imported} ({reason}): move what both need to a lower layer")
    return found


def top_level(module: str) -> str:
    """ "core" for "tidegate.core.fold"; "__init__" for the bare package."""
    return [*module.split("."), "__init__"][1]


def tidegate_imports(source: str, module: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) for all of ours that is imported, also inside functions and for type checking."""
    tree = ast.parse(source)
    among = ast.walk(tree) if any(name in source for name in CALLED) else statements(tree)
    for node in among:
        if not isinstance(node, ast.Import | ast.ImportFrom | ast.Call):
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, module)
            # `from tidegate import core` names a module; `from tidegate import __version__` does not.
            modules = [f"{base}.{alias.name}" for alias in node.names if not alias.name.startswith("__")]
            names = (modules or [base]) if base == "tidegate" else [base]
        elif called_name(node) in CALLED:
            names = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        yield from ((node.lineno, name) for name in names if name.split(".")[0] == "tidegate")


def absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    package = module.split(".")[: -node.level]
    return ".".join([*package, *filter(None, [node.module])])


def called_name(node: ast.Call) -> str:
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def module_name(path: Path) -> str:
    return ".".join(["tidegate", *path.relative_to(PACKAGE).with_suffix("").parts])


def test_imports_go_downward() -> None:
    found = [
        f"{shown(path)}: {violation}"
        for path in python_files("src")
        for violation in layer_violations(path.read_text(encoding="utf-8"), module_name(path))
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import tidegate.server", "tidegate.core.fold"),
        ("from tidegate.server import urls", "tidegate.core.fold"),
        ("from tidegate import server", "tidegate.core.fold"),
        ("from ..server.urls import URLS", "tidegate.core.fold"),
        ("from .. import server", "tidegate.core.fold"),
        ("from . import app", "tidegate.generation"),
        ("def late():\n    from tidegate.app import build", "tidegate.generation"),
        ("if TYPE_CHECKING:\n    from tidegate.app import App", "tidegate.server.urls"),
        ("from importlib import import_module\nimport_module('tidegate.cli.serve')", "tidegate.app"),
        ("from tidegate.routing.table import Table", "tidegate.sources.upstream"),
        ("from tidegate.sources.upstream import Upstream", "tidegate.routing.table"),
        ("from tidegate.wire.sse import Decoder", "tidegate.config"),
        ("from tidegate.core.event import Text", "tidegate.__init__"),
        ("from tidegate.helpers import thing", "tidegate.cli.serve"),
        ("", "tidegate.helpers"),
        ("", "tidegate.helpers.__init__"),
    ],
)
def test_upward_import_is_reported(source: str, module: str) -> None:
    assert len(layer_violations(source, module)) == 1


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import json, tidegatelike", "tidegate.core.fold"),
        ("from tidegate import __version__", "tidegate.core.fold"),
        ("from tidegate.errors import TidegateError", "tidegate.core.fold"),
        ("from .event import Text", "tidegate.core.fold"),
        ("from . import event", "tidegate.core.fold"),
        ("from .event import Text", "tidegate.core.__init__"),
        ("from tidegate.cli.serve import serve", "tidegate.cli.__init__"),
        ("from tidegate import core, wire", "tidegate.dialects.openai_chat"),
        ("from tidegate.cli import main", "tidegate.__main__"),
        ("", "tidegate.__init__"),
    ],
)
def test_downward_import_passes(source: str, module: str) -> None:
    assert layer_violations(source, module) == []
