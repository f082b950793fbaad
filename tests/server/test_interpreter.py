"""How the interpreter is set for a process that serves streams."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

ASKED: Final = """
import os, threading, time
from tidegate.server.interpreter import settle_interpreter

settle_interpreter()
computing = True

def compute():
    while computing:
        pass

thread = threading.Thread(target=compute)
thread.start()
reads, writes = os.pipe()
waits = []
for _ in range(50):
    begun = time.perf_counter()
    os.write(writes, b"x")  # lets the other thread go on
    waits.append(time.perf_counter() - begun)
computing = False
thread.join()
print(min(each for each in waits if each > 0.0005))
"""


def test_a_thread_that_computes_does_not_keep_the_loop_waiting_for_long() -> None:
    """By default it computes for 5 ms each time before it lets another go on. In a process of its own."""
    asked = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, timeout=60)
    assert asked.returncode == 0, asked.stderr
    assert float(asked.stdout) < 0.004
