"""``tidegate workspace add``: reads files, folders and links into a workspace."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tidegate.cli.connection import Server, find_server, server_options
from tidegate.cli.terminal.lines import printable, tolerate_any_text
from tidegate.cli.workspace.asking import (
    errors_told,
    found,
    made,
    members,
    send,
    slug_of,
    unknown,
    whole,
)
from tidegate.cli.workspace.gathering import Gathered, gather
from tidegate.cli.workspace.uploading import Sent, Stopped, Uploads
from tidegate.errors import ConfigError, SourceError

_INTERRUPTED: Final = 130
_LOOK_SECONDS: Final = 0.5
_LONGEST_SHOWN: Final = 40


@click.command("add")
@click.argument("slug")
@click.argument("sources", metavar="FILE|FOLDER|URL...", nargs=-1, required=True)
@click.option("--create", "creates", is_flag=True, help="Make the workspace where there is none.")
@server_options
def add(slug: str, sources: Sequence[str], creates: bool, url: str | None, key: str | None) -> None:
    """Put documents into a workspace: files, all files below folders, and pages of the web.

    Text, Markdown, HTML, PDF, Word, PowerPoint, Excel, OpenDocument, CSV, JSON, EPUB and mail are read, as
    far as the gateway has what that needs. Of folders, files of other kinds and hidden ones are left out.

    What is there already is not sent again, so that a run that was stopped goes on where it was when it is
    repeated. A file is known by its path from the current folder: one that has changed replaces what was
    read from it before.

    \b
    Examples:
      tidegate workspace add docs ./manuals
      tidegate workspace add docs ./manuals/**/*.pdf notes.md
      tidegate workspace add docs https://example.com/page --create

    What cannot be read is told at the end, and makes the exit code 1; the rest is there nevertheless.
    """
    for stream in (sys.stdout, sys.stderr):
        tolerate_any_text(stream)
    with errors_told():
        server = find_server(url, key, os.environ)
        gathered = gather(sources, _extensions(server))
        _check(gathered)
        workspace = _workspace(server, slug, creates=creates)
        run = _Run(server, workspace, gathered)
        try:
            run.send_all()
        except KeyboardInterrupt:
            click.echo(f"\nStopped: {run.tally()}. The same command goes on from there.", err=True)
            sys.exit(_INTERRUPTED)
    if run.failed:
        sys.exit(1)


def _extensions(server: Server) -> frozenset[str]:
    """What of a folder is taken."""
    told = send(server, "GET", "/document/accepted-file-types")
    types = told.get("types") if isinstance(told, dict) else None
    listed = types.values() if isinstance(types, dict) else ()
    return frozenset(str(each).lower() for several in listed if isinstance(several, list) for each in several)


def _check(gathered: Gathered) -> None:
    """Raise ConfigError where there is nothing to do."""
    if gathered.wanted:
        return
    if gathered.missing:
        raise ConfigError(_missing(gathered.missing[0]))
    kinds = f"; it has {_kinds(gathered)}" if gathered.left_out else ""
    raise ConfigError(f"there is no file that the gateway reads in this folder{kinds}")


def _missing(argument: str) -> str:
    return f"{argument}: there is no such file or folder"


def _kinds(gathered: Gathered) -> str:
    count = gathered.left_out.total()
    kinds = ", ".join(kind for kind, _ in gathered.left_out.most_common(5))
    return f"{count} {'file' if count == 1 else 'files'} of other kinds: {kinds}"


def _workspace(server: Server, slug: str, *, creates: bool) -> dict[str, Any]:
    workspace = found(server, slug)
    if workspace is not None:
        return workspace
    if not creates:
        raise unknown(server, slug, "--create makes it")
    new = made(server, slug)
    click.echo(f"{printable(slug_of(new))}: is made", err=True)
    return new


class _Tell(Protocol):
    """Shows how far it has come."""

    def sent(self, name: str, outcome: str) -> None: ...

    def waiting(self, count: int) -> None: ...


@dataclass
class _Run:
    """One run: what it has done, and what failed."""

    server: Server
    workspace: dict[str, Any]
    gathered: Gathered
    outcomes: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    def send_all(self) -> None:
        """Send everything, wait until it can be found, and say what became of it."""
        self.failed += [_missing(each) for each in self.gathered.missing]
        inside = members(self.workspace, "documents")
        done: dict[str, tuple[str, str]] = {}
        try:
            with _telling(len(self.gathered.wanted)) as tell:
                self._upload(inside, done, tell)
                self._wait(done, tell)
        finally:
            for sentence in self.failed:
                click.echo(f"tidegate: {printable(sentence)}", err=True)
        if self.gathered.left_out:
            click.echo(f"Left out {_kinds(self.gathered)}.", err=True)
        click.echo(f"{printable(slug_of(self.workspace))}: {self.tally()}")

    def _upload(self, inside: list[dict[str, Any]], done: dict[str, tuple[str, str]], tell: _Tell) -> None:
        """Send what is not there; ``done`` gets names and outcomes by the ids of documents."""
        usable = [each for each in inside if each.get("state") != "failed"]
        there = {str(each.get("contentHash")): str(each.get("docId")) for each in usable}
        before = frozenset(there.values())
        wanted = self.gathered.wanted
        uploads = Uploads(self.server, slug_of(self.workspace), wanted, there)
        for _ in wanted:
            came = uploads.next()
            if isinstance(came, Stopped):
                raise _went_on(came.error, self.tally())
            outcome = _outcome(came, before, done)
            if came.error:
                self.failed.append(_failure(came))
            else:
                done.setdefault(came.document, (came.wanted.shown, outcome))
            self.outcomes[outcome] += 1
            tell.sent(came.wanted.shown, outcome)

    def _wait(self, done: dict[str, tuple[str, str]], tell: _Tell) -> None:
        """Wait until what was sent can be found; what cannot is told as failed."""
        pause = threading.Event()
        while True:
            now = whole(self.server, slug_of(self.workspace))
            ours = [each for each in members(now, "documents") if each.get("docId") in done]
            waiting = sum(each.get("state") == "waiting" for each in ours)
            if not waiting:
                break
            tell.waiting(waiting)
            pause.wait(_LOOK_SECONDS)
        for each in ours:
            if each.get("state") == "failed":
                name, outcome = done[str(each.get("docId"))]
                self.failed.append(f"{name}: {each.get('error')}")
                self.outcomes["failed"] += 1
                self.outcomes[outcome] -= 1

    def tally(self) -> str:
        """How many of which outcome, in words."""
        missing = len(self.gathered.missing)
        counts = self.outcomes + Counter({"failed": missing} if missing else {})
        words = [f"{counts[outcome]} {word}" for outcome, word in _WORDS.items() if counts[outcome] > 0]
        return ", ".join(words) or "nothing was added"


_WORDS: Final = {
    "added": "added",
    "updated": "updated",
    "known": "there already",
    "failed": "failed",
}


def _outcome(came: Sent, before: frozenset[str], done: Mapping[str, object]) -> str:
    if came.error:
        return "failed"
    if came.known or came.document in done:
        return "known"
    if came.document in before:
        # A page that is fetched again may be the same, which only the gateway knows.
        return "updated" if came.wanted.path is not None else "known"
    return "added"


def _failure(came: Sent) -> str:
    """What failed and why; the gateway says the name that it was sent."""
    shown = came.wanted.shown
    sentence = came.error.replace(came.wanted.name, shown)
    return sentence if shown in sentence else f"{shown}: {sentence}"


def _went_on(error: SourceError, tally: str) -> SourceError:
    """The error that ends a run, with where it was."""
    error.message = f"{error.message} ({tally}; the same command goes on from there)"
    return error


class _Lines:
    """One line for each document, where nobody looks."""

    def sent(self, name: str, outcome: str) -> None:
        if outcome != "failed":  # which is told at the end
            click.echo(f"{printable(name)}: {_WORDS[outcome]}")

    def waiting(self, count: int) -> None:
        """Nothing: the lines are there."""


class _Bar:
    """A bar, and which document came last."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total, name="")

    def sent(self, name: str, outcome: str) -> None:
        shown = printable(name)
        if len(shown) > _LONGEST_SHOWN:
            shown = f"…{shown[1 - _LONGEST_SHOWN :]}"
        self._progress.update(self._task, advance=1, name=shown)

    def waiting(self, count: int) -> None:
        self._progress.update(self._task, name=f"{count} are being cut into passages")


@contextmanager
def _telling(total: int) -> Iterator[_Tell]:
    console = Console(highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Lines()
        return
    columns = (
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}", style="dim", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress, total)
