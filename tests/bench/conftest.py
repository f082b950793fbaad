"""The harness as tests run it: compiled, on any core, never real-time."""

import os
import shutil
from collections.abc import Iterator

import pytest

from bench.harness import Harness, harness
from bench.machine import Machine
from bench.native import programs

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc) on this machine")


@pytest.fixture
def running_harness() -> Iterator[Harness]:
    core = max(os.sched_getaffinity(0))
    machine = Machine(gateway_core=core, harness_core=core, realtime=False, open_files=1024, notes=())
    with harness(machine, programs()) as started:
        yield started
