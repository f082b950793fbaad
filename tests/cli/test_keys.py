"""`tidegate keys`: keys are made, listed, replaced and taken back in the store itself."""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import RunCommand

DAY_MS = 86_400_000


def listed(run_inside: RunCommand) -> list[dict[str, Any]]:
    done = run_inside("keys", "list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_a_key_is_printed_once_and_alone(run_inside: RunCommand, tmp_path: Path) -> None:
    """So that KEY=$(tidegate keys create) holds nothing else."""
    done = run_inside("keys", "create", "--name", "laptop")
    assert done.returncode == 0
    assert re.fullmatch(r"tg-[0-9a-f]{40}\n", done.stdout)
    (row,) = listed(run_inside)
    assert done.stderr == f"This is shown once. Its id is {row['id']}, its caller {row['caller']}.\n"
    assert (row["name"], row["state"], row["shown"]) == ("laptop", "valid", done.stdout[:9] + "…")
    assert (row["models"], row["workspaces"], row["expires_ms"], row["revoked_ms"]) == (None,) * 4
    assert re.fullmatch(r"caller-[0-9a-f]{12}", row["caller"])
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert done.stdout.strip().encode() not in files
    assert (tmp_path / "tidegate.db").stat().st_mode & 0o777 == 0o600


def test_a_key_may_be_limited(run_inside: RunCommand) -> None:
    options = ("--caller", "team-a", "--models", "fast, openai/*", "--workspaces", "docs", "--expires", "30d")
    made = json.loads(run_inside("keys", "create", "--json", *options).stdout)
    (row,) = listed(run_inside)
    assert {**row, "key": made["key"]} == made
    assert (row["caller"], row["models"], row["workspaces"]) == ("team-a", ["fast", "openai/*"], ["docs"])
    assert row["expires_ms"] - row["created_ms"] == 30 * DAY_MS


def test_keys_are_a_table(run_inside: RunCommand) -> None:
    assert "There is no key yet; make one with: tidegate keys create" in run_inside("keys", "list").stdout
    run_inside("keys", "create", "--name", "first")
    run_inside("keys", "create", "--name", "second\x1b[31m", "--models", "a,b", "--expires", "0s")
    head, _, first, second = [line for line in run_inside("keys", "list").stdout.splitlines() if line.strip()]
    assert head.split() == ["ID", "NAME", "CALLER", "KEY", "MODELS", "CREATED", "EXPIRES", "STATE"]
    assert first.split()[1] == "first"
    assert "never" in first
    assert first.rstrip().endswith("valid")
    assert "a, b" in second
    assert second.rstrip().endswith("expired")
    assert "\x1b" not in second
    assert f"{datetime.now():%Y-%m-}" in second


def test_a_key_is_revoked_for_good(run_inside: RunCommand) -> None:
    made = json.loads(run_inside("keys", "create", "--json").stdout)
    done = run_inside("keys", "revoke", made["id"])
    assert done.stdout == (
        f"{made['shown']} of {made['caller']} is revoked; a gateway that runs refuses it within a second.\n"
    )
    (first,) = listed(run_inside)
    run_inside("keys", "revoke", made["id"])
    assert listed(run_inside) == [first]
    assert first["state"] == "revoked"
    done = run_inside("keys", "rotate", made["id"])
    assert (done.returncode, done.stdout) == (1, "")
    assert f"make another with: tidegate keys create --caller {made['caller']}" in done.stderr


@pytest.mark.parametrize("command", ["revoke", "rotate"])
def test_an_unknown_id_is_told(run_inside: RunCommand, command: str) -> None:
    done = run_inside("keys", command, "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "tidegate: there is no key with the id 'nobody'; tidegate keys list shows the ids\n"


def test_a_key_is_rotated_with_its_caller_and_limits(run_inside: RunCommand) -> None:
    old = json.loads(run_inside("keys", "create", "--json", "--models", "a", "--expires", "7d").stdout)
    new = json.loads(run_inside("keys", "rotate", old["id"], "--json", "--grace", "1h").stdout)
    first, second = listed(run_inside)
    assert new["key"] != old["key"]
    assert (second["caller"], second["models"]) == (old["caller"], ["a"])
    assert second["expires_ms"] - second["created_ms"] == 7 * DAY_MS
    assert (first["state"], second["state"]) == ("valid", "valid")
    assert first["expires_ms"] - second["created_ms"] == 3_600_000
    run_inside("keys", "rotate", second["id"], "--expires", "1d")
    assert [row["state"] for row in listed(run_inside)] == ["valid", "revoked", "valid"]
    assert len({row["caller"] for row in listed(run_inside)}) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--expires", "soon"), "'soon' is no period; write one such as 12h, 30d or 4w"),
        (("--caller", "A B"), "'A B' must be small letters, digits and dashes, 64 at most"),
        (("--models", " , "), "name at least one, or leave the option out for all"),
    ],
)
def test_a_wrong_option_says_what_to_write(
    run_inside: RunCommand, options: tuple[str, ...], sentence: str
) -> None:
    done = run_inside("keys", "create", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Invalid value for '{options[0]}': {sentence}" in done.stderr


def test_the_store_of_the_settings_is_used(run_inside: RunCommand, tmp_path: Path) -> None:
    """Without the credentials that they refer to."""
    (tmp_path / "tidegate.yaml").write_text(
        "providers: {openai: {api_key: '${NOT_SET}'}}\nstore: 'sqlite:///other/keys.db'\n"
    )
    run_inside("keys", "create")
    assert (tmp_path / "other" / "keys.db").exists()
    assert not (tmp_path / "tidegate.db").exists()
    (tmp_path / "elsewhere.yaml").write_text("{}")
    assert "no key yet" in run_inside("keys", "list", "--config", "elsewhere.yaml").stdout


@pytest.mark.parametrize("command", [("keys", "list"), ("usage",), ("serve", "--check")])
def test_a_damaged_store_is_told(run_inside: RunCommand, tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "tidegate.db").write_bytes(b"not a database " * 100)
    done = run_inside(*command)
    assert done.returncode == 1
    assert "tidegate.db is damaged, or no SQLite database; move it away" in done.stdout + done.stderr


def test_a_gateway_does_not_start_on_a_store_of_a_newer_version(
    run_command: RunCommand, run_inside: RunCommand, tmp_path: Path
) -> None:
    run_inside("keys", "list")
    with sqlite3.connect(tmp_path / "tidegate.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    done = run_command("serve", "--port", "0")
    assert done.returncode == 1
    assert "tidegate.db is of version 9999, and this program knows" in done.stderr


def test_a_damaged_store_is_found_by_the_doctor(run_command: RunCommand, tmp_path: Path) -> None:
    (tmp_path / "tidegate.db").write_bytes(b"not a database " * 100)
    done = run_command("doctor")
    assert done.returncode == 1
    assert "tidegate.db is damaged, or no SQLite database" in " ".join(done.stdout.split())


def test_a_public_address_needs_a_key_in_the_store_or_the_settings(
    run_command: RunCommand, run_inside: RunCommand
) -> None:
    public = ("serve", "--check", "--host", "0.0.0.0")
    done = run_command("serve", "--port", "0", "--host", "0.0.0.0")
    assert done.returncode == 1
    assert 'server.host "0.0.0.0" can be reached from other machines, so callers need a key' in done.stderr
    assert "or make keys with tidegate keys create" in done.stderr
    assert run_inside(*public).stderr == done.stderr
    run_inside("keys", "create")
    assert run_inside(*public).stdout == "The settings are fine.\n"


def test_open_is_refused_where_the_store_holds_keys(run_inside: RunCommand, tmp_path: Path) -> None:
    (tmp_path / "tidegate.yaml").write_text("auth: {keys: open}\n")
    assert run_inside("serve", "--check").returncode == 0
    run_inside("keys", "create")
    done = run_inside("serve", "--check")
    assert (
        done.stderr
        == "tidegate: tidegate.yaml:1: auth.keys is open although the store holds keys; remove it.\n"
    )


@pytest.mark.parametrize("command", [("--help",), ("models", "--help"), ("chat", "--help")])
def test_other_commands_do_not_import_the_database(run_command: RunCommand, command: tuple[str, ...]) -> None:
    done = run_command(*command, environment={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 0
    assert "tidegate.cli" in done.stderr
    assert "sqlalchemy" not in done.stderr
