"""``tidegate workspace search``: the passages that fit a question, without a model's answer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Final

import click
from rich.text import Text

from tidegate.cli.connection import find_server, server_options
from tidegate.cli.sources import source_line
from tidegate.cli.terminal.lines import console_for_lines, printable
from tidegate.cli.workspace.asking import errors_told, members, path_of, send, slug_of, workspace_named

_INDENT: Final = "   "


@click.command("search")
@click.argument("slug")
@click.argument("query")
@click.option("--top", type=click.IntRange(1, 1000), help="How many passages; else as the workspace has it.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="The least score, from 0 to 1; else as the workspace has it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all that the gateway tells, as JSON.")
@server_options
def search(
    slug: str,
    query: str,
    top: int | None,
    threshold: float | None,
    as_json: bool,
    url: str | None,
    key: str | None,
) -> None:
    """Show the passages of a workspace that fit QUERY, the best first.

    \b
    Examples:
      tidegate workspace search docs "lamp oil"
      tidegate workspace search docs "lamp oil" --top 10 --threshold 0
    """
    asked: dict[str, Any] = {"query": query, "topN": top, "scoreThreshold": threshold}
    asked = {name: value for name, value in asked.items() if value is not None}
    with errors_told():
        server = find_server(url, key, os.environ)
        found_slug = slug_of(workspace_named(server, slug))
        told = send(server, "POST", path_of(found_slug, "/vector-search"), asked, timeout=60)
    results = members(told, "results")
    if as_json:
        click.echo(json.dumps(results, indent=2))
    elif results:
        _show(results)
    elif isinstance(told, dict) and told.get("message"):
        click.echo(f"There is nothing to find yet; see: tidegate workspace documents {printable(found_slug)}")
    else:
        click.echo("Nothing was found; --threshold 0 shows what fits badly, too.")


def _show(results: list[dict[str, Any]]) -> None:
    console = console_for_lines()
    for number, result in enumerate(results, start=1):
        metadata = result.get("metadata")
        source: Mapping[str, Any] = metadata if isinstance(metadata, dict) else {}
        line = source_line({**source, "score": result.get("score")})
        console.print(Text(f"{number}. {line}", style="bold"))
        text = Text(printable(str(result.get("text")).strip()))
        for each in text.wrap(console, max(console.width - len(_INDENT), 1)):
            each.rstrip()
            console.print(Text.assemble(_INDENT, each))
        console.print()
