"""`tidegate usage`: what the ledger adds up to, for people and for programs."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import RunCommand
from tidegate.store.database import Database
from tidegate.store.generations import GenerationRow, write_generations

HOUR_MS = 3_600_000


def generation(number: int, **changes: Any) -> GenerationRow:
    """One of an hour ago, which took 2 s; its first token came after half a second."""
    return GenerationRow(
        stream=f"{number:032}",
        caller="alice",
        key_id=None,
        parent=None,
        model="fast",
        answered=None,
        dialect="openai-chat",
        outcome="completed",
        error=None,
        created_ms=time.time_ns() // 1_000_000 - HOUR_MS,
        first_ms=500,
        total_ms=2000,
        input_tokens=1000,
        output_tokens=200,
        cached_tokens=600,
        reasoning_tokens=50,
        estimated=False,
        attempts=[],
    )._replace(**changes)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A data folder whose ledger holds four generations."""
    now = time.time_ns() // 1_000_000
    rows = [
        generation(1),
        generation(2, caller="bob", outcome="failed", first_ms=None, output_tokens=0),
        generation(3, model="slow\x1b[2J", outcome="cancelled", estimated=True, output_tokens=7),
        generation(4, created_ms=now - 50 * HOUR_MS),
    ]

    async def main() -> None:
        database = Database(tmp_path / "tidegate.db")
        await database.open()
        await database.run(lambda connection: write_generations(connection, rows))
        await database.close()

    asyncio.run(main())
    return tmp_path


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip() and "──" not in line]


def test_usage_by_model_is_a_table(run_inside: RunCommand, ledger: Path) -> None:
    done = run_inside("usage")
    assert (done.returncode, done.stderr) == (0, "")
    head, fast, slow, total = lines(done.stdout)
    assert " ".join(head) == (
        "MODEL ANSWERS FAILED CANCELLED INPUT CACHED OUTPUT REASONING FIRST TOKEN TOTAL"
    )
    assert fast == ["fast", "3", "1", "0", "3,000", "1,800", "400", "150", "0.50", "s", "2.00", "s"]
    assert slow[:7] == ["slow[2J", "1", "0", "1", "~1,000", "600", "~7"]
    assert total[:7] == ["total", "4", "1", "1", "~4,000", "2,400", "~407"]


def test_usage_by_caller_and_since(run_inside: RunCommand, ledger: Path) -> None:
    rows = json.loads(run_inside("usage", "--by", "caller", "--since", "24h", "--json").stdout)
    assert [(row["caller"], row["generations"], row["output_tokens"]) for row in rows] == [
        ("alice", 2, 207),
        ("bob", 1, 0),
    ]
    assert (rows[1]["first_ms"], rows[1]["total_ms"], rows[1]["failed"]) == (None, 2000, 1)


def test_usage_by_day_of_one_caller(run_inside: RunCommand, ledger: Path) -> None:
    rows = json.loads(run_inside("usage", "--by", "day", "--caller", "alice", "--json").stdout)
    assert [row["generations"] for row in rows] == [1, 2]
    assert rows[0]["day"] < rows[1]["day"]


def test_an_empty_ledger_says_so(run_inside: RunCommand) -> None:
    assert run_inside("usage").stdout == "Nothing was asked yet.\n"
    assert run_inside("usage", "--since", "1h").stdout == "Nothing was asked in that time.\n"
