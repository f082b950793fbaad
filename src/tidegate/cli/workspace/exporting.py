"""``tidegate workspace export``: what was asked and answered, as a file."""

from __future__ import annotations

import os
import sys
from urllib.parse import urlencode

import click

from tidegate.cli.connection import WORKSPACES, Server, failures_told, find_server, server_options
from tidegate.cli.connection import workspace_refusal as refusal
from tidegate.cli.workspace.asking import errors_told, slug_of, workspace_named

_PIECE = 64 * 1024
_SECONDS = 60.0


@click.command("export")
@click.argument("slug")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "json", "csv"]),
    default="jsonl",
    help="jsonl, the default, has all chats as one conversation to train on; the others have one row each.",
)
@server_options
def export(slug: str, form: str, url: str | None, key: str | None) -> None:
    """Print the chats of a workspace.

    \b
    Examples:
      tidegate workspace export docs > chats.jsonl
      tidegate workspace export docs --format csv > chats.csv
    """
    with errors_told():
        server = find_server(url, key, os.environ)
        found_slug = slug_of(workspace_named(server, slug))
        query = urlencode({"type": form, "workspace": found_slug})
        _print(server, f"{WORKSPACES}/system/export-chats?{query}")


def _print(server: Server, path: str) -> None:
    """Write an answer out while it comes: it may be larger than memory."""
    connection = server.connect(_SECONDS)
    last = b"\n"
    try:
        with failures_told(server):
            connection.request("GET", server.target(path), headers=server.headers())
            response = connection.getresponse()
        if response.status != 200:
            with failures_told(server):
                body = response.read()
            raise refusal(server, response.status, body)
        out = sys.stdout.buffer
        while True:
            with failures_told(server):
                piece = response.read1(_PIECE)
            if not piece:
                break
            out.write(piece)
            last = piece
        if not last.endswith(b"\n"):
            out.write(b"\n")
        out.flush()
    finally:
        connection.close()
