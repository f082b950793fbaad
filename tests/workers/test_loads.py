"""A worker that is ahead of the others leaves them the next connection."""

from __future__ import annotations

from pathlib import Path

from tidegate.server.loads import Counted, Loads


def workers(folder: Path, loads: list[int | None]) -> list[Loads]:
    """One for each worker, with its load; None for one that is not there."""
    owner = Loads(folder, len(loads))
    made = [Loads(folder, len(loads), number) for number in range(len(loads))]
    for number, load in enumerate(loads):
        if load is None:
            owner.gone(number)
        else:
            made[number].set(load)
    return made


def test_a_lead_of_one_is_none(tmp_path: Path) -> None:
    first, _ = workers(tmp_path, [0, 3])
    assert [first.is_ahead(load) for load in (3, 4, 5, 6)] == [False, False, True, True]


def test_the_one_with_the_least_counts(tmp_path: Path) -> None:
    first, *_ = workers(tmp_path, [0, 50, 2, 70])
    assert first.is_ahead(10)


def test_among_many_an_eighth_is_no_lead(tmp_path: Path) -> None:
    first, _ = workers(tmp_path, [0, 800])
    assert not first.is_ahead(900)
    assert first.is_ahead(902)


def test_nothing_is_left_to_who_is_not_there(tmp_path: Path) -> None:
    first, _, _ = workers(tmp_path, [0, None, None])
    assert not first.is_ahead(10_000)


def test_the_others_see_what_comes_and_goes(tmp_path: Path) -> None:
    first, second = workers(tmp_path, [0, 0])
    connections = Counted(first)
    for each in range(5):
        connections.add(each)
    assert not second.is_ahead(6)
    for each in range(5):
        connections.discard(each)
    assert second.is_ahead(6)
