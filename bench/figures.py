"""From readings to rows: medians, ranges, ratios paired within a round, and verdicts. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.harness import Reading, failures
from bench.scenarios import SATURATED, Basis, Figure, Scenario

GATEWAY, NGINX, DIRECT = "gateway", "nginx", "direct"

LATE_US = 5000  # worth a remark: a quarter of the interval between two deltas of a stream
STOLEN_SHARE = 0.02
POLLING_SHARE = 0.9  # a polling client with less of its core was kept from it by something else

Rounds = Sequence[Mapping[str, Reading]]
"""For each round, the reading of each system that was measured in it."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds and their range."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one scenario, beside its target."""

    scenario: str
    name: str
    unit: str
    digits: int
    gateway: Spread | None
    nginx: Spread | None
    ratio: Spread | None
    target: str
    verdict: str  # "ok", "MISSED …", or "" where there is no target

    @property
    def missed(self) -> bool:
        return self.verdict.startswith("MISSED")


def spread(values: Iterable[float]) -> Spread | None:
    """None without any value."""
    known = sorted(values)
    return Spread(median(known), known[0], known[-1]) if known else None


def values(figure: Figure, rounds: Rounds, system: str) -> list[float]:
    """The figure of a system in each round; for a latency, what it adds to the direct run of that round."""
    if figure.basis is Basis.ADDED:
        pairs = [(one[system], one[DIRECT]) for one in rounds if system in one and DIRECT in one]
        return [figure.of(reading) - figure.of(direct) for reading, direct in pairs]
    return [figure.of(one[system]) for one in rounds if system in one]


def paired_ratios(figure: Figure, rounds: Rounds) -> list[float]:
    """Gateway over nginx, each within its own round: what slowed the machine then slowed both."""
    both = [one for one in rounds if GATEWAY in one and NGINX in one]
    pairs = zip(values(figure, both, GATEWAY), values(figure, both, NGINX), strict=False)
    return [ours / theirs for ours, theirs in pairs if theirs > 0]


def rows(scenario: Scenario, rounds: Rounds) -> list[Row]:
    return [row(scenario, figure, rounds) for figure in scenario.figures]


def row(scenario: Scenario, figure: Figure, rounds: Rounds) -> Row:
    gateway = spread(values(figure, rounds, GATEWAY))
    ratio = spread(paired_ratios(figure, rounds))
    held = ratio if figure.basis is Basis.RATIO else gateway
    return Row(
        scenario=scenario.name,
        name=figure.name,
        unit=figure.unit,
        digits=figure.digits,
        gateway=gateway,
        nginx=spread(values(figure, rounds, NGINX)),
        ratio=ratio,
        target=target_text(figure),
        verdict=verdict(figure, held, [one[GATEWAY] for one in rounds if GATEWAY in one]),
    )


def target_text(figure: Figure) -> str:
    if figure.target is None:
        return ""
    sign = "≥" if figure.at_least else "≤"
    unit = Basis.RATIO.value if figure.basis is Basis.RATIO else figure.unit
    return f"{sign} {figure.target:,g} {unit}".strip()


def verdict(figure: Figure, held: Spread | None, readings: Sequence[Reading]) -> str:
    """A figure taken while streams broke is worth nothing, however good it is."""
    broken = next((reading for reading in readings if reading.failures), None)
    if broken is not None:
        return f"MISSED: {failures(broken)}"
    if figure.target is None or held is None:
        return ""
    met = held.median >= figure.target if figure.at_least else held.median <= figure.target
    if met:
        return "ok"
    difference = held.median - figure.target
    return (
        f"MISSED by {abs(difference) / figure.target:.0%}" if figure.target else f"MISSED by {difference:g}"
    )


def remarks(scenario: Scenario, rounds: Rounds) -> list[str]:
    """What a reader of these figures must know: noise, and a harness that was itself at its limit."""
    found = []
    for number, one in enumerate(rounds, 1):
        for system, reading in one.items():
            where = f"{scenario.name}, round {number}, {system}"
            if reading.mock_late_us > LATE_US:
                found.append(f"{where}: the mock itself was up to {reading.mock_late_us / 1000:.0f} ms late.")
            if reading.stolen > STOLEN_SHARE:
                found.append(f"{where}: the hypervisor took {reading.stolen:.0%} of the time for others.")
            if scenario.load.busy and reading.harness_utilisation < POLLING_SHARE:
                found.append(f"{where}: the harness got only {reading.harness_utilisation:.0%} of its core.")
            if scenario.climbs and reading.gateway_utilisation < SATURATED:
                found.append(
                    f"{where}: a lower bound, as only {reading.gateway_utilisation:.0%} of its core was used."
                )
            if system != GATEWAY and reading.failures:
                found.append(f"{where}: {failures(reading)}.")
    return found
