"""Names to routes, and what a caller is told who asks for another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tests.routing.deeds import deployment, route
from tidegate.errors import InvalidRequest, NotFound
from tidegate.routing.table import Route, Routes


def nothing_else(name: str) -> Route | None:
    return None


def routes(*names: str, default: str | None = None) -> Routes:
    return Routes([route(deployment(name), model=name) for name in names], default, nothing_else)


def test_a_name_is_matched_exactly() -> None:
    table = routes("fast", "Fast", "a/b")
    assert [table.resolve(name).model for name in ("fast", "Fast", "a/b")] == ["fast", "Fast", "a/b"]


def test_without_a_name_the_default_answers() -> None:
    assert routes("a", "b", default="b").resolve(None).model == "b"


def test_without_a_default_the_models_are_named() -> None:
    with pytest.raises(
        InvalidRequest, match="'model' is missing and no default_model is configured"
    ) as raised:
        routes("a", "b").resolve(None)
    assert raised.value.message.endswith("name one of 'a', 'b'")
    assert (raised.value.param, raised.value.code) == ("model", "model_required")


def test_a_default_that_is_not_there() -> None:
    with pytest.raises(NotFound, match="there is no model 'c' here"):
        routes("a", default="c").resolve(None)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("gpt4o", r"did you mean 'gpt-4o'"),
        ("qwen3-8", r"did you mean 'qwen3-8b'"),
        ("QWEN3-8B", r"did you mean 'qwen3-8b'"),
        ("8B", r"did you mean 'qwen3-8b'"),
        (
            "zzz",
            r"there is no model 'zzz' here; GET /v1/models lists what there is: 'gpt-4o', 'qwen3-8b', 'demo'",
        ),
        ("", r"there is no model '' here"),
        ("x" * 5000, r"^there is no model 'x{100}…' here"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(asked: str, words: str) -> None:
    with pytest.raises(NotFound, match=words) as raised:
        routes("gpt-4o", "qwen3-8b", "demo").resolve(asked)
    assert (raised.value.status, raised.value.param, raised.value.code) == (404, "model", "model_not_found")
    assert len(raised.value.message) < 400


def test_long_lists_are_cut() -> None:
    with pytest.raises(NotFound, match=r"'m0', 'm1', 'm2', 'm3', 'm4' and 95 more$"):
        routes(*(f"m{number}" for number in range(100))).resolve("zzz")


def test_names_that_no_list_holds_may_pass_through() -> None:
    listed, passed = route(deployment("a"), model="a/b"), route(deployment("p"), model="p/x")
    asked: list[str] = []

    def pass_through(name: str) -> Route | None:
        asked.append(name)
        return passed if name == "p/x" else None

    table = Routes([listed], None, pass_through)
    assert table.resolve("a/b") is listed
    assert asked == []
    assert table.resolve("p/x") is passed
    with pytest.raises(NotFound):
        table.resolve("p/y")
    assert table.get("p/x") is None


def test_a_table_is_a_collection() -> None:
    table = routes("a", "b")
    assert len(table) == 2
    assert [each.model for each in table] == ["a", "b"]
    found = table.get("b")
    assert found is not None
    assert found.model == "b"


@examples(100)
@given(st.text(max_size=30))
def test_any_name_is_one_or_none(name: str) -> None:
    with pytest.raises(NotFound):
        routes("a" * 31).resolve(name)
