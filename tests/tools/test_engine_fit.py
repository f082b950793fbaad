"""Tests the decision whether the wheel of the local engine runs on a machine."""

from __future__ import annotations

import pytest

from tools.engine_fit import Machine, cpuinfo_has_avx2, misfit, this_machine, version_pair

PC = "processor : 0\nflags\t\t: fpu avx avx2 bmi2\n\nprocessor : 1\nflags\t\t: fpu avx avx2 bmi2\n"


@pytest.mark.parametrize(
    "machine",
    [
        Machine("Linux", "x86_64", has_avx2=True, library=(2, 36)),
        Machine("Linux", "x86_64", has_avx2=True, library=(2, 17)),
        Machine("Linux", "aarch64", has_avx2=False, library=(2, 31)),
        Machine("Darwin", "arm64", has_avx2=False, library=(14, 1)),
        Machine("Darwin", "x86_64", has_avx2=True, library=(13, 0)),
        Machine("Windows", "amd64", has_avx2=True, library=None),
    ],
)
def test_wheel_fits(machine: Machine) -> None:
    assert misfit(machine) is None


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (Machine("Linux", "x86_64", has_avx2=False, library=(2, 36)), "AVX2"),
        (Machine("Linux", "x86_64", has_avx2=True, library=None), "another C library"),
        (Machine("Linux", "aarch64", has_avx2=False, library=(2, 12)), "glibc 2.17 or newer"),
        (Machine("Linux", "riscv64", has_avx2=False, library=(2, 36)), "riscv64"),
        (Machine("Darwin", "arm64", has_avx2=False, library=(12, 6)), "macOS 13.0 or newer"),
        (Machine("Darwin", "x86_64", has_avx2=False, library=(14, 0)), "AVX2"),
    ],
)
def test_misfit_is_explained(machine: Machine, reason: str) -> None:
    assert reason in (misfit(machine) or "")


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (PC, True),
        (PC.replace("avx2", "avx", 1), False),
        (PC.replace("avx2", "avx2x"), False),
        ("processor : 0\nmodel name : avx2\n", False),
        ("", False),
    ],
)
def test_avx2_is_read_from_cpuinfo(cpuinfo: str, *, expected: bool) -> None:
    assert cpuinfo_has_avx2(cpuinfo) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("glibc 2.36", (2, 36)), ("14.1.2", (14, 1)), ("", None), ("musl", None), ("glibc 2", None)],
)
def test_version_is_read(text: str, expected: tuple[int, int] | None) -> None:
    assert version_pair(text) == expected


def test_this_machine_is_described() -> None:
    machine = this_machine()
    assert machine.system
    assert machine.processor == machine.processor.lower()
