"""Owns a program in a pseudo-terminal: types for it, watches its screen, and makes sure that it ends."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests import forked
from tests.cli.screen import Screen
from tests.gateway import clean_environment

_SIZE = ("COLUMNS", "LINES")
"""Variables that the test runner sets, and that would hide the size of the terminal."""

DEADLINE = 20.0
"""Seconds that anything may take on a busy machine."""


class Terminal:
    """`tidegate ARGUMENTS` in a terminal of the given size, in the folder that is also its data folder."""

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        columns: int = 80,
        rows: int = 24,
    ) -> None:
        self.screen = Screen(columns, rows)
        self.raw = ""
        """Everything that the program wrote, control sequences and all."""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._leader, follower = pty.openpty()
        self.resize(columns, rows)
        there = {
            **{name: value for name, value in clean_environment().items() if name not in _SIZE},
            "TERM": "linux",
            "TIDEGATE_HOME": str(folder),
            "INPUTRC": os.devnull,
            "PYTHONIOENCODING": "utf-8",
            "LC_ALL": "C.UTF-8",
            **(environment or {}),
        }
        self.process = forked.start(arguments, folder, there, (follower,) * 3, controls=True)
        os.close(follower)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._leader, text.encode())

    def enter(self, line: str) -> None:
        self.type(line + "\r")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.type("\x03")

    def interrupt_prompt(self, answer: str) -> None:
        """Ctrl-C at the prompt, until the answer to it is on the screen once more than before.

        Python notices a signal that comes just before readline begins to wait at the next key only, so a
        Ctrl-C without an answer is pressed again, as a person would.
        """
        before = self.screen.text.count(answer)
        deadline = time.monotonic() + DEADLINE
        while self.screen.text.count(answer) == before:
            if time.monotonic() > deadline:
                raise AssertionError(f"Ctrl-C was not answered with {answer!r}:\n{self.screen.text}")
            self.interrupt()
            while self.screen.text.count(answer) == before and self._has_output(1.0):
                self._read(0)

    def end_input(self) -> None:
        """Ctrl-D."""
        self.type("\x04")

    def wait_for(self, text: str) -> None:
        """Waits until the text stands on the screen or above it."""
        self.wait_until(lambda: text in self.screen.text, repr(text))

    def wait_for_prompt(self, number: int = 1) -> None:
        """Waits until the program has asked for a message for the given time."""
        self.wait_until(lambda: self.prompts >= number and self.screen.cursor_shown, f"prompt {number}")

    @property
    def prompts(self) -> int:
        return sum(line.startswith("›") for line in self.screen.lines)

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            if time.monotonic() > deadline or not self._read(deadline - time.monotonic()):
                raise AssertionError(f"{what} never came:\n{self.screen.text}")

    def wait_for_end(self) -> int:
        """Waits until the program has ended, and returns its exit code."""
        deadline = time.monotonic() + DEADLINE
        while self._read(deadline - time.monotonic()):
            pass
        return self.process.wait(max(deadline - time.monotonic(), 0.1))

    def _has_output(self, timeout: float) -> bool:
        return bool(select.select([self._leader], [], [], max(timeout, 0))[0])

    def _read(self, timeout: float) -> bool:
        """Takes what the program writes next; False when it has ended."""
        if not self._has_output(timeout):
            raise AssertionError(f"nothing happens any more:\n{self.screen.text}")
        try:
            data = os.read(self._leader, 65536)
        except OSError:  # Linux says so when the last process has closed the terminal
            data = b""
        text = self._decoder.decode(data)
        self.raw += text
        self.screen.feed(text)
        return bool(data)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        os.close(self._leader)
