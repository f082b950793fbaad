"""From readings to rows: medians, ranges, ratios paired within a round, and verdicts. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.harness import Reading, failures
from bench.scenarios import SATURATED, Basis, Figure, Scenario

GATEWAY, NGINX, DIRECT = "gateway", "nginx", "direct"

LATE_US = 5000  # worth a remark: a quarter of the interval between two deltas of a stream
STOLEN_SHARE = 0.02

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
    taken = {
        f"round {number}, {system}": reading
        for number, one in enumerate(rounds, 1)
        for system, reading in one.items()
    }
    found = [
        f"{where}: {failures(reading)}"
        for where, reading in taken.items()
        if reading.failures and not where.endswith(GATEWAY)
    ]
    load = scenario.load
    ended = [
        where for where, reading in taken.items() if not load.closed and reading.open_at_end < load.streams
    ]
    if ended and not scenario.levels:
        found.append(f"streams ended before the window did, so it saw too little ({', '.join(ended)})")
    late = {where: reading.mock_late_us for where, reading in taken.items() if reading.mock_late_us > LATE_US}
    if late:
        worst = max(late, key=late.__getitem__)
        found.append(f"the mock upstream itself was up to {late[worst] / 1000:.0f} ms late ({worst})")
    stolen = {where: reading.stolen for where, reading in taken.items() if reading.stolen > STOLEN_SHARE}
    if stolen:
        worst = max(stolen, key=stolen.__getitem__)
        found.append(f"the hypervisor gave up to {stolen[worst]:.0%} of the time to others ({worst})")
    return [f"{scenario.name}: {remark}." for remark in found + lower_bounds(scenario, taken)]


def lower_bounds(scenario: Scenario, taken: Mapping[str, Reading]) -> list[str]:
    """A climb that ended while the core was not full ended for another reason: the harness, or noise."""
    used = [
        f"{reading.gateway_utilisation:.0%} in {where}"
        for where, reading in taken.items()
        if scenario.levels and reading.gateway_utilisation < SATURATED
    ]
    return [f"a lower bound, as the core was not full: {', '.join(used)}"] if used else []
