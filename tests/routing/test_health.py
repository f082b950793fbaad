"""The breaker of a deployment: when it opens, for how long, and what closes it."""

from __future__ import annotations

import pytest

from tests.streams.parts import ManualClock
from tidegate.routing.health import Health


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def health(clock: ManualClock) -> Health:
    return Health(clock)


def fail(health: Health, times: int) -> None:
    for _ in range(times):
        health.failed()


def rests_for(health: Health, clock: ManualClock, longest: float = 1000) -> float:
    """Seconds until it may be tried before others again."""
    begun = clock.seconds
    while not health.healthy and clock.seconds - begun < longest:
        clock.seconds += 0.5
    return clock.seconds - begun


def test_a_new_one_is_healthy(health: Health) -> None:
    assert health.healthy


@pytest.mark.parametrize(("failures", "healthy"), [(1, True), (2, True), (3, False), (4, False)])
def test_it_opens_after_three_failures_in_a_row(health: Health, failures: int, healthy: bool) -> None:
    fail(health, failures)
    assert health.healthy is healthy


def test_a_success_in_between_begins_the_row_anew(health: Health) -> None:
    fail(health, 2)
    health.succeeded()
    fail(health, 2)
    assert health.healthy


def test_pauses_double_up_to_two_minutes(health: Health, clock: ManualClock) -> None:
    fail(health, 2)
    pauses = []
    for _ in range(8):
        health.failed()
        pauses.append(rests_for(health, clock))
    assert pauses == [5, 10, 20, 40, 80, 120, 120, 120]


def test_a_thousand_failures_are_no_overflow(health: Health, clock: ManualClock) -> None:
    fail(health, 5000)
    assert rests_for(health, clock) == 120


def test_one_trial_that_succeeds_closes_it(health: Health, clock: ManualClock) -> None:
    fail(health, 10)
    rests_for(health, clock)
    health.succeeded()
    fail(health, 2)
    assert health.healthy
    health.failed()
    assert rests_for(health, clock) == 5


def test_one_trial_that_fails_opens_it_again(health: Health, clock: ManualClock) -> None:
    fail(health, 3)
    assert rests_for(health, clock) == 5
    health.failed()
    assert not health.healthy


def test_it_counts(health: Health) -> None:
    fail(health, 2)
    health.succeeded()
    assert (health.successes, health.failures, health.open) == (1, 2, 0)
