"""What is seen of an answer while it comes: rendered and redrawn in a terminal, or plain text as it is."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol, TextIO

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from tidegate.cli.terminal.lines import Line, printable, rendered
from tidegate.cli.terminal.live import Tail, undisturbed
from tidegate.cli.terminal.markdown import GrowingLines, GrowingMarkdown, GrowingText

FRAME_SECONDS: Final = 1 / 12
_SHARE: Final = 4
"""A frame that took long is followed by a pause this many times as long, so that drawing stays cheap."""

_SPIN_SECONDS: Final = 0.1
_THINKING_LINES: Final = 8
_LONGEST_CALL: Final = 200
_DIM: Final = Style(dim=True)


class Display(Protocol):
    """Where an answer goes. Texts are the deltas as they came; ``draw`` is called several times a second."""

    def drawing(self) -> AbstractContextManager[None]:
        """Keep the place where the answer goes in order, for as long as it comes."""
        ...

    def thinking(self, text: str) -> None: ...

    def status(self, text: str) -> None:
        """A line about how far a program has come that answers."""
        ...

    def text(self, text: str) -> None: ...

    def call(self, block: int, name: str | None, arguments: str) -> None:
        """More of a tool call; its name at its beginning only."""
        ...

    def draw(self) -> None: ...

    def close(self) -> None:
        """The answer has ended: leave what is to stay."""
        ...


class PlainDisplay:
    """Text as it comes, and nothing else. Tool calls are no part of the text and go to ``notes``."""

    def __init__(self, file: TextIO, notes: TextIO) -> None:
        self._file = file
        self._notes = notes
        self._clean = file.isatty()
        self._line_ended = True
        self._calls = _Calls()

    def drawing(self) -> AbstractContextManager[None]:
        """Nothing is drawn."""
        return nullcontext()

    def thinking(self, text: str) -> None:
        """Not shown: whoever reads this wants the answer."""

    def status(self, text: str) -> None:
        """See :class:`Display`."""
        print(f"· {printable(text)}", file=self._notes, flush=True)

    def text(self, text: str) -> None:
        """See :class:`Display`."""
        self._write(printable(text) if self._clean else text)

    def call(self, block: int, name: str | None, arguments: str) -> None:
        """See :class:`Display`."""
        self._calls.add(block, name, arguments)

    def draw(self) -> None:
        """Everything is shown already."""

    def close(self) -> None:
        """End the last line."""
        if not self._line_ended:
            self._write("\n")
        for line in self._calls.take():
            print(line, file=self._notes)

    def _write(self, text: str) -> None:
        if text:
            self._file.write(text)
            self._file.flush()
            self._line_ended = text.endswith("\n")


class _Calls:
    """Tool calls whose arguments come in parts."""

    def __init__(self) -> None:
        self._parts: dict[int, tuple[str, list[str]]] = {}

    def __contains__(self, block: int) -> bool:
        return block in self._parts

    @property
    def latest(self) -> str | None:
        """The name of the tool that is being called."""
        return next(reversed(self._parts.values()))[0] if self._parts else None

    def add(self, block: int, name: str | None, arguments: str) -> None:
        self._parts.setdefault(block, (printable(name or ""), []))[1].append(arguments)

    def take(self) -> list[str]:
        """One line for each call, and no call any more."""
        lines = []
        for name, parts in self._parts.values():
            arguments = printable("".join(parts))
            if len(arguments) > _LONGEST_CALL:
                arguments = arguments[: _LONGEST_CALL - 1] + "…"
            lines.append(f"→ calls {name}({arguments})")
        self._parts = {}
        return lines


class LiveDisplay:
    """An answer that grows in a terminal. Parts that are complete are printed once, for good; the part that
    is being written is drawn over itself, or its end where it is higher than the screen."""

    def __init__(self, console: Console, *, markdown: bool, keep_thinking: bool) -> None:
        self._console = console
        self._tail = Tail(console)
        self._growing: GrowingText = GrowingMarkdown() if markdown else GrowingLines()
        self._keep_thinking = keep_thinking
        self._settled: list[Line] = []
        self._last_kept = ""
        """What the last lines that were kept are part of: a blank line parts them from other things."""
        self._thinking = ""
        self._thinking_since = 0.0
        self._status: str | None = None
        """The last line of progress, until text follows."""
        self._calls = _Calls()
        self._begun_at = time.monotonic()
        self._next_frame = 0.0
        self._spinner = "⠁⠂⠄⡀⢀⠠⠐⠈" if console.encoding.lower().startswith("utf") else "-\\|/"

    def drawing(self) -> AbstractContextManager[None]:
        """See :class:`Display`."""
        return undisturbed(self._console)

    def thinking(self, text: str) -> None:
        """See :class:`Display`."""
        if not text:
            return
        if not self._thinking:
            self._settle_text()
            self._thinking_since = time.monotonic()
        self._thinking += printable(text)

    def status(self, text: str) -> None:
        """See :class:`Display`."""
        self._settle_thinking()
        self._settle_text()
        self._settle_calls()
        self._status = printable(text)
        self._keep("status", rendered(self._console, Text(f"· {self._status}", style=_DIM)))

    def text(self, text: str) -> None:
        """See :class:`Display`."""
        if not text:
            return
        self._settle_thinking()
        self._settle_calls()
        self._status = None
        self._growing.feed(printable(text))

    def call(self, block: int, name: str | None, arguments: str) -> None:
        """See :class:`Display`."""
        self._settle_thinking()
        self._settle_text()
        if block not in self._calls:
            self._settle_calls()
        self._calls.add(block, name, arguments)

    def draw(self) -> None:
        """Redraw what has changed, unless the last frame was just now."""
        begin = time.monotonic()
        if begin < self._next_frame:
            return
        self._settle(self._growing.take_complete())
        self._show(self._changing())
        took = time.monotonic() - begin
        self._next_frame = begin + max(FRAME_SECONDS, took * _SHARE)

    def close(self) -> None:
        """See :class:`Display`."""
        self._settle_thinking()
        self._settle_text()
        self._settle_calls()
        self._show([])

    def _show(self, changing: list[Line]) -> None:
        settled, self._settled = self._settled, []
        self._tail.draw(settled, changing)

    # What changes

    def _changing(self) -> list[Line]:
        if self._thinking:
            return [
                *self._thinking_lines(_THINKING_LINES)[-_THINKING_LINES:],
                self._spin("thinking", self._thinking_since),
            ]
        if self._calls.latest is not None:
            return [*self._gap("call"), self._spin(f"calling {self._calls.latest}", None)]
        if not self._growing.rest.strip():
            if self._status is not None:
                return [self._spin("working", self._begun_at)]
            return [] if self._last_kept else [self._spin("waiting for the first token", self._begun_at)]
        height = self._tail.height
        lines = self._growing.shown(self._console, self._growing.end_of_rest(height))
        if len(lines) >= height:
            return [[Segment("⋮", _DIM)], *lines[-height + 1 :]]
        return [*self._gap("text"), *lines]

    def _spin(self, what: str, since: float | None) -> Line:
        now = time.monotonic()
        seconds = now - since if since is not None else 0.0
        frame = self._spinner[int(now / _SPIN_SECONDS) % len(self._spinner)]
        shown = Text.assemble(
            (frame, "cyan"), (f" {what}" + (f" {seconds:.0f} s" if seconds >= 1 else ""), _DIM)
        )
        shown.truncate(self._console.width)
        return list(shown.render(self._console))

    def _thinking_lines(self, most: int | None = None) -> list[Line]:
        text = self._thinking.strip()
        if most is not None:
            text = text[-most * self._console.width :]
        return rendered(self._console, Text(text, style="dim italic"))

    # What stays

    def _settle(self, text: str) -> None:
        if text.strip() or (text and self._last_kept == "text" and not self._growing.parted):
            self._keep("text", self._growing.shown(self._console, text))

    def _settle_text(self) -> None:
        self._settle(self._growing.take_all())

    def _settle_thinking(self) -> None:
        if not self._thinking:
            return
        if self._keep_thinking:
            self._keep("thinking", self._thinking_lines())
        else:
            seconds = time.monotonic() - self._thinking_since
            self._keep("thinking", [[Segment(f"thought for {seconds:.1f} s", _DIM)]])
        self._thinking = ""

    def _settle_calls(self) -> None:
        for line in self._calls.take():
            self._keep("call", rendered(self._console, Text(line, style=_DIM)))

    def _keep(self, part_of: str, lines: list[Line]) -> None:
        self._settled += [*self._gap(part_of), *lines]
        self._last_kept = part_of

    def _gap(self, part_of: str) -> list[Line]:
        """The blank line before lines that are part of something."""
        goes_on = part_of == self._last_kept and not (part_of == "text" and self._growing.parted)
        return [] if goes_on or not self._last_kept else [[]]
