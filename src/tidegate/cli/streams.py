"""``tidegate streams``: the streams of a running gateway, listed, looked at, answered and stopped."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import click

from tidegate.cli.answering import hint, reply_to, send_reply
from tidegate.cli.connection import find_server, get_json, server_options
from tidegate.cli.terminal.lines import printable
from tidegate.cli.terminal.tables import show_table
from tidegate.errors import ConfigError, SourceError

_STATUSES: Final = ("running", "completed", "failed", "cancelled", "interrupted")
_HEAD: Final = ("ID", "STATUS", "MODEL", "ASKED IN", "BEGAN", "EVENTS", "TOKENS")
_CANCEL_SECONDS: Final = 15.0
"""The gateway waits for the end, five seconds at most."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List the answers under way and of late, look at one, answer what one asks, stop one.

    Every answer is a stream, which its gateway keeps for `streams.retain` (an hour) after its end. A key sees
    its caller's own. `tidegate resume ID` goes on with one.

    \b
    Examples:
      tidegate streams list
      tidegate streams list --status running
      tidegate streams show 33e882854d09472aa90707b2e488beb2
      tidegate streams input 33e882854d09472aa90707b2e488beb2 yes
      tidegate streams cancel 33e882854d09472aa90707b2e488beb2
    """


@command.command("list")
@click.option("--status", type=click.Choice(_STATUSES), help="Only these.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, help="How many; default 20.")
@click.option("--json", "as_json", is_flag=True, help="Print what the gateway tells about each, as JSON.")
@server_options
def list_command(status: str | None, limit: int, as_json: bool, url: str | None, key: str | None) -> None:
    """List streams, the newest first."""
    chosen = f"&status={status}" if status is not None else ""
    with _errors_told():
        told = get_json(find_server(url, key, os.environ), f"/v1/streams?limit={limit}{chosen}")
    rows = _listed(told)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        click.echo("There are none." if status is None else f"There are none that are {status}.")
    else:
        show_table(_HEAD, [_cells(row) for row in rows], frozenset({"EVENTS", "TOKENS"}))
        if told.get("has_more"):
            click.echo(f"There are more; --limit shows up to 100, not {limit}.")


@command.command("show")
@click.argument("stream_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print all that the gateway tells, as JSON.")
@server_options
def show(stream_id: str, as_json: bool, url: str | None, key: str | None) -> None:
    """Show what has become of a stream, and its text so far."""
    with _errors_told():
        state = get_json(find_server(url, key, os.environ), _path(stream_id))
    if as_json:
        click.echo(json.dumps(state, indent=2))
        return
    rows = [(name, value) for name, value in _facts(state) if value]
    show_table(("", ""), rows, frozenset())
    if state.get("text"):
        click.echo(printable(str(state["text"])))


@command.command("input")
@click.argument("stream_id", metavar="ID")
@click.argument("text")
@click.option("--question", metavar="ID", help="Which question, where several are open.")
@server_options
def answer(stream_id: str, text: str, question: str | None, url: str | None, key: str | None) -> None:
    """Answer what a stream asks for: an agent that waits for a person goes on with TEXT.

    Approval is given with yes or no. For a question with a form TEXT is JSON. With - as TEXT the input is
    read. `tidegate streams show ID` shows the question.
    """
    typed = sys.stdin.read().rstrip("\n") if text == "-" else text
    with _errors_told():
        server = find_server(url, key, os.environ)
        state = get_json(server, _path(stream_id))
        asked = [each for each in state.get("input_required") or () if question in (None, each.get("id"))]
        if len(asked) > 1:
            ids = ", ".join(str(each.get("id")) for each in asked)
            raise ConfigError(f"the stream asks several things; say which with --question: {ids}")
        reply = reply_to(asked[0], typed) if asked else {"id": question, "text": typed}
        if reply is None:
            raise ConfigError(f"this is answered with {hint(asked[0])}: {asked[0].get('question')}")
        send_reply(server, stream_id, reply)
    click.echo(f"{printable(stream_id)}: goes on")


@command.command("cancel")
@click.argument("stream_ids", metavar="ID...", nargs=-1, required=True)
@server_options
def cancel(stream_ids: Sequence[str], url: str | None, key: str | None) -> None:
    """Stop streams, wherever they are read. Their readers get what there is, and an error that says so."""
    with _errors_told():
        server = find_server(url, key, os.environ)
        for stream_id in stream_ids:
            state = get_json(server, _path(stream_id), _CANCEL_SECONDS, "DELETE")
            click.echo(f"{printable(stream_id)}: {_END_WORDS.get(str(state.get('status')), 'has ended')}")


_END_WORDS: Final = {
    "running": "is being stopped",
    "cancelled": "is stopped",
    "completed": "was complete already",
    "failed": "had failed already",
    "interrupted": "had been interrupted already",
}


def _path(stream_id: str) -> str:
    return f"/v1/streams/{quote(stream_id, safe='')}"


def _listed(told: Any) -> list[dict[str, Any]]:
    rows = told.get("data") if isinstance(told, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    usage = row.get("usage") or {}
    tokens = usage.get("output_tokens")
    words: tuple[tuple[str, Callable[[Any], str]], ...] = (
        ("id", str),
        ("status", str),
        ("model", str),
        ("dialect", str),
        ("created", _when),
        ("last_seq", lambda seq: f"{seq:,}"),
    )
    cells = [word(row[name]) if row.get(name) is not None else "" for name, word in words]
    return (*cells, f"{tokens:,}" if isinstance(tokens, int) and tokens else "")


def _facts(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What there is to say of a stream, line by line."""
    yield from zip(
        ("id", "status", "model", "asked in", "began", "events", "tokens"), _cells(state), strict=True
    )
    for asked in state.get("input_required") or ():
        how = f" ({hint(asked)})" if hint(asked) else ""
        yield "asks", f"{asked.get('question')}{how}: tidegate streams input {state.get('id')} TEXT"
    error = state.get("error")
    if isinstance(error, dict):
        yield "error", str(error.get("message"))
    for attempt in state.get("attempts") or ():
        seconds = f"{attempt.get('seconds', 0):.1f} s"
        why = f", {attempt['error']}" if attempt.get("error") else ""
        yield "attempt", f"{attempt.get('deployment')}: {attempt.get('outcome')} after {seconds}{why}"
    for seam in state.get("seams") or ():
        yield (
            "seam",
            f"behind event {seam.get('seq')}: {seam.get('before')} broke off, {seam.get('after')} went on",
        )


def _when(created: Any) -> str:
    return datetime.fromtimestamp(created).strftime("%Y-%m-%d %H:%M:%S") if isinstance(created, int) else ""


@contextmanager
def _errors_told() -> Iterator[None]:
    try:
        yield
    except (SourceError, ConfigError) as error:
        click.echo(f"tidegate: {printable(error.message)}", err=True)
        sys.exit(1)
