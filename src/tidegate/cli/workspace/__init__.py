"""``tidegate workspace``: collections of documents that answer questions, on a running gateway."""

from __future__ import annotations

import click

from tidegate.cli.workspace.adding import add
from tidegate.cli.workspace.documents import documents, remove
from tidegate.cli.workspace.exporting import export
from tidegate.cli.workspace.keeping import create, delete, list_command
from tidegate.cli.workspace.searching import search
from tidegate.cli.workspace.talking import ask


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Make workspaces, fill them with documents, and ask them.

    A workspace answers from what was put into it: files of many kinds, and pages of the web. It is asked
    here, through AnythingLLM's API, and by every client as the model `workspace/SLUG`. A key sees its
    caller's own workspaces.

    \b
    Examples:
      tidegate workspace create docs
      tidegate workspace add docs ./manuals
      tidegate workspace ask docs "How is the lamp cleaned?"
      tidegate workspace search docs "lamp oil" --top 8
      tidegate workspace export docs --format csv > chats.csv
    """


for _each in (list_command, create, delete, add, documents, remove, ask, search, export):
    command.add_command(_each)
