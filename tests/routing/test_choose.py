"""Which deployment is tried first, and in which order the others."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tests.routing.deeds import deployment
from tidegate.routing.choose import choose
from tidegate.routing.table import Deployment


def names(deployments: list[Deployment]) -> str:
    return "".join(each.name for each in deployments)


def resting(name: str, weight: float = 1.0) -> Deployment:
    """A deployment whose breaker is open."""
    made = deployment(name, weight=weight)
    for _ in range(3):
        made.health.failed()
    return made


def never() -> float:
    raise AssertionError("no chance is needed here")


def test_none() -> None:
    assert choose([], never) == []


def test_of_equal_weights_the_order_is_that_of_the_configuration() -> None:
    assert names(choose([deployment(name) for name in "abc"], never)) == "abc"


def test_those_that_rest_come_last_and_are_not_left_out() -> None:
    """A route whose deployments all rest must still answer."""
    assert names(choose([resting("a"), deployment("b"), resting("c"), deployment("d")], never)) == "bdac"
    assert names(choose([resting("a"), resting("b")], never)) == "ab"


def test_those_that_are_full_are_left_out() -> None:
    full, free = deployment("a", max_streams=2), deployment("b", max_streams=3)
    full.health.open = free.health.open = 2
    assert names(choose([full, free], never)) == "b"
    full.health.open = 1
    assert names(choose([full, free], never)) == "ab"
    full.health.open = 9
    assert choose([full], never) == []


def test_a_deployment_that_takes_none_is_never_chosen() -> None:
    assert choose([deployment("a", max_streams=0)], never) == []


@pytest.mark.parametrize(
    ("point", "order"),
    [(0.0, "abc"), (0.09, "abc"), (0.11, "bac"), (0.39, "bac"), (0.41, "cab"), (0.999, "cab")],
)
def test_where_weights_differ_the_first_is_drawn_and_the_others_keep_their_order(
    point: float, order: str
) -> None:
    weights = {"a": 1.0, "b": 3.0, "c": 6.0}
    made = [deployment(name, weight=weight) for name, weight in weights.items()]
    assert names(choose(made, lambda: point)) == order


def test_those_that_rest_are_not_drawn() -> None:
    made = [resting("a", 100), deployment("b", weight=1), deployment("c", weight=2)]
    assert names(choose(made, lambda: 0.0)) == "bca"
    assert names(choose(made, lambda: 0.99)) == "cba"


def test_weights_are_shares() -> None:
    made = [deployment("a", weight=1), deployment("b", weight=3)]
    points = iter([number / 1000 for number in range(1000)])
    firsts = Counter(choose(made, lambda: next(points))[0].name for _ in range(1000))
    assert firsts == {"a": 250, "b": 750}


@examples(100)
@given(
    weights=st.lists(st.floats(0.001, 1000), max_size=6),
    rests=st.lists(st.booleans(), min_size=6, max_size=6),
    point=st.floats(0, 1, exclude_max=True),
)
def test_everyone_is_tried_once(weights: list[float], rests: list[bool], point: float) -> None:
    made = [
        resting(str(at), weight) if rests[at] else deployment(str(at), weight=weight)
        for at, weight in enumerate(weights)
    ]
    chosen = choose(made, lambda: point)
    assert sorted(names(chosen)) == sorted(names(made))
    healthy = [each.health.healthy for each in chosen]
    assert healthy == sorted(healthy, reverse=True)
