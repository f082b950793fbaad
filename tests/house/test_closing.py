"""Holds that tests close the SDKs that they open.

One that is left to the garbage collector closes its sockets in most cases. In the others a socket is found
before the client that would close it, which fails whatever test is running by then.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.house.source_tree import nodes, python_files, shown

CLIENTS = frozenset({"OpenAI", "AsyncOpenAI", "Anthropic", "AsyncAnthropic", "genai.Client"})
# Programs that end with what they opened, and agents that keep it.
ENDING = ("tests/clients/", "tests/clients_python/old_", "tests/agents/framework_agents.py")


def left_open(source: str) -> list[str]:
    """One sentence for each function that opens a client, and neither hands it on nor closes anything."""
    found = []
    functions = [node for node in nodes(source) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    nested = {inner for each in functions for inner in ast.walk(each) if inner is not each}
    for function in functions:
        if function not in nested:
            inner = list(ast.walk(function))
            kept = set(opened(part for part in inner if isinstance(part, ast.withitem | ast.Return)))
            loose = set(opened(inner)) - kept
            if loose and not any(closes(node) for node in inner):
                found.append(f"{function.name} (line {function.lineno}) leaves a client open: use `with`")
    return found


def opened(parts: Iterator[ast.AST] | list[ast.AST]) -> Iterator[ast.Call]:
    for part in parts:
        for node in ast.walk(part):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name | ast.Attribute)
                and ast.unparse(node.func).removeprefix("openai.").removeprefix("anthropic.") in CLIENTS
            ):
                yield node


def closes(node: ast.AST) -> bool:
    if isinstance(node, ast.withitem):
        return isinstance(node.context_expr, ast.Name)
    return isinstance(node, ast.Attribute) and node.attr == "close"


def test_clients_are_closed() -> None:
    found = [
        f"{shown(path)}: {sentence}"
        for path in python_files("tests")
        if not shown(path).startswith(ENDING)
        and any(f"{name}(" in (source := path.read_text(encoding="utf-8")) for name in CLIENTS)
        for sentence in left_open(source)
    ]
    assert not found, "\n" + "\n".join(found)


def test_a_client_that_is_left_open_is_reported() -> None:
    assert left_open("def f():\n    client = openai.OpenAI()\n    client.models.list()\n")
    assert left_open("def f():\n    genai.Client().models.list()\n")
    assert not left_open("def f():\n    with OpenAI() as client:\n        client.models.list()\n")
    assert not left_open("def f():\n    client = Anthropic()\n    client.close()\n")
    assert not left_open("def f():\n    return OpenAI()\n")
