"""``tidegate workspace list``, ``create`` and ``delete``."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from tidegate.cli.connection import find_server, server_options
from tidegate.cli.terminal.lines import printable
from tidegate.cli.terminal.tables import show_table
from tidegate.cli.workspace.asking import (
    errors_told,
    listed,
    made,
    members,
    remove_workspace,
    send,
    slug_of,
    whole,
    workspace_named,
)
from tidegate.cli.workspace.uploading import folder_of

_HEAD = ("SLUG", "NAME", "DOCUMENTS", "PASSAGES")


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print what the gateway tells about each, as JSON.")
@server_options
def list_command(as_json: bool, url: str | None, key: str | None) -> None:
    """List workspaces, and how much is in them."""
    with errors_told():
        server = find_server(url, key, os.environ)
        all_of_them = listed(server)
        inside = [whole(server, slug_of(each)) for each in all_of_them]
    rows = [
        {**each, **_counts(filled)}
        for each, filled in zip(all_of_them, inside, strict=True)
        if filled is not None
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        click.echo("There is no workspace yet; make one with: tidegate workspace create NAME")
    else:
        show_table(_HEAD, [_cells(row) for row in rows], frozenset(_HEAD[2:]))


def _counts(workspace: dict[str, Any]) -> dict[str, int]:
    documents = members(workspace, "documents")
    return {
        "documents": len(documents),
        "passages": sum(int(each.get("passages") or 0) for each in documents),
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (slug_of(row), str(row.get("name")), f"{row['documents']:,}", f"{row['passages']:,}")


@click.command("create")
@click.argument("name")
@server_options
def create(name: str, url: str | None, key: str | None) -> None:
    """Make a workspace and print its slug, which is what the other commands call it by.

    \b
    Examples:
      tidegate workspace create docs
      tidegate workspace create "Manuals of the lighthouse"
    """
    with errors_told():
        server = find_server(url, key, os.environ)
        slug = slug_of(made(server, name))
    click.echo(printable(slug))
    click.echo(f"Fill it with: tidegate workspace add {printable(slug)} FILE...", err=True)


@click.command("delete")
@click.argument("slug")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--documents", "with_documents", is_flag=True, help="Delete the documents that `add` put into it, too."
)
@server_options
def delete(slug: str, yes: bool, with_documents: bool, url: str | None, key: str | None) -> None:
    """Delete a workspace with its chats and threads.

    Its documents stay, for other workspaces, unless --documents is given.
    """
    with errors_told():
        server = find_server(url, key, os.environ)
        workspace = workspace_named(server, slug)
        slug = slug_of(workspace)
        if not yes and not _agreed(workspace, with_documents=with_documents):
            click.echo("Nothing was deleted.", err=True)
            sys.exit(1)
        remove_workspace(server, slug)
        if with_documents:
            send(server, "DELETE", "/document/remove-folder", {"name": folder_of(slug)})
    click.echo(f"{printable(slug)}: is deleted")


def _agreed(workspace: dict[str, Any], *, with_documents: bool) -> bool:
    if not sys.stdin.isatty():
        click.echo("tidegate: nobody can be asked here; --yes deletes without a question", err=True)
        return False
    count = len(members(workspace, "documents"))
    what = "its chats" + (" and documents" if with_documents else "")
    name = printable(str(workspace.get("name")))
    try:
        return click.confirm(f"Delete {name} ({count} documents) with {what}, for good?")
    except click.Abort:
        click.echo()
        return False
