"""One measurement: a load put on one system, and the reading that comes back."""

import http.client
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import machine as machines
from bench.errors import BenchError
from bench.machine import Machine
from bench.native import Programs
from bench.systems import KEY, Endpoint, Surroundings, System

SPARE_SECONDS = 30.0  # beyond what a run should take, before it is given up


@dataclass(frozen=True, slots=True)
class Load:
    """What the load generator does; times in seconds unless the name says otherwise."""

    streams: int
    interval_us: int
    deltas: int = 0  # per answer; 0: as many as last until just after the window
    in_step: int = 100  # streams whose deltas come together, as from a server that decodes a batch; 0: none
    shape: str = "vary"
    closed: bool = False  # every connection asks again as soon as it is answered
    whole: bool = False  # plain answers instead of streams
    path: str | None = None  # of another form than Chat, where the system serves one
    model: str = "mock-model"  # which decides what the upstream speaks
    polls: bool = False  # the client looks now and then: the gateway does not pay for waking it
    ramp: float = 2.0
    settle: float = 0.5
    window: float = 4.0
    grace: float = 10.0

    def arguments(self) -> list[str]:
        flags = {"--loop": self.closed, "--whole": self.whole, "--poll": self.polls}
        values = {
            "--streams": self.streams,
            "--deltas": self.deltas,
            "--interval-us": self.interval_us,
            "--in-step": self.in_step,
            "--shape": self.shape,
            "--ramp": self.ramp,
            "--settle": self.settle,
            "--window": self.window,
            "--grace": self.grace,
        }
        pairs = [text for name, value in values.items() for text in (name, str(value))]
        return pairs + [name for name, wanted in flags.items() if wanted]

    @property
    def seconds(self) -> float:
        """The longest that a run may take."""
        return 2 * self.ramp + self.settle + self.window + self.grace + SPARE_SECONDS


class Reading(msgspec.Struct, frozen=True):
    """What the load generator reports of its window; and, in the second part, of all streams of the run."""

    seconds: float
    deltas: int
    offered_per_second: float
    answers: int
    reads: int
    latency_p50_us: float
    latency_p99_us: float
    latency_p999_us: float
    latency_max_us: float
    first_delta_p50_us: float
    first_delta_p99_us: float
    answer_p50_us: float
    answer_p99_us: float
    gateway_cpu_seconds: float
    gateway_processes: int
    gateway_threads: int
    resident_before_kib: int
    resident_kib: int
    open_at_end: int
    load_utilisation: float
    mock_utilisation: float
    stolen: float

    # Streams of the whole run, and the deltas that did not come.
    good: int
    bad_status: int
    incomplete: int
    disordered: int
    unfinished: int
    refused: int
    cut: int
    unanswered: int
    lost_deltas: int

    mock_late_us: int = 0

    @property
    def failures(self) -> int:
        """Streams that did not come through complete, in order and properly ended."""
        broken = self.bad_status + self.incomplete + self.disordered + self.unfinished
        return broken + self.refused + self.cut + self.unanswered

    @property
    def cpu_us_per_delta(self) -> float:
        return self.gateway_cpu_seconds * 1e6 / max(self.deltas, 1)

    @property
    def cpu_us_per_answer(self) -> float:
        return self.gateway_cpu_seconds * 1e6 / max(self.answers, 1)

    @property
    def deltas_per_second(self) -> float:
        return self.deltas / self.seconds

    @property
    def kib_per_stream(self) -> float:
        return (self.resident_kib - self.resident_before_kib) / max(self.open_at_end, 1)

    @property
    def mib_before(self) -> float:
        return self.resident_before_kib / 1024

    @property
    def gateway_utilisation(self) -> float:
        """Of the gateway's core."""
        return self.gateway_cpu_seconds / self.seconds

    @property
    def harness_utilisation(self) -> float:
        """Of the core that the mock and the load generator share."""
        return self.load_utilisation + self.mock_utilisation


WARM_UP = Load(  # a gateway may listen before it answers
    streams=8, deltas=10, interval_us=1000, closed=True, ramp=0.1, settle=0.0, window=0.3, grace=30.0
)


@dataclass(frozen=True, slots=True)
class Harness:
    """The mock upstream that runs, and everything needed to put a load on a system before it."""

    machine: Machine
    programs: Programs
    mock_process: int
    mock_port: int

    def measure(
        self,
        system: System,
        load: Load,
        *,
        access_log: bool = False,
        log: str = "disk",
        during: Callable[[int], None] | None = None,
    ) -> Reading:
        """Starts the system afresh, warms it up and measures it: no figure depends on an earlier one.

        `during` is called with the system's process id when the window begins.
        """
        with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
            surroundings = Surroundings(self.machine, self.mock_port, Path(folder), access_log, log)
            with system(surroundings) as endpoint:
                self.warm_up(endpoint)
                if endpoint.process:
                    machines.place(endpoint.process, self.machine.gateway_core, self.machine.realtime)
                return self.run(endpoint, load, during)

    def warm_up(self, endpoint: Endpoint, load: Load = WARM_UP) -> None:
        reading = self.run(endpoint, load)
        if reading.failures or not reading.good:
            raise BenchError(f"The warm-up failed: {failures(reading)}.")

    def run(self, endpoint: Endpoint, load: Load, during: Callable[[int], None] | None = None) -> Reading:
        words = [str(self.programs.load), *load.arguments()]
        words += ["--port", str(endpoint.port), "--key", KEY]
        if load.path is not None and endpoint.translates:
            words += ["--path", load.path, "--model", load.model]
        else:
            words += ["--path", endpoint.path]
        words += ["--gateway", str(endpoint.process), "--mock", str(self.mock_process)]
        words += self.machine.client_place(load.polls)
        self.mock_lateness_us()  # reading it sets it back
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                if during is not None:
                    time.sleep(load.ramp + load.settle)
                    during(endpoint.process)
                output, complaints = process.communicate(timeout=load.seconds)
            finally:
                process.kill()
        if process.returncode != 0:
            raise BenchError(f"The load generator failed: {complaints.decode(errors='replace').strip()}")
        reading = msgspec.json.decode(output, type=Reading)
        if reading.failures and complaints:
            print(complaints.decode(errors="replace").strip())
        return msgspec.structs.replace(reading, mock_late_us=self.mock_lateness_us())

    def mock_lateness_us(self) -> int:
        """By how much the mock's worst delta since the last question left too late."""
        connection = http.client.HTTPConnection("127.0.0.1", self.mock_port, timeout=10)
        try:
            connection.request("GET", "/stats")
            late: int = json.load(connection.getresponse())["late_max_us"]
        finally:
            connection.close()
        return late


def failures(reading: Reading) -> str:
    """What went wrong with the streams of a reading, in words."""
    kinds = {
        "answered with an error status": reading.bad_status,
        "incomplete": reading.incomplete,
        "out of order": reading.disordered,
        "without a proper end": reading.unfinished,
        "refused": reading.refused,
        "cut off": reading.cut,
        "never finished": reading.unanswered,
    }
    found = [f"{count} streams {kind}" for kind, count in kinds.items() if count]
    return ", ".join(found) or "no stream came through"


@contextmanager
def harness(machine: Machine, programs: Programs, mock_port: int = 0) -> Iterator[Harness]:
    """Runs the mock upstream, on the given port or a free one."""
    words = [str(programs.mock), "--port", str(mock_port), *machine.mock_place()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as mock:
        try:
            line = mock.stdout.readline() if mock.stdout else ""
            if not line:
                raise BenchError(f"The mock upstream did not start on port {mock_port}: is it taken?")
            yield Harness(machine, programs, mock.pid, int(line))
        finally:
            mock.terminate()
