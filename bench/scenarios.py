"""What is measured: loads, the figures read from each, and the target that each figure is held to."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from bench.harness import Load, Reading

INTERVAL_US = 20_000  # 50 deltas a second in each stream
LEVELS = (400, 500, 600, 700, 800, 900, 1000, 1100, 1200, 1300, 1400, 1500)  # streams, for the climb
FIRST_LEVEL = 800  # 40,000 deltas a second: the target
SUSTAINED_SHARE = 0.99  # of what is offered
SATURATED = 0.85  # of its core: a gateway that uses less at its highest level was not what gave way
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
MODELS = {"chat": "mock-model", "messages": "messages-model", "responses": "responses-model"}


class Basis(Enum):
    """What of a figure is held to its target."""

    RATIO = "× nginx"  # its ratio to nginx's in the same round
    VALUE = ""  # itself
    ADDED = "added"  # what is left after subtracting the direct run's in the same round


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table."""

    name: str
    unit: str
    of: Callable[[Reading], float]
    digits: int = 1
    basis: Basis = Basis.VALUE
    target: float | None = None
    at_least: bool = False  # the target is a floor and not a ceiling


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load with its figures; with `levels` it is repeated with more and more streams."""

    name: str
    summary: str
    load: Load
    figures: tuple[Figure, ...]
    access_log: bool = False
    log: str = "disk"  # where streams are logged: a key of LOGS in systems.py
    levels: tuple[int, ...] = ()  # of streams, among which to look for the highest that is held
    smoke: bool = True  # part of a --quick run

    @property
    def needs_direct(self) -> bool:
        return any(figure.basis is Basis.ADDED for figure in self.figures)

    @property
    def open_files(self) -> int:
        """What a proxy needs for it: two sockets for a stream, and some to spare."""
        return 2 * max(self.load.streams, *self.levels, 0) + 600


def cpu_per_delta(name: str, target: float | None = None) -> Figure:
    return Figure(name, "µs", lambda reading: reading.cpu_us_per_delta, 1, Basis.RATIO, target)


def cpu_per_answer(name: str, target: float | None = None) -> Figure:
    return Figure(name, "µs", lambda reading: reading.cpu_us_per_answer, 0, Basis.RATIO, target)


STEADY = Load(streams=500, interval_us=INTERVAL_US, polls=True)
REQUESTS = Load(streams=32, interval_us=2000, deltas=10, closed=True, polls=True, ramp=0.3)
PLAIN_ANSWERS = replace(REQUESTS, interval_us=0, whole=True)

MEMORY = Scenario(
    "memory",
    "2,000 streams that say little, so that their logs are empty",
    Load(streams=2000, interval_us=1_000_000, ramp=2.0, settle=0.5, window=1.0),
    (
        Figure("memory per open stream", "KiB", lambda reading: reading.kib_per_stream, 1, target=25),
        Figure("memory at rest", "MiB", lambda reading: reading.mib_before, 1, target=80),
    ),
)
DELTA = Scenario(
    "delta",
    "500 streams × 50 deltas/s, every frame different",
    STEADY,
    (cpu_per_delta("CPU per delta", 1.6),),
)
DELTA_LOGS = tuple(
    Scenario(
        f"delta-{log}",
        f"the same, {summary}",
        STEADY,
        (cpu_per_delta(f"CPU per delta, {name}", target),),
        log=log,
        smoke=False,
    )
    for log, name, summary, target in (
        ("memory", "log in memory", "streams logged in memory", 1.5),
        ("power", "safe from power cuts", "shown when it is safe from a power cut", None),
    )
)
DELTA_SHAPES = tuple(
    Scenario(
        f"delta-{shape}",
        f"the same, {summary}",
        replace(STEADY, shape=shape),
        (cpu_per_delta(f"CPU per delta, {shape}", 1.6),),
        smoke=False,
    )
    for shape, summary in (
        ("plain", "frames that differ in their text alone"),
        ("chinese", "Chinese text"),
        ("reasoning", "half of it reasoning_content"),
    )
)
DELTA_SCATTERED = Scenario(
    "delta-scattered",
    "the same, every stream at a beat of its own",
    replace(STEADY, in_step=0),
    (cpu_per_delta("CPU per delta, scattered", 1.6),),
    smoke=False,
)
PAIRS = tuple(
    Scenario(
        f"delta-{client}-{upstream}",
        f"the same, a client of {client} over an upstream of {upstream}; nginx relays Chat",
        replace(STEADY, shape="plain", path=PATHS[client], model=MODELS[upstream]),
        (cpu_per_delta(f"CPU per delta, {client} over {upstream}", 1.6),),
        smoke=False,
    )
    for client, upstream in (
        ("messages", "chat"),
        ("responses", "chat"),
        ("chat", "messages"),
        ("messages", "messages"),
        ("responses", "messages"),
        ("chat", "responses"),
        ("responses", "responses"),
    )
)
REQUEST = Scenario(
    "request",
    "streams of 10 deltas, 2 ms apart; 32 connections that ask again at once",
    REQUESTS,
    (cpu_per_answer("CPU per 10-delta request", 2.5),),
)
REQUEST_MEMORY = Scenario(
    "request-memory",
    "the same, streams logged in memory",
    REQUESTS,
    (cpu_per_answer("CPU per 10-delta request, log in memory", 2.5),),
    log="memory",
    smoke=False,
)
REQUEST_LOGGED = Scenario(
    "request-logged",
    "the same, with an access log on both sides",
    REQUESTS,
    (cpu_per_answer("CPU per 10-delta request, access log", 2.5),),
    access_log=True,
    smoke=False,
)
ANSWER = Scenario(
    "answer",
    "plain answers, which the upstream gives at once; 32 connections",
    PLAIN_ANSWERS,
    (cpu_per_answer("CPU per plain answer", 3),),
)
ANSWER_PACED = Scenario(
    "answer-paced",
    "the same from an upstream that takes 2 ms for each of 10 deltas",
    replace(PLAIN_ANSWERS, interval_us=2000),
    (cpu_per_answer("CPU per plain answer, paced upstream"),),
    smoke=False,
)
LATENCY = Scenario(
    "latency",
    "500 streams × 50 deltas/s to a client that sleeps between them",
    replace(STEADY, polls=False),
    (
        Figure("latency added, p50", "µs", lambda reading: reading.latency_p50_us, 0, Basis.ADDED, 150),
        Figure("latency added, p99", "µs", lambda reading: reading.latency_p99_us, 0, Basis.ADDED, 2000),
        cpu_per_delta("CPU per delta, with wake-ups"),
    ),
)
LATENCY_POWER = Scenario(
    "latency-power",
    "the same, shown when it is safe from a power cut",
    replace(STEADY, polls=False),
    (
        Figure(
            "latency added, safe from power cuts, p50", "µs", lambda each: each.latency_p50_us, 0, Basis.ADDED
        ),
        Figure(
            "latency added, safe from power cuts, p99", "µs", lambda each: each.latency_p99_us, 0, Basis.ADDED
        ),
    ),
    log="power",
    smoke=False,
)
SUSTAINED = Scenario(
    "sustained",
    "more and more streams × 50 deltas/s, until deltas come late",
    Load(streams=FIRST_LEVEL, interval_us=INTERVAL_US, polls=True, window=3.0),
    (
        Figure(
            "sustained rate",
            "deltas/s",
            lambda reading: reading.deltas_per_second,
            0,
            target=40_000,
            at_least=True,
        ),
    ),
    levels=LEVELS,
)
OPEN_STREAMS = Scenario(
    "open-streams",
    "5,000 streams × 5 deltas/s",
    Load(streams=5000, interval_us=200_000, ramp=5.0, settle=1.0, window=5.0, grace=20.0),
    (
        Figure("deltas lost of 5,000 streams", "", lambda reading: reading.lost_deltas, 0, target=0),
        Figure("5,000 streams: latency p99", "µs", lambda reading: reading.latency_p99_us, 0),
        cpu_per_delta("5,000 streams: CPU per delta"),
    ),
)

SCENARIOS = (
    DELTA,
    *DELTA_LOGS,
    *DELTA_SHAPES,
    DELTA_SCATTERED,
    *PAIRS,
    REQUEST,
    REQUEST_MEMORY,
    REQUEST_LOGGED,
    ANSWER,
    ANSWER_PACED,
    LATENCY,
    LATENCY_POWER,
    SUSTAINED,
    MEMORY,
    OPEN_STREAMS,
)


def quick(scenario: Scenario) -> Scenario:
    """The same with windows too short for a figure to be quoted."""
    load = scenario.load
    short = replace(
        load,
        ramp=min(load.ramp, load.streams / 2500 + 0.2),
        settle=0.2,
        window=min(load.window, 1.0),
        grace=5.0,
    )
    return replace(scenario, load=short, levels=(FIRST_LEVEL,) if scenario.levels else ())


def sustained(reading: Reading) -> bool:
    """Nothing is lost, what is offered arrives, and half of it before its successor is sent."""
    arrives = reading.deltas_per_second >= SUSTAINED_SHARE * reading.offered_per_second
    return not reading.failures and arrives and reading.latency_p50_us < INTERVAL_US


def climb(measure: Callable[[int], Reading], levels: tuple[int, ...], first: int = FIRST_LEVEL) -> Reading:
    """The reading at the highest level that is held: upwards from `first`, or down if that is too much.

    If no level is held, the reading of the lowest.
    """
    start = levels.index(first)
    best = measure(first)
    if not sustained(best):
        for level in reversed(levels[:start]):
            best = measure(level)
            if sustained(best):
                break
        return best
    for level in levels[start + 1 :]:
        reading = measure(level)
        if not sustained(reading):
            break
        best = reading
    return best
