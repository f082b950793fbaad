"""The lines at the bottom of a terminal that still change, below those that are there for good."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType, Segment, Segments

from tidegate.cli.terminal.lines import Line


class Tail:
    """Draws the changing lines over themselves. Each change is one write, so that nothing flickers."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._drawn: list[Line] = []

    @property
    def height(self) -> int:
        """The most lines that can be drawn over: a terminal cannot go back to what has left its screen."""
        return max(self._size().lines - 1, 1)

    def draw(self, settled: list[Line], changing: list[Line]) -> None:
        """Add lines for good above, and replace the changing ones."""
        changing = changing[-self.height :]
        if not settled and changing == self._drawn:
            return
        segments = [*self._erased(), *_joined(settled)]
        if settled:
            segments.append(Segment.line())
        segments += _joined(changing)
        self._drawn = changing
        self._console.print(Segments(segments), end="", soft_wrap=True)
        self._console.file.flush()

    def _size(self) -> os.terminal_size:
        """The size of the terminal itself, which COLUMNS and LINES may belie."""
        try:
            return os.get_terminal_size(self._console.file.fileno())
        except (OSError, ValueError):
            return os.terminal_size(self._console.size)

    def _erased(self) -> Iterator[Segment]:
        """The controls that erase what was drawn, in as many rows as it takes in the present width."""
        if not self._drawn:
            return
        width = max(self._size().columns, 1)
        rows = sum(max(-(-Segment.get_line_length(line) // width), 1) for line in self._drawn)
        for row in range(rows):
            move = (ControlType.CURSOR_UP, 1) if row else ControlType.CARRIAGE_RETURN
            yield Control(move, (ControlType.ERASE_IN_LINE, 2)).segment


def _joined(lines: list[Line]) -> Iterator[Segment]:
    for number, line in enumerate(lines):
        if number:
            yield Segment.line()
        yield from line


@contextmanager
def undisturbed(console: Console) -> Iterator[None]:
    """Hide the cursor and the echo of keys while lines are drawn; what is typed waits for the next prompt."""
    console.show_cursor(False)
    try:
        with _no_echo():
            yield
    finally:
        console.show_cursor(True)


@contextmanager
def _no_echo() -> Iterator[None]:
    try:
        import termios  # noqa: PLC0415 - POSIX only
    except ImportError:
        yield
        return
    try:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (OSError, ValueError, termios.error):  # the input is no terminal
        yield
        return
    silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(descriptor, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
