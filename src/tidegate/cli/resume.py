"""``tidegate resume``: re-attach to a stream, whoever began it and wherever it is read."""

from __future__ import annotations

import os
import sys
from typing import Final, NoReturn

import click
from rich.console import Console

from tidegate.cli.answer import Answer
from tidegate.cli.answering import person_at
from tidegate.cli.connection import find_server, patience_option, server_options
from tidegate.cli.follow import Ask, follow
from tidegate.cli.frames import FrameReader
from tidegate.cli.terminal.display import Display, LiveDisplay, PlainDisplay
from tidegate.cli.terminal.lines import printable, tolerate_any_text
from tidegate.cli.terminal.markdown import THEME
from tidegate.client.patience import Patience
from tidegate.errors import ConfigError, SourceError

_INTERRUPTED: Final = 130
_DIALECTS: Final = (
    "openai-chat",
    "openai-completions",
    "openai-responses",
    "anthropic-messages",
    "gemini",
    "anythingllm",
    "events",
)


@click.command()
@click.argument("stream_id")
@click.option("--after", metavar="SEQ", help="Begin behind this event, such as 17 or 17-2; without it, all.")
@click.option("--json", "as_json", is_flag=True, help="Print the events, one JSON object a line.")
@click.option(
    "--dialect", type=click.Choice(_DIALECTS), help="Print the frames of this wire format, as they come."
)
@click.option("--plain", is_flag=True, help="Text as it comes: no Markdown, no colours, nothing redrawn.")
@click.option("--thinking", is_flag=True, help="Leave what the model thinks on the screen.")
@patience_option
@server_options
def command(
    stream_id: str,
    after: str | None,
    as_json: bool,
    dialect: str | None,
    plain: bool,
    thinking: bool,
    patience: float,
    url: str | None,
    key: str | None,
) -> None:
    """Go on with an answer that was begun before, from any terminal, and from any client.

    Shows what there is at once, and then the rest as it is written. Lost connections and a gateway that
    restarts are waited for. Ctrl-C leaves; the answer goes on, and can be resumed again. To stop it:
    `tidegate streams cancel STREAM_ID`.

    \b
    Examples:
      tidegate resume 33e882854d09472aa90707b2e488beb2
      tidegate resume 33e882854d09472aa90707b2e488beb2 --after 120
      tidegate resume 33e882854d09472aa90707b2e488beb2 --json | jq -r .text
      tidegate streams list

    The exit code is 0 for a complete answer, 1 for an error and 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        tolerate_any_text(stream)
    if as_json and dialect is not None:
        raise click.UsageError("--json prints the events, and --dialect another form; give one of the two")
    try:
        server = find_server(url, key, os.environ)
        if as_json or dialect is not None:
            reader = FrameReader(server, stream_id, after, dialect or "events", Patience(patience))
            _print_frames(reader, as_json=as_json)
        else:
            person = person_at(server, lambda sentence: click.echo(printable(sentence), err=True))
            answer = Answer.resumed(server, stream_id, after, Patience(patience))
            _show(answer, person, plain=plain, thinking=thinking)
    except (SourceError, ConfigError) as error:
        _fail(error.message)


def _show(answer: Answer, person: Ask | None, *, plain: bool, thinking: bool) -> None:
    console = Console(theme=THEME, highlight=False, no_color=True if plain else None)
    plain = plain or not console.is_terminal or console.is_dumb_terminal
    display: Display = (
        PlainDisplay(sys.stdout, sys.stderr)
        if plain
        else LiveDisplay(console, markdown=True, keep_thinking=thinking)
    )
    ended = follow(answer, display, person)
    if ended.error is not None:
        _fail(ended.error.message)
    if ended.cancelled:
        _leave(answer.stream_id, answer.cursor)
    if not plain:
        console.print(f"\n{printable(ended.measured.summary())}", style="dim", markup=False)


def _print_frames(reader: FrameReader, *, as_json: bool) -> None:
    try:
        for data in reader:
            sys.stdout.write(data.removeprefix("data: ").rstrip("\n") + "\n" if as_json else data)
            sys.stdout.flush()
    except KeyboardInterrupt:
        _leave(reader.stream_id, reader.cursor)


def _leave(stream_id: str, cursor: str | None) -> NoReturn:
    """Say that the answer goes on, and how to come back."""
    after = f" --after {cursor}" if cursor is not None else ""
    click.echo(f"\nLeft; the answer goes on. Come back with: tidegate resume {stream_id}{after}", err=True)
    sys.exit(_INTERRUPTED)


def _fail(message: str) -> NoReturn:
    click.echo(f"tidegate: {printable(message)}", err=True)
    sys.exit(1)
