"""``tidegate chat``: ask a running gateway, once or in a conversation."""

from __future__ import annotations

import os
import sys

import click

from tidegate.cli.answer import Answer
from tidegate.cli.answering import person_at
from tidegate.cli.connection import find_server, patience_option, server_options
from tidegate.cli.conversation import Conversation
from tidegate.cli.home import home
from tidegate.cli.once import Screen, answer_once, encodable, fail, question_from
from tidegate.cli.session import Session
from tidegate.cli.terminal.lines import printable, tolerate_any_text
from tidegate.client.patience import Patience
from tidegate.errors import ConfigError, SourceError


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
    conversation = Conversation(encodable(model), encodable(system))
    screen = Screen(plain=plain, markdown=not no_markdown, thinking=thinking)
    try:
        server = find_server(url, key, os.environ)
        question = encodable(question_from(message, "with -m TEXT"))
        if question is None:
            folder = home(os.environ)
            Session(server, conversation, screen.console, screen.display, folder, Patience(patience)).run()
        else:
            answer = Answer.asked(server, conversation.ask(question), Patience(patience))
            person = person_at(server, lambda sentence: click.echo(printable(sentence), err=True))
            answer_once(answer, screen, person)
    except (SourceError, ConfigError) as error:
        fail(error.message)
