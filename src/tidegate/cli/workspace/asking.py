"""Asks a gateway about its workspaces, through AnythingLLM's API, and finds the one that is meant."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import quote

import click
import msgspec

from tidegate.cli.connection import WORKSPACES, Server, get, get_json, workspace_refusal
from tidegate.cli.terminal.lines import printable
from tidegate.errors import Broken, ConfigError, Rejected, SourceError

PATIENT: Final = 600.0
"""Seconds for what the gateway answers when it is done: it may have to read a book, and to embed it."""


def send(
    server: Server,
    method: str,
    path: str,
    fields: Mapping[str, Any] | None = None,
    *,
    timeout: float = 30.0,
) -> Any:
    """The value in the answer, for a path below ``/api/v1``. Raises SourceError, as do all here."""
    body = None if fields is None else msgspec.json.encode(fields)
    return get_json(server, f"{WORKSPACES}{path}", timeout, method, body)


def remove_workspace(server: Server, slug: str) -> None:
    """Delete a workspace, which is answered with a bare phrase."""
    status, told = get(server, f"{WORKSPACES}{path_of(slug)}", method="DELETE")
    if status != 200:
        raise workspace_refusal(server, status, told)


def path_of(slug: str, what: str = "") -> str:
    """The path of a workspace, or of something in it."""
    return f"/workspace/{quote(slug, safe='')}{what}"


def members(value: Any, name: str) -> list[dict[str, Any]]:
    """The objects in the list that an answer has under a name."""
    listed = value.get(name) if isinstance(value, dict) else None
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def listed(server: Server) -> list[dict[str, Any]]:
    """All workspaces, without what is in them."""
    return members(send(server, "GET", "/workspaces"), "workspaces")


def whole(server: Server, slug: str) -> dict[str, Any] | None:
    """The workspace of exactly this slug, with its documents."""
    return next(iter(members(send(server, "GET", path_of(slug)), "workspace")), None)


def found(server: Server, named: str) -> dict[str, Any] | None:
    """The workspace of this slug, else the only one of this name, with its documents."""
    exact = whole(server, named)
    if exact is not None:
        return exact
    same = [each for each in listed(server) if each.get("name") == named]
    return whole(server, str(same[0].get("slug"))) if len(same) == 1 else None


def workspace_named(server: Server, named: str) -> dict[str, Any]:
    """As :func:`found`; that there is none is an error, with the nearest one."""
    workspace = found(server, named)
    if workspace is None:
        raise unknown(server, named, "tidegate workspace list shows which there are")
    return workspace


def unknown(server: Server, named: str, hint: str) -> SourceError:
    """There is no such workspace; with the nearest there is, and a hint at what helps."""
    near = get_close_matches(named, [str(each.get("slug")) for each in listed(server)], n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ";"
    return Rejected(f"there is no workspace {named!r}{meant} {hint}", status=404)


def slug_of(workspace: Mapping[str, Any]) -> str:
    """What paths call a workspace."""
    return str(workspace.get("slug") or "")


def made(server: Server, name: str) -> dict[str, Any]:
    """A new workspace."""
    told = send(server, "POST", "/workspace/new", {"name": name})
    workspace = told.get("workspace") if isinstance(told, dict) else None
    if not isinstance(workspace, dict):
        raise Broken(f"{server.url} made no workspace; is it a Tidegate? Give the right address with --url")
    return workspace


@contextmanager
def errors_told() -> Iterator[None]:
    """Say what went wrong, and end the program."""
    try:
        yield
    except (SourceError, ConfigError) as error:
        click.echo(f"tidegate: {printable(error.message)}", err=True)
        sys.exit(1)
