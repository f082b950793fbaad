"""How the interpreter is set for a process that serves streams."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

ASKED: Final = """
import select, threading, time
from tidegate.server.interpreter import settle_interpreter

settle_interpreter()
computing = True

def compute():
    while computing:
        pass

thread = threading.Thread(target=compute)
thread.start()
waits = []
for _ in range(50):
    begun = time.perf_counter()
    select.select([], [], [], 0.001)
    waits.append(time.perf_counter() - begun)
computing = False
thread.join()
print(min(waits))
"""


def test_a_thread_that_computes_does_not_keep_the_loop_waiting_for_long() -> None:
    """By default it computes for 5 ms each time before it lets another go on. In a process of its own."""
    command = [sys.executable, "-c", ASKED]
    asked = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert asked.returncode == 0, asked.stderr
    assert float(asked.stdout) < 0.005
