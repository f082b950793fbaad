"""Holds the sizes: a file that one can read in a sitting, a function that one can see at once."""

from __future__ import annotations

import ast

from tests.house.source_tree import files, python_files, shown, statements

LONGEST_FILE = 400
LONGEST_FUNCTION = 80
SOURCE_ENDINGS = frozenset({".py", ".c", ".h", ".ts", ".tsx", ".js", ".css", ".html"})
PRODUCT_FOLDERS = ("src", "tools", "clients/js/src", "web/src")


def too_long(source: str) -> str | None:
    """A sentence when a file is over the limit. Lines are physical lines."""
    lines = len(source.splitlines())
    if lines <= LONGEST_FILE:
        return None
    return (
        f"{lines} lines, over {LONGEST_FILE}: make it a folder of that name, cut where its parts meet least"
    )


def long_functions(source: str) -> list[str]:
    """One sentence for each function that is over the limit, its docstring included, its decorators not."""
    found: list[str] = []
    if len(source.splitlines()) <= LONGEST_FUNCTION:
        return found
    for node in statements(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > LONGEST_FUNCTION:
            found.append(
                f"{node.name} (line {node.lineno}): {lines} lines, over {LONGEST_FUNCTION}: name its steps"
            )
    return found


def test_product_files_are_short() -> None:
    found = [
        f"{shown(path)}: {sentence}"
        for path in files(*PRODUCT_FOLDERS)
        if path.suffix in SOURCE_ENDINGS
        and "vendor" not in path.parts
        and (sentence := too_long(path.read_text(encoding="utf-8")))
    ]
    assert not found, "\n" + "\n".join(found)


def test_functions_are_short() -> None:
    found = [
        f"{shown(path)}: {sentence}"
        for path in python_files()
        for sentence in long_functions(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n" + "\n".join(found)


def test_long_file_is_reported() -> None:
    assert too_long("x = 1\n" * LONGEST_FILE) is None
    assert too_long("x = 1\n" * (LONGEST_FILE + 1)) is not None


def test_long_function_is_reported() -> None:
    body = "    x = 1\n" * (LONGEST_FUNCTION - 1)
    assert long_functions("def fits():\n" + body) == []
    assert len(long_functions("def over():\n" + body + "    y = 1\n")) == 1
    assert len(long_functions("async def over():\n" + body + "    y = 1\n")) == 1
    assert long_functions("@pytest.mark.parametrize(\n'x', [\n])\ndef fits():\n" + body) == []
    assert (
        len(
            long_functions(
                "class A:\n    def over(self):\n" + body.replace("    x", "        x") + "        y = 1\n"
            )
        )
        == 1
    )
