"""Brings a database to the shape that `schema.py` describes, once, whoever opens it first."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect

from tidegate.errors import StoreError
from tidegate.store.schema import metadata

HEAD: Final = "0002"
"""The newest step in `versions/`; steps are numbered."""

_VERSIONS: Final = "alembic_version"


def migrate(connection: Connection, path: Path) -> None:
    """Make the tables of a new database, or take the steps that an older one lacks. Raises StoreError.

    Others that open it at the same time wait, and find it done.
    """
    connection.execution_options(begin="BEGIN")
    with connection.begin():
        if _version(connection) == HEAD:
            return
    connection.execution_options(begin="BEGIN IMMEDIATE")
    with connection.begin():
        version = _version(connection)
        if version is None:
            _create(connection, path)
        elif version > HEAD or len(version) != len(HEAD):
            raise StoreError(
                f"{path} is of version {version}, and this program knows {HEAD} at most; install the newer "
                "Tidegate that wrote it, or name another file in 'store'"
            )
        elif version != HEAD:
            upgrade(connection)


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Take the steps up to ``revision`` in the transaction that is open. ``revision`` is for tests."""
    # Slow to import, and needed only when the shape has changed since the last start.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _version(connection: Connection) -> str | None:
    """The version of the database; None before it has one."""
    if not inspect(connection).has_table(_VERSIONS):
        return None
    found: str | None = connection.exec_driver_sql(f"SELECT version_num FROM {_VERSIONS}").scalar()
    return found


def _create(connection: Connection, path: Path) -> None:
    others = inspect(connection).get_table_names()
    if others:
        raise StoreError(
            f"{path} holds tables of another program ({', '.join(others[:3])}); name another file in 'store'"
        )
    metadata.create_all(connection, checkfirst=False)
    connection.exec_driver_sql(f"CREATE TABLE {_VERSIONS} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    connection.exec_driver_sql(f"INSERT INTO {_VERSIONS} VALUES ('{HEAD}')")
