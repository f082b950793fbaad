"""Runs scenarios in interleaved rounds: within a round all systems are measured one right after the other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench import machine as machines
from bench.figures import DIRECT
from bench.harness import Harness, Reading
from bench.scenarios import Scenario, climb
from bench.systems import System


@dataclass(frozen=True, slots=True)
class Measured:
    """One reading and where it belongs; rounds count from 1."""

    scenario: str
    round: int
    system: str
    reading: Reading
    rivals: tuple[str, ...] = ()  # other real-time programs that were there when it ended


def measure_all(
    harness: Harness, scenarios: Sequence[Scenario], systems: Mapping[str, System], rounds: int
) -> Iterator[Measured]:
    """Every scenario on every system, once in each round; the order of the systems turns round by round."""
    for number in range(1, rounds + 1):
        for scenario in scenarios:
            names = [name for name in systems if name != DIRECT or scenario.needs_direct]
            for name in names if number % 2 else reversed(names):
                reading = measure(harness, scenario, systems[name])
                rivals = tuple(machines.rivals(harness.mock_process))
                yield Measured(scenario.name, number, name, reading, rivals)


def measure(harness: Harness, scenario: Scenario, system: System) -> Reading:
    def at_level(streams: int) -> Reading:
        load = replace(scenario.load, streams=streams)
        return harness.measure(system, load, access_log=scenario.access_log, log=scenario.log)

    return climb(at_level, scenario.levels) if scenario.levels else at_level(scenario.load.streams)


def by_round(measured: Sequence[Measured], scenario: str) -> list[dict[str, Reading]]:
    """The readings of a scenario: for each round, by system."""
    found: dict[int, dict[str, Reading]] = {}
    for one in measured:
        if one.scenario == scenario:
            found.setdefault(one.round, {})[one.system] = one.reading
    return [found[number] for number in sorted(found)]
