"""``tidegate keys``: make virtual keys, list them, and take them back."""

from __future__ import annotations

import json
import re
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Never

import click
from sqlalchemy import Connection

from tidegate.access.keys import digest_of
from tidegate.access.stored_keys import PREFIX
from tidegate.cli.stored import config_option, fail, in_store
from tidegate.cli.terminal.tables import show_table
from tidegate.store.keys import KeyRow, expire_key, find_key, insert_key, list_keys, revoke_key

_SHOWN: Final = len(PREFIX) + 6
_CALLER: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_PERIOD: Final = re.compile(r"([0-9]{1,5})(ms|s|m|h|d|w)")
_MILLISECONDS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def period(text: str) -> int:
    """The ms of a duration such as 30d."""
    match = _PERIOD.fullmatch(text.strip().lower())
    if match is None:
        raise click.BadParameter(f"{text!r} is no period; write one such as 12h, 30d or 4w")
    return int(match[1]) * _MILLISECONDS[match[2]]


def _names(text: str) -> list[str]:
    """Names with commas between them."""
    names = [each.strip() for each in text.split(",") if each.strip()]
    if not names:
        raise click.BadParameter("name at least one, or leave the option out for all")
    return list(dict.fromkeys(names))


def _caller(text: str) -> str:
    """Who a key belongs to."""
    if not _CALLER.fullmatch(text):
        raise click.BadParameter(f"{text!r} must be small letters, digits and dashes, 64 at most")
    return text


@dataclass(frozen=True, slots=True)
class _Made:
    """A key that was made, which is shown this once."""

    key: str
    row: KeyRow


def _made(
    now_ms: int, caller: str, name: str, expires_ms: int | None, scope: tuple[Any, Any, str | None]
) -> _Made:
    key = PREFIX + secrets.token_hex(20)
    row = KeyRow(
        id=secrets.token_hex(5),
        caller=caller,
        name=name,
        digest=digest_of(key),
        shown=f"{key[:_SHOWN]}…",
        created_ms=now_ms,
        expires_ms=expires_ms,
        models=scope[0],
        workspaces=scope[1],
        on_disconnect=scope[2],
    )
    return _Made(key, row)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Make virtual keys, list them, and take them back.

    Works on the store itself, whether a gateway runs or not; one that runs notices within a second. As soon
    as there is a key, every request needs one.

    \b
    Examples:
      tidegate keys create --name laptop
      tidegate keys create --name ci --models fast,openai/* --expires 30d
      tidegate keys list
      tidegate keys rotate 1f0c9a7b2e --grace 1h
      tidegate keys revoke 1f0c9a7b2e
    """


@command.command("create")
@click.option("--name", metavar="NAME", default="", help="What it is for; for people.")
@click.option(
    "--caller",
    metavar="ID",
    type=_caller,
    help="Whose it is: streams, files and usage belong to a caller. Without it a new one.",
)
@click.option(
    "--models",
    metavar="A,B",
    type=_names,
    help="The models that it is for; a * at the end of a name stands for anything. Without it all.",
)
@click.option("--workspaces", metavar="A,B", type=_names, help="The workspaces that it is for, or all.")
@click.option(
    "--on-disconnect",
    type=click.Choice(["cancel", "drain", "detach"]),
    help="What becomes of its streams when their readers have left; without it what the model says.",
)
@click.option("--expires", metavar="PERIOD", type=period, help="How long it is good for, such as 30d.")
@click.option("--json", "as_json", is_flag=True, help="Print all that is known of the key, as JSON.")
@config_option
def create(
    name: str,
    caller: str | None,
    models: list[str] | None,
    workspaces: list[str] | None,
    on_disconnect: str | None,
    expires: int | None,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Make a key and print it, this once: only a hash of it is kept."""
    now_ms = _now_ms()
    owner = caller or f"caller-{secrets.token_hex(6)}"
    scope = (models, workspaces, on_disconnect)
    made = _made(now_ms, owner, name, None if expires is None else now_ms + expires, scope)
    in_store(config_path, lambda connection: insert_key(connection, made.row))
    _tell(made, as_json=as_json)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@config_option
def list_command(as_json: bool, config_path: Path | None) -> None:
    """List the keys of the store, revoked and expired ones too."""
    now_ms = _now_ms()
    rows = in_store(config_path, list_keys)
    if as_json:
        click.echo(json.dumps([_told(row, now_ms) for row in rows], indent=2))
    elif not rows:
        click.echo("There is no key yet; make one with: tidegate keys create")
    else:
        head = ("ID", "NAME", "CALLER", "KEY", "MODELS", "CREATED", "EXPIRES", "STATE")
        show_table(head, [_cells(row, now_ms) for row in rows], frozenset())


@command.command("revoke")
@click.argument("key_id", metavar="ID")
@config_option
def revoke(key_id: str, config_path: Path | None) -> None:
    """Take a key back, for good. Streams that are open go on."""

    def work(connection: Connection) -> KeyRow | None:
        revoke_key(connection, key_id, _now_ms())
        return find_key(connection, key_id)

    row = in_store(config_path, work)
    if row is None:
        _unknown(key_id)
    click.echo(f"{row.shown} of {row.caller} is revoked; a gateway that runs refuses it within a second.")


@command.command("rotate")
@click.argument("key_id", metavar="ID")
@click.option("--grace", metavar="PERIOD", type=period, default="0s", help="The old one is good that long.")
@click.option(
    "--expires", metavar="PERIOD", type=period, help="How long the new one is good for; else as the old one."
)
@click.option("--json", "as_json", is_flag=True, help="Print all that is known of the new key, as JSON.")
@config_option
def rotate(key_id: str, grace: int, expires: int | None, as_json: bool, config_path: Path | None) -> None:
    """Make a key that takes the place of another: same caller, same models, a new secret."""
    now_ms = _now_ms()

    def work(connection: Connection) -> _Made | KeyRow | None:
        old = find_key(connection, key_id)
        if old is None or old.revoked_ms is not None:
            return old
        period = expires
        if period is None and old.expires_ms is not None:
            period = old.expires_ms - old.created_ms
        ends_ms = None if period is None else now_ms + period
        scope = (old.models, old.workspaces, old.on_disconnect)
        made = _made(now_ms, old.caller, old.name, ends_ms, scope)
        insert_key(connection, made.row)
        if grace:
            expire_key(connection, key_id, now_ms + grace)
        else:
            revoke_key(connection, key_id, now_ms)
        return made

    made = in_store(config_path, work)
    if made is None:
        _unknown(key_id)
    if isinstance(made, KeyRow):
        fail(f"{key_id} is revoked; make another with: tidegate keys create --caller {made.caller}")
    _tell(made, as_json=as_json)


def _tell(made: _Made, *, as_json: bool) -> None:
    """The key alone goes to stdout, so that a script can take it from there."""
    if as_json:
        click.echo(json.dumps({"key": made.key, **_told(made.row, made.row.created_ms)}, indent=2))
        return
    click.echo(made.key)
    row = made.row
    click.echo(f"This is shown once. Its id is {row.id}, its caller {row.caller}.", err=True)


def _told(row: KeyRow, now_ms: int) -> dict[str, Any]:
    told = row._asdict()
    del told["digest"]
    return {**told, "state": _state(row, now_ms)}


def _cells(row: KeyRow, now_ms: int) -> tuple[str, ...]:
    models = "all" if row.models is None else ", ".join(row.models)
    expires = "never" if row.expires_ms is None else _moment(row.expires_ms)
    created = _moment(row.created_ms)
    return (row.id, row.name, row.caller, row.shown, models, created, expires, _state(row, now_ms))


def _state(row: KeyRow, now_ms: int) -> str:
    if row.revoked_ms is not None:
        return "revoked"
    return "expired" if row.expires_ms is not None and row.expires_ms <= now_ms else "valid"


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000).strftime("%Y-%m-%d %H:%M")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _unknown(key_id: str) -> Never:
    fail(f"there is no key with the id {key_id!r}; tidegate keys list shows the ids")
