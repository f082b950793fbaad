"""``tidegate workspace ask``: one question or a talk, answered from the documents of a workspace."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from tidegate.cli.answer import Answer
from tidegate.cli.answering import person_at
from tidegate.cli.connection import Server, find_server, patience_option, server_options
from tidegate.cli.conversation import Conversation
from tidegate.cli.home import home
from tidegate.cli.once import Screen, answer_once, encodable, question_from
from tidegate.cli.session import Session
from tidegate.cli.sources import PREFIX, sources_of
from tidegate.cli.terminal.lines import printable, tolerate_any_text
from tidegate.cli.workspace.asking import errors_told, slug_of, workspace_named
from tidegate.client.patience import Patience


class WorkspaceConversation(Conversation):
    """A conversation with a workspace. One in a thread is kept by the gateway, and only its newest question
    is sent. Asked of another model it is a conversation as any."""

    def __init__(self, slug: str, thread: str | None, mode: str | None, system: str | None) -> None:
        super().__init__(f"{PREFIX}{slug}/{thread}" if thread else f"{PREFIX}{slug}", system)
        self._workspace = self.model
        self._mode = mode
        self._kept = thread is not None

    def ask(self, question: str) -> dict[str, Any]:
        """See :class:`Conversation`."""
        fields = super().ask(question)
        if self.model != self._workspace:
            return fields
        if self._kept:
            said = fields["messages"]
            fields["messages"] = [each for each in said if each["role"] == "system" or each is said[-1]]
        return {**fields, "mode": self._mode} if self._mode is not None else fields


@click.command("ask")
@click.argument("slug")
@click.argument("question", required=False)
@click.option(
    "--mode",
    type=click.Choice(["chat", "query", "automatic"]),
    help="query answers from the documents alone; else as the workspace has it.",
)
@click.option("--thread", metavar="SLUG", help="Go on in this thread of the workspace, which is kept.")
@click.option("--system", metavar="TEXT", help="Tell the model how to answer.")
@click.option("--plain", is_flag=True, help="Text as it comes: no Markdown, no colours, nothing redrawn.")
@click.option("--no-markdown", is_flag=True, help="Show Markdown as it is written instead of rendering it.")
@click.option("--thinking", is_flag=True, help="Leave what the model thinks on the screen.")
@patience_option
@server_options
def ask(
    slug: str,
    question: str | None,
    mode: str | None,
    thread: str | None,
    system: str | None,
    plain: bool,
    no_markdown: bool,
    thinking: bool,
    patience: float,
    url: str | None,
    key: str | None,
) -> None:
    """Ask a workspace; without QUESTION, talk to it as with `tidegate chat workspace/SLUG`.

    Below the answer stands what it is from: documents, pages, and how well these fit, from 0 to 1.

    \b
    Examples:
      tidegate workspace ask docs "How is the lamp cleaned?"
      tidegate workspace ask docs --mode query "Who signs the manifest?"
      tidegate workspace ask docs
      tidegate workspace ask docs - < question.txt

    The exit code is 0 for a complete answer, 1 for an error and 130 after Ctrl-C.
    """
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        tolerate_any_text(stream)
    screen = Screen(plain=plain, markdown=not no_markdown, thinking=thinking)
    with errors_told():
        server = find_server(url, key, os.environ)
        asked = encodable(question_from(question, "behind the workspace"))
        found = slug_of(workspace_named(server, slug))
        conversation = WorkspaceConversation(found, thread, mode, encodable(system))
        if asked is None:
            folder = home(os.environ)
            Session(server, conversation, screen.console, screen.display, folder, Patience(patience)).run()
            return
        answer = Answer.asked(server, conversation.ask(asked), Patience(patience))
        person = person_at(server, lambda sentence: click.echo(printable(sentence), err=True))
        answer_once(answer, screen, person)
        _show_sources(server, answer.stream_id)


def _show_sources(server: Server, stream_id: str) -> None:
    lines = sources_of(server, stream_id)
    if lines:
        click.echo("\nSources:")
    for number, line in enumerate(lines, start=1):
        click.echo(f"{number:3}. {line}")
