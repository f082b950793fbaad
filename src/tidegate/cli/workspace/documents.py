"""``tidegate workspace documents`` and ``remove``."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Final

import click

from tidegate.cli.connection import find_server, server_options
from tidegate.cli.terminal.lines import printable
from tidegate.cli.terminal.tables import show_table
from tidegate.cli.workspace.asking import (
    PATIENT,
    errors_told,
    members,
    path_of,
    send,
    slug_of,
    workspace_named,
)
from tidegate.errors import ConfigError

_HEAD: Final = ("ID", "TITLE", "STATE", "PASSAGES", "PINNED")
_SHOWN_OF_ID: Final = 8


@click.command("documents")
@click.argument("slug")
@click.option("--json", "as_json", is_flag=True, help="Print what the gateway tells about each, as JSON.")
@server_options
def documents(slug: str, as_json: bool, url: str | None, key: str | None) -> None:
    """List the documents of a workspace, and what has become of them.

    One that waits is being cut into passages, which can be found from then on. One that is pinned is shown
    as a whole with each question.
    """
    with errors_told():
        workspace = workspace_named(find_server(url, key, os.environ), slug)
    rows = members(workspace, "documents")
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        name = printable(slug_of(workspace))
        click.echo(f"There is none yet; add some with: tidegate workspace add {name} FILE...")
    else:
        show_table(_HEAD, [_cells(row) for row in rows], frozenset({"PASSAGES"}))


@click.command("remove")
@click.argument("slug")
@click.argument("documents", metavar="DOCUMENT...", nargs=-1, required=True)
@click.option(
    "--everywhere", is_flag=True, help="Delete them from all workspaces, and what was read of them."
)
@server_options
def remove(slug: str, documents: Sequence[str], everywhere: bool, url: str | None, key: str | None) -> None:
    """Take documents out of a workspace, which answers from them no more.

    A document is named by its title, or by its id or the beginning of it, as `tidegate workspace documents`
    shows them. The gateway keeps what it has read of it, unless --everywhere is given.
    """
    with errors_told():
        server = find_server(url, key, os.environ)
        workspace = workspace_named(server, slug)
        inside = members(workspace, "documents")
        chosen = [_named(inside, each, slug_of(workspace)) for each in documents]
        places = list(dict.fromkeys(str(each.get("docpath")) for each in chosen))
        if everywhere:
            send(server, "DELETE", "/system/remove-documents", {"names": places}, timeout=PATIENT)
        else:
            path = path_of(slug_of(workspace), "/update-embeddings")
            send(server, "POST", path, {"adds": [], "deletes": places}, timeout=PATIENT)
    for each in chosen:
        click.echo(f"{printable(title_of(each))}: is {'deleted' if everywhere else 'taken out'}")


def title_of(document: dict[str, Any]) -> str:
    """What people call a document."""
    metadata = document.get("metadata")
    title = metadata.get("title") if isinstance(metadata, dict) else None
    return str(title or document.get("filename") or document.get("docId"))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    state = str(row.get("state") or "indexed")
    if row.get("error"):
        state = f"{state}: {row['error']}"
    passages = row.get("passages")
    return (
        str(row.get("docId"))[:_SHOWN_OF_ID],
        title_of(row),
        state,
        f"{passages:,}" if isinstance(passages, int) else "",
        "yes" if row.get("pinned") else "",
    )


def _named(inside: Sequence[dict[str, Any]], named: str, slug: str) -> dict[str, Any]:
    """The one document that is meant. Raises ConfigError."""
    exact = [each for each in inside if named in (each.get("docId"), each.get("docpath"), title_of(each))]
    meant = exact or [each for each in inside if named and str(each.get("docId")).startswith(named)]
    if len(meant) == 1:
        return meant[0]
    if not meant:
        raise ConfigError(
            f"there is no document {named!r} in {slug}; "
            f"tidegate workspace documents {slug} shows what is in it"
        )
    ids = ", ".join(str(each.get("docId"))[:_SHOWN_OF_ID] for each in meant)
    raise ConfigError(f"several documents are called {named!r}; name one by its id: {ids}")
