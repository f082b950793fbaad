"""``tidegate models``: the models that a running gateway serves."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import click
from rich.cells import cell_len

from tidegate.cli.connection import Server, find_server, get_json, server_options
from tidegate.cli.terminal.lines import printable
from tidegate.errors import Broken, ConfigError, SourceError

_HEAD: Final = ("MODEL", "OWNER", "CONTEXT")


@dataclass(frozen=True, slots=True)
class Listing:
    """The models of a gateway as ``GET /v1/models`` tells them, and the default one where it is told."""

    models: tuple[dict[str, Any], ...]
    default: str | None

    @property
    def names(self) -> list[str]:
        """What requests may ask for."""
        return [model["id"] for model in self.models]


def fetch_listing(server: Server) -> Listing:
    """Ask a gateway for its models. Raises SourceError."""
    told = get_json(server, "/v1/models")
    entries = told.get("data") if isinstance(told, dict) else None
    if not isinstance(entries, list):
        raise Broken(f"{server.url} lists no models; is it a Tidegate? Name the right address with --url")
    models = tuple(each for each in entries if isinstance(each, dict) and isinstance(each.get("id"), str))
    default = told.get("default_model")
    return Listing(models, default if isinstance(default, str) else None)


def table(listing: Listing) -> list[str]:
    """The models as lines of aligned columns; the default one is marked."""
    rows: list[Sequence[str]] = [_HEAD, *(_row(model, listing.default) for model in listing.models)]
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(_HEAD) - 1)]
    return ["  ".join([*map(_padded, row, widths), row[-1]]).rstrip() for row in rows]


def _row(model: dict[str, Any], default: str | None) -> Sequence[str]:
    name = printable(model["id"]) + (" (default)" if model["id"] == default else "")
    context = model.get("context_length")
    return (
        name,
        printable(str(model.get("owned_by") or "")),
        f"{context:,}" if isinstance(context, int) else "",
    )


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print what the gateway tells about each, as JSON.")
@server_options
def command(as_json: bool, url: str | None, key: str | None) -> None:
    """List the models that a running gateway serves.

    The name in the first column is what requests, and `tidegate chat NAME`, ask for. Context is the number of
    tokens that question and answer may have together, where it is known.

    \b
    Examples:
      tidegate models
      tidegate models --json
      tidegate models --url https://gateway.example.com --key "$KEY"
    """
    try:
        listing = fetch_listing(find_server(url, key, os.environ))
    except (SourceError, ConfigError) as error:
        click.echo(f"tidegate: {printable(error.message)}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(list(listing.models), indent=2))
        return
    click.echo("\n".join(table(listing)))
