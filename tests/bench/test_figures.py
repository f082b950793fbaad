"""From readings to the table: medians, paired ratios, verdicts, the climb."""

import msgspec
import pytest

from bench.figures import DIRECT, GATEWAY, NGINX, Spread, remarks, row, rows, spread
from bench.harness import Reading
from bench.rounds import Measured, by_round
from bench.scenarios import (
    DELTA,
    LATENCY,
    LEVELS,
    OPEN_STREAMS,
    SCENARIOS,
    SUSTAINED,
    climb,
    quick,
    sustained,
)
from bench.table import spread_text, table


def reading(**changes: float) -> Reading:
    """A second without failures in which nothing happened, but for the changes."""
    nothing: dict[str, float] = dict.fromkeys(Reading.__struct_fields__, 0)
    return msgspec.convert(nothing | {"seconds": 1.0} | changes, Reading)


def all_open(**changes: float) -> Reading:
    return reading(**{"open_at_end": DELTA.load.streams} | changes)


def costing(us_per_delta: float) -> Reading:
    return reading(open_at_end=500, deltas=10_000, gateway_cpu_seconds=us_per_delta / 100)


def test_spread_is_median_and_range() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert spread([]) is None


def test_ratio_is_paired_within_a_round() -> None:
    rounds = [
        {GATEWAY: costing(12), NGINX: costing(10)},
        {GATEWAY: costing(26), NGINX: costing(20)},  # a slow round for both
        {GATEWAY: costing(14), NGINX: costing(10)},
    ]
    found = row(DELTA, DELTA.figures[0], rounds)
    assert found.gateway == Spread(14, 12, 26)
    assert found.nginx == Spread(10, 10, 20)
    assert found.ratio is not None
    assert found.ratio.median == pytest.approx(1.3)
    assert found.verdict == "ok"


def test_missed_target_says_by_how_much() -> None:
    found = row(DELTA, DELTA.figures[0], [{GATEWAY: costing(18), NGINX: costing(10)}])
    assert found.target == "≤ 1.6 × nginx"
    assert found.verdict == "MISSED by 12%"
    assert found.missed


def test_latency_is_what_is_added_to_the_direct_run() -> None:
    rounds = [
        {
            GATEWAY: reading(latency_p50_us=90, latency_p99_us=500),
            NGINX: reading(latency_p50_us=70, latency_p99_us=300),
            DIRECT: reading(latency_p50_us=20, latency_p99_us=100),
        }
    ]
    median, tail, _ = rows(LATENCY, rounds)
    assert (median.gateway, median.nginx) == (Spread(70, 70, 70), Spread(50, 50, 50))
    assert (tail.gateway, tail.verdict) == (Spread(400, 400, 400), "ok")


def test_figure_from_broken_streams_misses_its_target_however_good() -> None:
    broken = msgspec.structs.replace(costing(1), cut=3)
    found = row(DELTA, DELTA.figures[0], [{GATEWAY: broken, NGINX: costing(10)}])
    assert found.verdict == "MISSED: 3 streams cut off"


def test_zero_target_is_missed_by_a_count() -> None:
    found = row(OPEN_STREAMS, OPEN_STREAMS.figures[0], [{GATEWAY: reading(lost_deltas=7)}])
    assert found.verdict == "MISSED by 7"


def test_figure_without_nginx_has_no_ratio() -> None:
    found = row(DELTA, DELTA.figures[0], [{GATEWAY: costing(18)}])
    assert (found.nginx, found.ratio, found.verdict) == (None, None, "")


def test_level_is_sustained_while_what_is_offered_arrives_in_time() -> None:
    held = reading(deltas=39_700, offered_per_second=40_000, latency_p50_us=900)
    assert sustained(held)
    assert not sustained(msgspec.structs.replace(held, deltas=39_000))
    assert not sustained(msgspec.structs.replace(held, latency_p50_us=25_000))
    assert not sustained(msgspec.structs.replace(held, unanswered=1))


@pytest.mark.parametrize(
    ("limit", "reached", "tried"),
    [
        (45_000, 45_000, [800, 900, 1000]),
        (39_000, 35_000, [800, 700]),
        (0, 0, [800, 700, 600, 500, 400]),
        (99_000, 75_000, [800, 900, 1000, 1100, 1200, 1300, 1400, 1500]),
    ],
)
def test_climb_finds_the_highest_level_that_is_held(limit: int, reached: int, tried: list[int]) -> None:
    levels = []

    def measure(streams: int) -> Reading:
        levels.append(streams)
        return reading(deltas=min(streams * 50, limit), offered_per_second=streams * 50)

    assert climb(measure, LEVELS).deltas_per_second == reached
    assert levels == tried


def test_remarks_name_noise_and_where_it_was() -> None:
    rounds = [
        {GATEWAY: all_open(mock_late_us=9_000), NGINX: all_open(stolen=0.05)},
        {GATEWAY: all_open(open_at_end=499), NGINX: all_open(cut=1)},
    ]
    assert remarks(DELTA, rounds) == [
        "delta: round 2, nginx: 1 streams cut off.",
        "delta: streams ended before the window did, so it saw too little (round 2, gateway).",
        "delta: the mock upstream itself was up to 9 ms late (round 1, gateway).",
        "delta: the hypervisor gave up to 5% of the time to others (round 1, nginx).",
    ]
    assert remarks(SUSTAINED, [{GATEWAY: reading(gateway_cpu_seconds=0.6)}]) == [
        "sustained: a lower bound, as the core was not full: 60% in round 1, gateway."
    ]
    assert remarks(DELTA, []) == []


def test_readings_are_sorted_into_rounds() -> None:
    first, second = costing(1), costing(2)
    measured = [
        Measured("delta", 2, GATEWAY, second),
        Measured("delta", 1, GATEWAY, first),
        Measured("latency", 1, GATEWAY, second),
    ]
    assert by_round(measured, "delta") == [{GATEWAY: first}, {GATEWAY: second}]


def test_table_lines_up() -> None:
    rounds = [{GATEWAY: costing(13), NGINX: costing(10)}, {GATEWAY: costing(15), NGINX: costing(10)}]
    lines = table(rows(DELTA, rounds), "sketch").splitlines()
    assert len({len(line) for line in lines}) == 1
    titles = [cell.strip() for cell in lines[0].split("|")[1:-1]]
    assert titles == ["figure", "unit", "sketch", "nginx", "× nginx", "target", "result"]
    cells = [cell.strip() for cell in lines[2].split("|")[1:-1]]
    assert cells == [
        "CPU per delta",
        "µs",
        "14.0 (13.0–15.0)",
        "10.0",
        "1.40 (1.30–1.50)",
        "≤ 1.6 × nginx",
        "ok",
    ]


def test_spread_text_hides_a_range_of_nothing() -> None:
    assert spread_text(None, 1) == ""
    assert spread_text(Spread(40_000, 40_000, 40_000), 0) == "40,000"
    assert spread_text(Spread(2, 1, 3), 1) == "2.0 (1.0–3.0)"


def test_scenarios_are_told_apart_and_shortened_for_a_smoke_run() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
    short = [quick(scenario).load for scenario in SCENARIOS if scenario.smoke]
    assert sum(2 * load.ramp + load.settle + load.window for load in short) < 25
