"""Holds the product to deadlines that forget no cancellation."""

from __future__ import annotations

import ast

from tests.house.source_tree import nodes, python_files, shown


def test_deadlines_are_those_of_timeout() -> None:
    """On Python 3.11 wait_for() swallows a cancellation that comes together with what it waits for."""
    found = [
        f"{shown(path)}:{node.lineno}"
        for path in python_files("src")
        if "wait_for" in (source := path.read_text(encoding="utf-8"))
        for node in nodes(source)
        if isinstance(node, ast.Attribute) and node.attr == "wait_for"
    ]
    assert found == [], "use asyncio.timeout()"
