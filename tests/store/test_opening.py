"""Opening the file: who may read it, files of other programs and versions, and many processes at once."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

from tidegate.errors import StoreError
from tidegate.store import migrations, sqlite
from tidegate.store.database import Database
from tidegate.store.schema import metadata


def open_and_close(path: Path) -> None:
    async def main() -> None:
        database = Database(path, busy_seconds=0.2)
        await database.open()
        await database.close()

    asyncio.run(main())


def refusal(path: Path) -> str:
    with pytest.raises(StoreError) as raised:
        open_and_close(path)
    return raised.value.message


def migrated(path: Path, *, by_steps: bool) -> Connection:
    """A new database made at once, or by all the steps that there ever were."""
    connection = sqlite.connect(path)
    if by_steps:
        with connection.begin():
            migrations.upgrade(connection)
    else:
        migrations.migrate(connection, path)
    return connection


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_the_file_and_its_folder_are_their_owners_only(tmp_path: Path) -> None:
    async def main() -> dict[str, int]:
        database = Database(tmp_path / "home" / "tidegate.db")
        await database.open()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "home").iterdir()}
        await database.close()
        return modes

    old = os.umask(0)
    try:
        modes = asyncio.run(main())
    finally:
        os.umask(old)
    assert modes == dict.fromkeys(("tidegate.db", "tidegate.db-wal", "tidegate.db-shm"), 0o600)
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_file_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.db"
    path.touch(0o644)
    open_and_close(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_relative_path_begins_at_the_data_folder(tmp_path: Path) -> None:
    environ = {"TIDEGATE_HOME": str(tmp_path)}
    assert Database.at("sqlite:///a/b.db", environ).path == tmp_path / "a" / "b.db"
    assert Database.at(f"sqlite:///{tmp_path}/c.db", environ).path == tmp_path / "c.db"


def test_the_journal_is_written_ahead(tmp_path: Path) -> None:
    connection = migrated(tmp_path / "tidegate.db", by_steps=False)
    pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
    sqlite.close(connection)
    assert found == ["wal", 1, 1, 5000]


def test_a_new_database_equals_one_that_took_every_step(tmp_path: Path) -> None:
    shapes = []
    for by_steps in (True, False):
        connection = migrated(tmp_path / f"{by_steps}.db", by_steps=by_steps)
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        indexes = "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name"
        columns = {
            table: [
                (c["name"], str(c["type"]), c["nullable"]) for c in inspect(connection).get_columns(table)
            ]
            for table in sorted(metadata.tables)
        }
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").all()
        shapes.append((connection.exec_driver_sql(indexes).all(), columns, version))
        sqlite.close(connection)
    assert shapes[0] == shapes[1]
    assert shapes[0][2] == [(migrations.HEAD,)]


def test_an_older_database_takes_the_steps_that_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as there is only one step: one that is before it has a version and nothing else."""
    path = tmp_path / "tidegate.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('0000')")
    connection.close()
    taken: list[Connection] = []
    monkeypatch.setattr(migrations, "upgrade", taken.append)
    open_and_close(path)
    assert len(taken) == 1


def test_a_current_database_is_opened_without_alembic(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from tidegate.store.database import Database\n"
        "async def main():\n"
        "    for _ in range(2):\n"
        "        database = Database(Path(sys.argv[1])); await database.open(); await database.close()\n"
        "asyncio.run(main()); print('alembic' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "tidegate.db")]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == "False\n"


def test_many_processes_open_a_new_database_at_once(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from tidegate.store.database import Database\n"
        "from sqlalchemy import insert; from tidegate.store.schema import counters\n"
        "async def main():\n"
        "    sys.stdin.readline(); database = Database(Path(sys.argv[1])); await database.open()\n"
        "    await database.run(lambda c: c.execute(insert(counters).values(name=sys.argv[2], value=1)))\n"
        "    await database.close()\n"
        "asyncio.run(main())"
    )
    path = tmp_path / "tidegate.db"
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), str(number)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write("go\n")
        opener.stdin.flush()
    assert [opener.communicate(timeout=30)[1] for opener in openers] == [""] * 4
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM counters").fetchone() == (4,)
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    connection.close()


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.db"
    open_and_close(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert refusal(path) == (
        f"{path} is of version 9999, and this program knows {migrations.HEAD} at most; install the newer "
        "Tidegate that wrote it, or name another file in 'store'"
    )


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE cookies (name TEXT)")
    connection.close()
    assert refusal(path).endswith("holds tables of another program (cookies); name another file in 'store'")


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_left_alone_and_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tidegate.db"
    path.write_bytes(content)
    assert refusal(path) == (
        f"{path} is damaged, or no SQLite database; move it away, with tidegate.db-wal and tidegate.db-shm, "
        "and a new one is begun"
    )
    assert path.read_bytes() == content


def test_a_file_that_another_program_keeps_to_itself_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert refusal(path) == f"{path} is locked by another program; close whatever else has it open"
    other.close()


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "tidegate.db").mkdir()
    assert "tidegate.db cannot be opened: Is a directory" in refusal(tmp_path / "tidegate.db")


def test_a_second_connection_takes_no_lock_from_the_first(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.db"
    first = migrated(path, by_steps=False)
    sqlite.close(sqlite.connect(path))
    # Another process that believes to be the last one folds the log away under the first.
    reads = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM keys').fetchall()"
    subprocess.run([sys.executable, "-c", reads, str(path)], check=True)
    with first.begin():
        first.exec_driver_sql("INSERT INTO counters VALUES ('seen', 1)")
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT value FROM counters").fetchall() == [(1,)]
    sqlite.close(first)
