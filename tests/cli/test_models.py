"""`tidegate models`: a table for people and JSON for programs."""

from __future__ import annotations

import json

from tests.cli.conftest import RunCommand
from tests.gateway import Gateway
from tidegate.cli.models import Listing, table

Environment = dict[str, str]


def test_table_lists_every_model(run_command: RunCommand, gateway: Gateway, at: Environment) -> None:
    done = run_command("models", environment=at)
    assert (done.returncode, done.stderr) == (0, "")
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["MODEL", "OWNER", "CONTEXT"]
    assert {"m", "again", "demo"} <= {row.split()[0] for row in rows}


def test_json_is_what_the_gateway_tells(run_command: RunCommand, gateway: Gateway, at: Environment) -> None:
    done = run_command("models", "--json", environment=at)
    assert json.loads(done.stdout) == gateway.get("/v1/models")["data"]


def test_without_a_gateway_the_command_that_starts_one_is_told(run_command: RunCommand) -> None:
    done = run_command("models", "--url", "http://127.0.0.1:1/v1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No gateway answers at http://127.0.0.1:1; start one with: tidegate serve" in done.stderr


def test_columns_line_up_also_for_wide_names_and_the_default_is_marked() -> None:
    models = (
        {"id": "通义千问", "owned_by": "qwen", "context_length": 131072},
        {"id": "fast", "owned_by": None, "context_length": None},
    )
    assert table(Listing(models, "fast")) == [
        "MODEL           OWNER  CONTEXT",
        "通义千问        qwen   131,072",
        "fast (default)",
    ]
