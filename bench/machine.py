"""Where each process runs and how urgently: cores, real-time priorities, the limit of open files."""

import fcntl
import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError

GATEWAY_PRIORITY = 5  # SCHED_RR: other work on the machine does not preempt the gateway under measurement
POLLING_CLIENT_PRIORITY = 10  # SCHED_FIFO, below the mock: it is only to empty its sockets in time
MOCK_PRIORITY = 20  # SCHED_FIFO
WAITING_CLIENT_PRIORITY = 30  # SCHED_FIFO, above the mock: it sees a delta at once, before the next is sent


@dataclass(frozen=True, slots=True)
class Machine:
    """The cores in use, what the system allows, and what a reader of the figures must know."""

    gateway_core: int
    harness_core: int
    realtime: bool
    open_files: int
    notes: tuple[str, ...]

    def mock_place(self) -> list[str]:
        """The arguments that put the mock upstream in its place."""
        return self._harness_place(MOCK_PRIORITY)

    def client_place(self, polls: bool) -> list[str]:
        """The arguments that put the load generator in its place, on the mock's core."""
        return self._harness_place(POLLING_CLIENT_PRIORITY if polls else WAITING_CLIENT_PRIORITY)

    def _harness_place(self, priority: int) -> list[str]:
        return ["--core", str(self.harness_core), "--priority", str(priority if self.realtime else 0)]


def survey() -> Machine:
    """Looks at the machine, and raises this process's limit of open files, which children inherit."""
    if platform.system() != "Linux":
        raise BenchError("The bench runs on Linux only: it uses epoll and reads /proc.")
    cores = sorted(os.sched_getaffinity(0))
    apart = [core for core in cores if core not in hardware_threads(cores[0])]
    harness_core = next(iter([*apart, *cores[1:]]), cores[0])
    realtime = realtime_allowed()
    open_files = raise_open_files()
    notes = []
    if len(cores) == 1:
        notes.append("One core only, shared by gateway and harness: latency and sustained rate mean little.")
    elif not apart:
        notes.append("Gateway and harness run on two threads of one core: each slows the other.")
    if not realtime:
        notes.append("No permission for real-time scheduling (run as root for it): expect more noise.")
    return Machine(cores[0], harness_core, realtime, open_files, tuple(notes))


def hardware_threads(core: int) -> set[int]:
    """The numbers under which the kernel knows the threads of this core, itself included: `0-1` or `0,4`."""
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    found = {core}
    for part in path.read_text().strip().split(",") if path.exists() else ():
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def realtime_allowed() -> bool:
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    os.sched_setscheduler(0, policy, parameters)
    return True


def raise_open_files() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes started inside begin their life on this core, so that they size themselves for one."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps a second bench of this user away: two would measure each other."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchError("Another bench is running on this machine; wait until it has ended.") from None
        yield


def place(root: int, core: int, realtime: bool) -> None:
    """Puts a process, its descendants and all their threads on a core, real-time where allowed."""
    for process in family(root):
        for thread in threads(process):
            try:
                os.sched_setaffinity(thread, {core})
                if realtime:
                    os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(GATEWAY_PRIORITY))
            except ProcessLookupError:
                continue  # a thread that has ended meanwhile


def threads(process: int) -> list[int]:
    try:
        return [int(entry.name) for entry in Path(f"/proc/{process}/task").iterdir()]
    except FileNotFoundError:
        return []


def family(root: int) -> list[int]:
    """This process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := parent_of(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for process in found:
        found.extend(children.get(process, []))
    return found


def parent_of(process: Path) -> int | None:
    try:
        after_name = (process / "stat").read_text(errors="replace").rpartition(")")[2]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(after_name.split()[1])


def rivals(ours: int) -> list[str]:
    """The names of other programs that are real-time now, the harness's own process aside.

    They go before anything that is measured here, and before the mock upstream where they are more urgent.
    """
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or int(entry.name) == ours:
                continue
            realtime = os.sched_getscheduler(int(entry.name)) in {os.SCHED_FIFO, os.SCHED_RR}
            # A thread of the kernel has no command line.
            if realtime and (entry / "cmdline").read_bytes():
                found.append((entry / "comm").read_text().strip())
        except (FileNotFoundError, ProcessLookupError):
            continue  # a process that has ended meanwhile
    return sorted(set(found))


def description() -> str:
    """What the figures were taken on, in one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    system = f"Linux {platform.release()}, Python {platform.python_version()}"
    return f"{processor or platform.machine()}, {os.cpu_count()} cores, {system}"
