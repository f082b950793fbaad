"""Holds luck out of the default suite: only in `make soak` do property tests draw new examples."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import settings

from tests.house.source_tree import ROOT, nodes, python_files, shown
from tests.properties import examples

ALLOWED = ROOT / "tests" / "properties.py"


def own_settings(source: str) -> list[str]:
    """One sentence for each import by which a test could have settings of its own."""
    return [
        f"line {node.lineno}: take settings of property tests from tests/properties.py"
        for node in nodes(source)
        if (
            isinstance(node, ast.ImportFrom)
            and node.module == "hypothesis"
            and names(node) & {"settings", "seed"}
        )
        or (isinstance(node, ast.Import) and "hypothesis" in names(node))
    ]


def names(node: ast.Import | ast.ImportFrom) -> set[str]:
    return {alias.name for alias in node.names}


def test_no_property_test_has_settings_of_its_own() -> None:
    tests = [path for path in python_files("tests") if path not in {ALLOWED, Path(__file__)}]
    found = [
        f"{shown(path)}: {line}"
        for path in tests
        if "hypothesis" in (source := path.read_text(encoding="utf-8"))
        for line in own_settings(source)
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    ["from hypothesis import given, settings", "import hypothesis", "from hypothesis import seed as luck"],
)
def test_settings_of_its_own_are_found(source: str) -> None:
    assert own_settings(source)


def test_examples_are_the_same_in_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOAK_EXAMPLES", raising=False)
    asked = examples(7, steps=3)
    assert (asked.max_examples, asked.stateful_step_count) == (7, 3)
    assert asked.derandomize
    assert asked.database is None
    assert asked.deadline is None


def test_the_soak_run_draws_many_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOAK_EXAMPLES", "20")
    asked = examples(7)
    assert asked.max_examples == 140
    assert not asked.derandomize
    assert asked.database is not None
    assert asked.deadline is None


def test_tests_without_settings_follow() -> None:
    assert repr(settings()) == repr(examples())
