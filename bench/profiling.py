"""Where the gateway's time goes under a load: `perf record`, told by library and by symbol."""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.errors import BenchError
from bench.harness import Harness, Load, failures
from bench.machine import family
from bench.systems import System

FREQUENCY = 1999  # samples a second; odd, so as not to beat with paced deltas
LEAST_SHARE = "0.7"  # percent; below it a symbol is not told
LINES = 40

# From 3.12 on the interpreter can give each Python function a frame of its own that perf sees.
PERF_OPTIONS = ("-X", "perf") if sys.version_info >= (3, 12) else ()


def profile(harness: Harness, system: System, load: Load) -> str:
    """The samples of the window by library, by symbol and, where that is known, by Python function."""
    perf = shutil.which("perf")
    if perf is None:
        raise BenchError("--profile needs perf: install it (Debian: apt install linux-perf).")
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        data = Path(folder) / "perf.data"

        def record(process: int) -> None:
            processes = ",".join(map(str, family(process)))
            words = [perf, "record", "-q", "-F", str(FREQUENCY), "-o", str(data), "-p", processes]
            if PERF_OPTIONS:
                words.append("-g")
            run([*words, "--", "sleep", str(load.window)])

        # A sleeping client leaves perf a share of the harness's core; a polling one would starve it.
        reading = harness.measure(system, replace(load, polls=False), during=record)
        if reading.failures:
            raise BenchError(f"The profiled run failed: {failures(reading)}.")
        report = [
            perf,
            "report",
            "--stdio",
            "-q",
            "-i",
            str(data),
            "--percent-limit",
            LEAST_SHARE,
            "-g",
            "none",
        ]
        parts = [
            "By library:",
            head(run([*report, "--no-children", "--sort", "dso"])),
            "By symbol:",
            head(run([*report, "--no-children", "--sort", "dso,symbol"])),
        ]
        if PERF_OPTIONS:
            inclusive = run([*report, "--children", "--sort", "symbol"])
            parts += ["By Python function, with what it calls:", head(inclusive, "py::")]
    return "\n\n".join(parts)


def run(words: list[str]) -> str:
    result = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    if result.returncode != 0:
        raise BenchError(f"`{' '.join(words[:2])}` failed: {result.stderr.strip()}")
    return result.stdout


def head(report: str, containing: str = "") -> str:
    """The first lines of a report that say something."""
    lines = [line.rstrip(" -") for line in report.splitlines() if line.strip() and containing in line]
    return "\n".join(lines[:LINES])
