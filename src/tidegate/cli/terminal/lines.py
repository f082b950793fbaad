"""Lines of a terminal: styled text without a line break, and without spaces at its end."""

from __future__ import annotations

from typing import Final, TextIO

from rich.console import Console, RenderableType
from rich.segment import Segment

Line = list[Segment]

_UNBOUNDED: Final = 1000

_CONTROLS: Final = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)))
"""Everything that could steer a terminal, but for line feed and tab."""


def printable(text: str) -> str:
    """The text without control characters: what others wrote must not steer the terminal."""
    return text.translate(_CONTROLS)


def rendered(console: Console, shown: RenderableType) -> list[Line]:
    """The lines that something takes in the width of the console."""
    return [_trimmed(line) for line in console.render_lines(shown, pad=False)]


def _trimmed(line: Line) -> Line:
    """The line without the spaces at its end that nobody sees, but which would be copied along with it."""
    while line:
        text, style, _ = line[-1]
        if style is not None and (style.bgcolor is not None or style.reverse):
            break
        kept = text.rstrip()
        line = line[:-1]
        if kept:
            return [*line, Segment(kept, style)]
    return line


def console_for_lines(*, stderr: bool = False) -> Console:
    """A console that wraps lines where somebody looks at them, and leaves them whole in a file or a pipe."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = _UNBOUNDED
    return console


def tolerate_any_text(stream: TextIO) -> None:
    """Replace what the encoding of a terminal or file does not have, rather than fail in mid-answer."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
