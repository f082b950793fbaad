"""Opens the store for commands that work on it themselves, with or without a gateway beside them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Never, TypeVar

import click
from sqlalchemy import Connection

from tidegate.cli.terminal.lines import printable
from tidegate.config import Config, load_store
from tidegate.errors import ConfigError, StoreError
from tidegate.store.database import Database
from tidegate.store.keys import list_keys

T = TypeVar("T")

config_option: Final = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings that name the store; without it ./tidegate.yaml if there is one.",
)


def in_store(config_path: Path | None, work: Callable[[Connection], T]) -> T:
    """What ``work`` returns, once it is committed. Where that fails, says why and ends the program."""
    try:
        database = Database.at(load_store(config_path, os.environ), os.environ)
        return asyncio.run(_done(database, work))
    except (ConfigError, StoreError) as error:
        fail(error.message)


def count_keys(config: Config) -> int:
    """How many keys the store holds, which is not made for that. Raises StoreError."""
    database = Database.at(config.store, os.environ)
    if not database.path.exists():
        return 0
    return len(asyncio.run(_done(database, list_keys)))


async def _done(database: Database, work: Callable[[Connection], T]) -> T:
    await database.open()
    try:
        return await database.run(work)
    finally:
        await database.close()


def fail(message: str) -> Never:
    """Say what is wrong and end the program."""
    click.echo(f"tidegate: {printable(message)}", err=True)
    sys.exit(1)
