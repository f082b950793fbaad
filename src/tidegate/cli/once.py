"""Asks one question: where it comes from, how its answer is shown, and how the program then ends."""

from __future__ import annotations

import sys
from typing import Final, NoReturn

import click
from rich.console import Console

from tidegate.cli.answer import Answer
from tidegate.cli.follow import Ask, follow
from tidegate.cli.terminal.display import Display, LiveDisplay, PlainDisplay
from tidegate.cli.terminal.lines import printable
from tidegate.cli.terminal.markdown import THEME

_INTERRUPTED: Final = 130
"""What shells report for a program that Ctrl-C ended."""


class Screen:
    """Where answers are shown. ``plain``: as text that comes, which is so wherever nobody looks."""

    def __init__(self, *, plain: bool, markdown: bool, thinking: bool) -> None:
        self.console = Console(theme=THEME, highlight=False, no_color=True if plain else None)
        self.plain = plain or not self.console.is_terminal or self.console.is_dumb_terminal
        self._markdown = markdown
        self._thinking = thinking

    def display(self) -> Display:
        """For one answer."""
        if self.plain:
            return PlainDisplay(sys.stdout, sys.stderr)
        return LiveDisplay(self.console, markdown=self._markdown, keep_thinking=self._thinking)


def question_from(message: str | None, where: str) -> str | None:
    """The one question to answer; None when there is somebody to talk to. ``where`` says how to give it."""
    if message is None and sys.stdin.isatty():
        return None
    question = sys.stdin.read() if message in (None, "-") else message
    if question is None or not question.strip():
        raise click.UsageError(f"the question is empty; give it {where}, or pipe it in")
    return question.rstrip("\n")


def encodable(text: str | None) -> str | None:
    """The text without the bytes of an argument that are no text, which no request could carry."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def answer_once(answer: Answer, screen: Screen, person: Ask | None) -> None:
    """Show an answer to its end. Ends the program where that is an error, or Ctrl-C."""
    ended = follow(answer, screen.display(), person)
    if ended.error is not None:
        fail(ended.error.message)
    if ended.cancelled:
        sys.exit(_INTERRUPTED)
    if not screen.plain:
        screen.console.print(f"\n{printable(ended.measured.summary())}", style="dim", markup=False)


def fail(message: str) -> NoReturn:
    """Say what is wrong and end the program."""
    click.echo(f"tidegate: {printable(message)}", err=True)
    sys.exit(1)
