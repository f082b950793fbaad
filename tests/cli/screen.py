"""Owns a small terminal emulator: what a person would see, and find when they scroll up.

It knows the control sequences that readline and the product use for TERM=linux, and fails on any other."""

from __future__ import annotations

import re
import unicodedata

_SEQUENCE = re.compile(r"\x1b\[([?]?)([0-9;]*)([A-Za-z@])|\x1b[()][A-Z0-9]|\x1b[=>78]")
_UNFINISHED = re.compile(r"\x1b(\[[?0-9;]*)?$")


class Screen:
    """Rows of cells. A wide character takes two, the second of which is empty."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self.scrolled: list[str] = []
        """Lines that have left the screen at its top."""
        self.cursor_shown = True
        self._cells: list[list[str]] = [[]]
        self._row = 0
        self._column = 0
        self._pending = ""

    @property
    def lines(self) -> list[str]:
        """Everything that was printed and stayed, from the top of the scrollback."""
        return [*self.scrolled, *self.visible]

    @property
    def visible(self) -> list[str]:
        return ["".join(row).rstrip() for row in self._cells]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def feed(self, text: str) -> None:
        text = self._pending + text
        unfinished = _UNFINISHED.search(text)
        self._pending = unfinished[0] if unfinished else ""
        text = text[: len(text) - len(self._pending)]
        at = 0
        while at < len(text):
            sequence = _SEQUENCE.match(text, at)
            if sequence is not None:
                self._obey(sequence)
                at = sequence.end()
            else:
                self._put(text[at])
                at += 1

    def _put(self, character: str) -> None:
        match character:
            case "\r":
                self._column = 0
            case "\n":
                self._down()
            case "\b":
                self._column = max(self._column - 1, 0)
            case "\x07":
                pass
            case "\t":
                self._column = min((self._column // 8 + 1) * 8, self.columns - 1)
            case _ if character < " ":
                raise AssertionError(f"the emulator does not know {character!r}")
            case _:
                self._write(character)

    def _write(self, character: str) -> None:
        width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if self._column + width > self.columns:
            self._column = 0
            self._down()
        row = self._cells[self._row]
        row += [" "] * (self._column + width - len(row))
        row[self._column] = character
        if width == 2:
            row[self._column + 1] = ""
        self._column += width

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._cells):
            self._cells.append([])
        if len(self._cells) > self.rows:
            self.scrolled.append("".join(self._cells.pop(0)).rstrip())
            self._row -= 1

    def _obey(self, sequence: re.Match[str]) -> None:
        private, numbers, kind = sequence[1], sequence[2], sequence[3]
        if private == "?":
            if numbers == "25":
                self.cursor_shown = kind == "h"
        elif kind not in {"m", None}:
            self._edit(kind, int(numbers or 0))

    def _edit(self, kind: str, number: int) -> None:
        row, count = self._cells[self._row], number or 1
        match kind:
            case "A":
                if self._row < count:
                    raise AssertionError("the cursor was moved above the top of the screen")
                self._row -= count
            case "C":
                self._column = min(self._column + count, self.columns - 1)
            case "D":
                self._column = max(self._column - count, 0)
            case "K":
                del row[0 if number == 2 else self._column :]
            case "J" if number == 0:
                del row[self._column :]
                del self._cells[self._row + 1 :]
            case "P":
                del row[self._column : self._column + count]
            case "@":
                row[self._column : self._column] = [" "] * count
            case _:
                raise AssertionError(f"the emulator does not know {number}{kind}")
