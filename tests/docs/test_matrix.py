"""docs/translation.md tells what the matrix of clients and upstreams shows, and for which pairs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from tests.dialects.recorded import dialects
from tests.docs.examples import ROOT
from tests.matrix import test_calls, test_failures, test_matrix, test_streams
from tests.matrix.clients import CLIENTS
from tests.matrix.pairs import NAMES
from tests.matrix.said import WRITERS
from tests.matrix.upstreams import SHAPES

SECTION = (ROOT / "docs" / "translation.md").read_text(encoding="utf-8").partition("## What is tested")[2]
MODULES = (test_matrix, test_calls, test_failures, test_streams)


def each_test() -> Iterator[Callable[..., None]]:
    """The tests of the matrix in their order."""
    for module in MODULES:
        yield from (each for name, each in vars(module).items() if name.startswith("test_"))


def marks(test: Callable[..., None]) -> tuple[str, list[tuple[str, str]]]:
    """What a test shows, and the pairs that it is parametrised with."""
    topic, pairs = "", list[tuple[str, str]]()
    for mark in test.pytestmark:  # type: ignore[attr-defined]
        if mark.name == "shows":
            [topic] = mark.args
        elif mark.args[0] == ("spoken", "served"):
            pairs = [param.values for param in mark.args[1]]
    return topic, pairs


def table() -> list[str]:
    """The lines of the table: a row for each dialect of clients, a column for each of upstreams."""
    shown: dict[tuple[str, str], list[str]] = {}
    for test in each_test():
        topic, pairs = marks(test)
        for pair in pairs:
            cell = shown.setdefault(pair, [])
            cell += [topic] if topic not in cell else []
    lines = [
        "| client \\ upstream | " + " | ".join(f"`{name}`" for name in NAMES) + " |",
        "|---|" + "---|" * len(NAMES),
    ]
    for spoken in NAMES:
        cells = [", ".join(shown[spoken, served]) for served in NAMES]
        lines.append(f"| `{spoken}` | " + " | ".join(cells) + " |")
    return lines


def test_every_test_of_the_matrix_says_what_it_shows() -> None:
    for test in each_test():
        topic, pairs = marks(test)
        assert topic, f"{test.__name__} needs @pairs"
        assert pairs, f"{test.__name__} runs over no pair"


def test_the_table_is_what_the_matrix_runs() -> None:
    written = re.findall(r"^\| (?:client|`).*\|$|^\|---\|---\|---\|---\|---\|$", SECTION, re.MULTILINE)
    assert written == table(), "the table should be:\n" + "\n".join(table())


def test_what_is_shown_is_explained_with_the_number_of_its_tests() -> None:
    numbers = Counter(marks(test)[0] for test in each_test())
    written = re.findall(r"^\| \*\*(.+?)\*\* \| .+ \| (\d+) \|$", SECTION, re.MULTILINE)
    assert written == [(topic, str(number)) for topic, number in numbers.items()], numbers


def test_every_dialect_that_shows_tools_is_in_the_matrix() -> None:
    served = {dialect.name for dialect in dialects() if "tools" not in dialect.lacks}
    assert served == set(SHAPES) == set(CLIENTS) == set(WRITERS) == set(NAMES)
