"""Says whether the wheel of the local engine runs on this machine; installing it is not done here.

The facts are those of the xllamacpp wheels: manylinux 2.17 for x86_64 and aarch64, macOS 13 for both, a build
for AVX2 on x86_64 (an older processor would die of an illegal instruction), and none for musl.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from tools.interpreter import output_of

OLDEST_GLIBC = (2, 17)
OLDEST_MACOS = (13, 0)
X86 = ("x86_64", "amd64")
ARM = ("aarch64", "arm64")


@dataclass(frozen=True)
class Machine:
    """What decides: `library` is the (major, minor) of glibc on Linux (None: musl) or of macOS."""

    system: str
    processor: str
    has_avx2: bool
    library: tuple[int, int] | None


def misfit(machine: Machine) -> str | None:
    """Why the engine's wheel does not run on `machine`, as the end of a sentence; None when it does."""
    if machine.processor not in X86 + ARM:
        return f"there is no wheel of it for {machine.processor} processors"
    if machine.processor in X86 and not machine.has_avx2:
        return "it needs a processor with AVX2, which this one lacks"
    if machine.system == "Linux" and machine.library is None:
        return "it needs glibc, and this Linux is built on another C library"
    oldest = {"Linux": ("glibc", OLDEST_GLIBC), "Darwin": ("macOS", OLDEST_MACOS)}.get(machine.system)
    if oldest and (machine.library is None or machine.library < oldest[1]):
        return f"it needs {oldest[0]} {oldest[1][0]}.{oldest[1][1]} or newer"
    return None


def this_machine() -> Machine:
    system = platform.system()
    processor = platform.machine().lower()
    if system == "Linux":
        return Machine(system, processor, cpuinfo_has_avx2(_read(Path("/proc/cpuinfo"))), _glibc())
    if system == "Darwin":
        # Under Rosetta an x86_64 Python is answered 0 or nothing, which is the truth for that process.
        has_avx2 = output_of(["sysctl", "-n", "hw.optional.avx2_0"]) == "1"
        return Machine(system, processor, has_avx2, version_pair(platform.mac_ver()[0]))
    # Elsewhere nothing cheap tells; every x86_64 processor that Windows 11 supports has AVX2.
    return Machine(system, processor, has_avx2=True, library=None)


def cpuinfo_has_avx2(cpuinfo: str) -> bool:
    """Whether every processor in the text of /proc/cpuinfo lists avx2 among its flags."""
    lines = [line.partition(":")[2].split() for line in cpuinfo.splitlines() if line.startswith("flags")]
    return bool(lines) and all("avx2" in flags for flags in lines)


def version_pair(text: str) -> tuple[int, int] | None:
    """(2, 36) from "glibc 2.36", (14, 1) from "14.1.2"; None when the text holds no such version."""
    numbers = (text.split() or [""])[-1].split(".")
    if len(numbers) < 2 or not (numbers[0].isdigit() and numbers[1].isdigit()):
        return None
    return int(numbers[0]), int(numbers[1])


def _glibc() -> tuple[int, int] | None:
    try:
        answer = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, OSError, ValueError):  # musl knows no such name
        return None
    return version_pair(answer or "")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
