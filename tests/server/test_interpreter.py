"""How the interpreter is set for a process that serves streams."""

from __future__ import annotations

import subprocess
import sys

ASKED = "import sys; from tidegate.server.interpreter import settle_interpreter as settle; "


def test_a_thread_that_computes_lets_the_loop_go_on_within_a_millisecond() -> None:
    """By default it computes for five each time. In a process of its own, which it changes."""
    command = [sys.executable, "-c", f"{ASKED}settle(); print(sys.getswitchinterval())"]
    asked = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert asked.returncode == 0, asked.stderr
    assert float(asked.stdout) <= 0.001
