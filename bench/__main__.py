"""The command `python -m bench`: measures the gateway beside nginx and prints the table."""

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import msgspec

from bench import machine as machines
from bench import scenarios as known
from bench import systems
from bench.errors import BenchError
from bench.figures import DIRECT, GATEWAY, NGINX, remarks, rows
from bench.harness import Harness, harness
from bench.native import cache_folder, programs
from bench.profiling import PERF_OPTIONS, profile
from bench.rounds import Measured, by_round, measure_all
from bench.scenarios import Scenario, quick
from bench.systems import CHAT_PATH, Endpoint, System
from bench.table import table


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, checked."""

    scenarios: tuple[Scenario, ...]
    rounds: int
    quick: bool
    results: Path | None
    gateway: System | None  # None: the Tidegate of this environment
    mock_port: int
    profile: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 all targets met, 1 a target missed or a stream broken, 2 the bench could not run."""
    options = read_options(arguments)
    signal.signal(signal.SIGTERM, end_in_order)
    try:
        machine = machines.survey()
        compiled = programs()
        with machines.alone(cache_folder()), harness(machine, compiled, options.mock_port) as started:
            if options.profile:
                return print_profile(started, options)
            return print_table(started, options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


def end_in_order(_signal: int, _frame: FrameType | None) -> None:
    # As an exception it passes the context managers that stop what the bench has started.
    raise SystemExit(143)


# ---- the command line ----


def read_options(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures the gateway beside nginx.")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (default 3; 1 with --quick)")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run of under a minute: no figure to quote"
    )
    parser.add_argument("--only", metavar="NAMES", help="scenarios, separated by commas; see --list")
    parser.add_argument("--list", action="store_true", help="list the scenarios and end")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows and all readings there")
    parser.add_argument("--profile", action="store_true", help="instead of the table, perf on the gateway")
    parser.add_argument(
        "--gateway-command", metavar="COMMAND", help="measure this; {port} and {mock_port} are filled in"
    )
    parser.add_argument("--gateway-url", metavar="URL", help="measure what runs there already; needs --pid")
    parser.add_argument("--pid", type=int, help="the process that answers at --gateway-url")
    parser.add_argument(
        "--mock-port", type=int, default=0, help="where the mock upstream listens (default: any)"
    )
    found = parser.parse_args(arguments)
    if found.list:
        print("\n".join(f"{scenario.name:16}{scenario.summary}" for scenario in known.SCENARIOS))
        raise SystemExit(0)
    rounds = found.rounds or (1 if found.quick else 3)
    if rounds < 1:
        parser.error("--rounds must be at least 1")
    try:
        return Options(
            scenarios=chosen_scenarios(found),
            rounds=rounds,
            quick=found.quick,
            results=found.json,
            gateway=chosen_gateway(found),
            mock_port=found.mock_port,
            profile=found.profile,
        )
    except ValueError as error:
        parser.error(str(error))


def chosen_scenarios(found: argparse.Namespace) -> tuple[Scenario, ...]:
    names = {scenario.name: scenario for scenario in known.SCENARIOS}
    if found.only:
        wanted = found.only.split(",")
    elif found.profile:
        wanted = [known.DELTA.name]
    else:
        own = not (found.gateway_command or found.gateway_url)
        # Another command cannot be told to write an access log.
        wanted = [
            one.name
            for one in known.SCENARIOS
            if (one.smoke or not found.quick) and (own or not one.access_log)
        ]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise ValueError(f"no scenario {', '.join(unknown)}; there are {', '.join(names)}")
    return tuple(quick(names[name]) if found.quick else names[name] for name in wanted)


def chosen_gateway(found: argparse.Namespace) -> System | None:
    if found.gateway_command and found.gateway_url:
        raise ValueError("give --gateway-command or --gateway-url, not both")
    if bool(found.gateway_url) != bool(found.pid):
        raise ValueError("--gateway-url and --pid belong together")
    if found.gateway_command:
        return systems.command(found.gateway_command)
    if not found.gateway_url:
        return None
    url = urlsplit(found.gateway_url)
    if url.scheme != "http" or url.hostname not in {"127.0.0.1", "localhost"} or not url.port:
        raise ValueError("--gateway-url must be like http://127.0.0.1:7860")
    path = url.path if len(url.path) > 1 else CHAT_PATH
    return systems.external(Endpoint(url.port, found.pid, path))


# ---- the table ----


def print_table(started: Harness, options: Options) -> int:
    taken_on = f"{machines.description()}, nginx {systems.nginx_version()}"
    possible = [one for one in options.scenarios if one.open_files <= started.machine.open_files]
    measured: list[Measured] = []
    notes = [*started.machine.notes, *left_out(started, options)]
    try:
        measure_into(measured, started, possible, options)
    except KeyboardInterrupt:
        notes.append("Interrupted: later rounds are missing.")
    found = [row for scenario in possible for row in rows(scenario, by_round(measured, scenario.name))]
    notes += remarks_on(measured, possible)
    if options.quick:
        notes.append("A --quick run: its windows are too short to quote a figure or judge a target.")
    if options.gateway is None:
        taken_on += f"; {systems.tidegate_versions()}"
    notes.append(f"Taken on {taken_on}.")
    print(table(found, "gateway" if options.gateway else "Tidegate"))
    print("".join(f"\n- {note}" for note in notes))
    if options.results:
        contents = {"notes": notes, "rows": found, "readings": measured}
        options.results.write_bytes(msgspec.json.format(msgspec.json.encode(contents)) + b"\n")
    broken = any(one.reading.failures for one in measured if one.system == GATEWAY)
    return 1 if broken or (not options.quick and any(row.missed for row in found)) else 0


def left_out(started: Harness, options: Options) -> list[str]:
    limit = started.machine.open_files
    return [
        f"{one.name} left out: it takes {one.open_files} open files, the hard limit (ulimit -Hn) is {limit}."
        for one in options.scenarios
        if one.open_files > limit
    ]


def measure_into(
    measured: list[Measured], started: Harness, possible: Sequence[Scenario], options: Options
) -> None:
    """Fills the list one by one, so that what was measured before an interruption is there."""
    compared: dict[str, System] = {
        GATEWAY: options.gateway or systems.tidegate,
        NGINX: systems.nginx,
        DIRECT: systems.direct,
    }
    for one in measure_all(started, possible, compared, options.rounds):
        measured.append(one)
        print(progress(one, options.rounds), file=sys.stderr, flush=True)


def remarks_on(measured: Sequence[Measured], possible: Sequence[Scenario]) -> list[str]:
    found = [note for scenario in possible for note in remarks(scenario, by_round(measured, scenario.name))]
    rivals = sorted({name for one in measured for name in one.rivals})
    if rivals:
        found.append(f"Worth nothing: other real-time programs ran meanwhile ({', '.join(rivals)}).")
    return found


def progress(one: Measured, rounds: int) -> str:
    reading = one.reading
    return (
        f"round {one.round}/{rounds}  {one.scenario:16}{one.system:8} "
        f"{reading.deltas_per_second:8,.0f} deltas/s  "
        f"{reading.cpu_us_per_delta:6.1f} µs each  p99 {reading.latency_p99_us / 1000:7.2f} ms  "
        f"gateway {reading.gateway_utilisation:4.0%}  harness {reading.harness_utilisation:4.0%}  "
        f"failures {reading.failures}"
    )


def print_profile(started: Harness, options: Options) -> int:
    gateway = options.gateway or partial(systems.tidegate, interpreter_options=PERF_OPTIONS)
    for scenario in options.scenarios:
        print(f"# {scenario.name}: {scenario.summary}\n\n{profile(started, gateway, scenario.load)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
