"""``tidegate chat``: ask a running gateway, once or in a conversation."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click
from rich.console import Console

from tidegate.cli.answer import Answer
from tidegate.cli.answering import person_at
from tidegate.cli.connection import find_server, patience_option, server_options
from tidegate.cli.conversation import Conversation
from tidegate.cli.follow import Ask, follow
from tidegate.cli.home import home
from tidegate.cli.session import Session
from tidegate.cli.terminal.display import Display, LiveDisplay, PlainDisplay
from tidegate.cli.terminal.lines import printable, tolerate_any_text
from tidegate.cli.terminal.markdown import THEME
from tidegate.client.patience import Patience
from tidegate.errors import ConfigError, SourceError

_INTERRUPTED = 130
"""What shells report for a program that Ctrl-C ended."""


@click.command()
@click.argument("model", required=False)
@click.option(
    "-m",
    "--message",
    metavar="TEXT",
    help="Ask this one question, print the answer and leave; - reads it from the input.",
)
@click.option("--system", metavar="TEXT", help="Tell the model how to answer.")
@click.option("--plain", is_flag=True, help="Text as it comes: no Markdown, no colours, nothing redrawn.")
@click.option("--no-markdown", is_flag=True, help="Show Markdown as it is written instead of rendering it.")
@click.option("--thinking", is_flag=True, help="Leave what the model thinks on the screen.")
@patience_option
@server_options
def command(
    model: str | None,
    message: str | None,
    system: str | None,
    plain: bool,
    no_markdown: bool,
    thinking: bool,
    patience: float,
    url: str | None,
    key: str | None,
) -> None:
    """Talk to a model in the terminal; without MODEL, to the gateway's default one.

    Answers appear as they are written. Ctrl-C stops an answer, Ctrl-D leaves, /help lists what else can be
    done. Needs a running gateway: start one with `tidegate serve`.

    \b
    Examples:
      tidegate chat
      tidegate chat gpt-4o-mini --system "Answer in one sentence."
      tidegate chat -m "Why is the sky blue?"
      git diff | tidegate chat --system "Write a commit message for this."
      tidegate chat -m - < question.txt > answer.txt

    What an agent asks is answered at the prompt; without a terminal, with `tidegate streams input`.

    An answer survives a lost connection and a restart of the gateway.

    Without -m, a question that is piped in is answered once. Into a pipe or a file goes the plain text of the
    answer. The exit code is 0 for a complete answer, 1 for an error and 130 after Ctrl-C.
    """
    if model is not None and len(model.split()) > 1:
        raise click.UsageError(
            f"{model!r} is not the name of a model; to ask one question: tidegate chat -m TEXT"
        )
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        tolerate_any_text(stream)
    conversation = Conversation(_encodable(model), _encodable(system))
    console = Console(theme=THEME, highlight=False, no_color=True if plain else None)
    plain = plain or not console.is_terminal or console.is_dumb_terminal

    def display() -> Display:
        if plain:
            return PlainDisplay(sys.stdout, sys.stderr)
        return LiveDisplay(console, markdown=not no_markdown, keep_thinking=thinking)

    try:
        server = find_server(url, key, os.environ)
        question = _encodable(_question(message))
        if question is None:
            folder = home(os.environ)
            Session(server, conversation, console, display, folder, Patience(patience)).run()
        else:
            answer = Answer.asked(server, conversation.ask(question), Patience(patience))
            person = person_at(server, lambda sentence: click.echo(printable(sentence), err=True))
            _answer_once(answer, console, display(), person, summary=not plain)
    except (SourceError, ConfigError) as error:
        _fail(error.message)


def _question(message: str | None) -> str | None:
    """The one question to answer; None when there is somebody to talk to."""
    if message is None and sys.stdin.isatty():
        return None
    question = sys.stdin.read() if message in (None, "-") else message
    if question is None or not question.strip():
        raise click.UsageError("the question is empty; give it with -m TEXT, or pipe it in")
    return question.rstrip("\n")


def _encodable(text: str | None) -> str | None:
    """The text without the bytes of an argument that are no text, which no request could carry."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def _answer_once(
    answer: Answer, console: Console, display: Display, person: Ask | None, *, summary: bool
) -> None:
    ended = follow(answer, display, person)
    if ended.error is not None:
        _fail(ended.error.message)
    if ended.cancelled:
        sys.exit(_INTERRUPTED)
    if summary:
        console.print(f"\n{printable(ended.measured.summary())}", style="dim", markup=False)


def _fail(message: str) -> NoReturn:
    click.echo(f"tidegate: {printable(message)}", err=True)
    sys.exit(1)
