"""What this machine offers a local engine: instructions, cores, memory, and whether one is installed."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

NOT_INSTALLED: Final = "the local engine is not installed: pip install 'tidegate[local]'"
UNSUPPORTED_PLATFORM: Final = "local engines need Linux or macOS: on Windows run Tidegate inside WSL"

# The wheel of xllamacpp is compiled for these; on a processor without them it dies of an illegal instruction.
_INSTRUCTIONS: Final = ("avx2", "fma", "f16c", "bmi2")
_GROUP_LIMIT: Final = Path("/sys/fs/cgroup/cpu.max")


def local_engine_problem() -> str | None:
    """Say in one sentence why no local engine can run here, or None when one can (cheap, imports nothing)."""
    if sys.platform == "win32":
        return UNSUPPORTED_PLATFORM
    if missing := missing_instructions():
        return (
            f"this processor has no {missing}, which the local engine needs: "
            "run the model in another server and add that as a provider"
        )
    if importlib.util.find_spec("xllamacpp") is None:
        return NOT_INSTALLED
    return None


def missing_instructions() -> str | None:
    """Name the first instruction set that the engine needs and an x86-64 processor lacks, else None."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return None
    flags = _processor_flags()
    if not flags:
        return None  # unknown: let the engine try
    return next((name.upper() for name in _INSTRUCTIONS if name not in flags), None)


def _processor_flags() -> set[str]:
    try:
        if sys.platform == "darwin":
            names = ("machdep.cpu.features", "machdep.cpu.leaf7_features")
            answer = subprocess.run(
                ["/usr/sbin/sysctl", "-n", *names], capture_output=True, check=False, timeout=5
            )
            return set(answer.stdout.decode("ascii", "replace").lower().split())
        for line in Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines():
            if line.startswith("flags"):
                return set(line.partition(":")[2].split())
    except (OSError, subprocess.SubprocessError):
        pass
    return set()


def usable_cores() -> int:
    """Count the physical cores that this process may use, at least one.

    Hyper-threads are no help to matrix products, and one thread too many costs more than one too few, for
    llama.cpp's threads wait for each other by spinning. Affinity and a container's quota therefore count.
    """
    if sys.platform != "linux":
        return max(1, (os.cpu_count() or 1) // (1 if platform.machine() == "arm64" else 2))
    cpus = os.sched_getaffinity(0)
    cores = {_siblings(cpu) for cpu in cpus}
    return max(1, min(len(cores), _group_quota()))


def _siblings(cpu: int) -> str:
    """The hyper-threads of one core, as the kernel writes them; equal for all of them."""
    try:
        return (
            Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text("ascii").strip()
        )
    except OSError:
        return str(cpu)


def _group_quota() -> int:
    """Whole processors that the control group grants (cgroup v2, ``cpu.max``: quota and period)."""
    try:
        quota, period = _GROUP_LIMIT.read_text("ascii").split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return sys.maxsize


def physical_memory() -> int | None:
    """Bytes of memory in this machine, or None where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
