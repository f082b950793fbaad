"""Asks for the next message: lines and blocks of lines, with the history and the editing of readline."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Final

_BLOCK: Final = '"""'
_HISTORY_FILE: Final = "chat-history.jsonl"
_LONGEST_HISTORY: Final = 1000

Complete = Callable[[str], Iterable[str]]
"""What a line that begins like this may become."""


class Prompt:
    """Reads messages from the terminal. Without readline it reads plain lines."""

    def __init__(self, folder: Path, complete: Complete) -> None:
        self._readline = _load_readline()
        self._history = folder / _HISTORY_FILE
        self._complete = complete
        self._matches: list[str] = []
        unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        self._first = self._coloured("› " if unicode else "> ")
        self._next = self._coloured("… " if unicode else ". ")
        if self._readline is not None:
            self._set_up(self._readline)

    def read(self) -> str:
        """The next message, without the marks that made it several lines.

        Raises EOFError at the end of the input, and KeyboardInterrupt.
        """
        message = self._read_message()
        if message.strip():
            self._remember(message)
        return message

    @property
    def half_typed(self) -> bool:
        """Whether the line that was interrupted had something in it."""
        return self._readline is not None and bool(self._readline.get_line_buffer().strip())

    def _read_message(self) -> str:
        line = input(self._first)
        if line.lstrip().startswith(_BLOCK):
            return self._read_block(line.lstrip().removeprefix(_BLOCK))
        lines = [line]
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1]
            lines.append(input(self._next))
        return "\n".join(lines)

    def _read_block(self, line: str) -> str:
        lines = []
        while not line.rstrip().endswith(_BLOCK):
            lines.append(line)
            line = input(self._next)
        lines.append(line.rstrip().removesuffix(_BLOCK))
        return "\n".join(lines).strip("\n")

    # readline

    def _set_up(self, readline: ModuleType) -> None:
        readline.set_auto_history(False)
        readline.set_completer(self._completion)
        readline.set_completer_delims("")
        if _is_libedit(readline):
            readline.parse_and_bind("bind ^I rl_complete")
        else:
            readline.parse_and_bind("tab: complete")
            # What is pasted is one message, however many lines it has.
            readline.parse_and_bind("set enable-bracketed-paste on")
        for message in self._remembered():
            readline.add_history(message)

    def _completion(self, begun: str, number: int) -> str | None:
        if number == 0:
            self._matches = list(self._complete(begun))
        return self._matches[number] if number < len(self._matches) else None

    def _coloured(self, prompt: str) -> str:
        # \001 and \002 tell readline that what is between them takes no room; libedit does not always listen.
        if self._readline is None or _is_libedit(self._readline) or "NO_COLOR" in os.environ:
            return prompt
        return f"\001\x1b[1;36m\002{prompt}\001\x1b[0m\002"

    # History, one JSON string in each line because a message may have several

    def _remembered(self) -> list[str]:
        try:
            lines = self._history.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return []
        messages = []
        for line in lines[-_LONGEST_HISTORY:]:
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if isinstance(message, str):
                    messages.append(message)
        if len(lines) > 2 * _LONGEST_HISTORY:
            self._rewrite(lines[-_LONGEST_HISTORY:])
        return messages

    def _rewrite(self, lines: list[str]) -> None:
        shorter = self._history.with_suffix(".new")
        with contextlib.suppress(OSError):
            shorter.write_text("\n".join(lines) + "\n", "utf-8")
            shorter.chmod(0o600)
            shorter.replace(self._history)

    def _remember(self, message: str) -> None:
        if self._readline is None:
            return
        last = self._readline.get_history_item(self._readline.get_current_history_length())
        if message == last:
            return
        self._readline.add_history(message)
        # A history that cannot be kept is no reason to disturb a conversation.
        with contextlib.suppress(OSError):
            self._history.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._history, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(json.dumps(message) + "\n")


def _load_readline() -> ModuleType | None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    try:
        import readline  # noqa: PLC0415 - not on Windows, and not without a terminal
    except ImportError:
        return None
    return readline


def _is_libedit(readline: ModuleType) -> bool:
    return "libedit" in (readline.__doc__ or "")
