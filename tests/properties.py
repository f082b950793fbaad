"""Owns how property tests draw their examples: the same ones in each run, or new ones in the soak run.

What fails by luck fails for somebody who changed something else, so the default suite draws the examples that
the text of each test stands for. Luck has a run of its own: `make soak` sets SOAK_EXAMPLES, and each draws
its number of examples so many times over, new ones each time. Those that fail are kept in `.hypothesis`.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Examples share the fixtures of their test, and leave them as they were; and a busy machine is slow.
_TOLERATED = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


def examples(count: int = 100, steps: int = 50) -> settings:
    """Settings of a test that draws ``count`` examples, of ``steps`` steps each if it is a state machine."""
    soak = times()
    kept = settings.get_profile("default").database if soak else None
    return settings(
        max_examples=count * max(soak, 1),
        stateful_step_count=steps,
        derandomize=not soak,
        database=kept,
        deadline=None,
        print_blob=True,
        suppress_health_check=_TOLERATED,
    )


def times() -> int:
    """How many times as many examples the soak run draws; 0 in any other run."""
    return int(os.environ.get("SOAK_EXAMPLES", "0"))


def use_for_all() -> None:
    """What holds for a test that has no settings of its own."""
    settings.register_profile("tidegate", examples())
    settings.load_profile("tidegate")
