"""The ledger: one row for a generation, and where its tokens come from."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from tidegate.access.ledger import Ended, Ledger, estimate
from tidegate.core.attempt import Attempt
from tidegate.core.event import Failure
from tidegate.core.request import Header
from tidegate.core.usage import Usage
from tidegate.store.database import Database
from tidegate.store.generations import add_up
from tidegate.store.schema import generations

SECOND = 1_800_000_000
NOW = SECOND * 1000 + 500
BODY = json.dumps({"messages": [{"role": "user", "content": "Good morning!"}]}).encode()


def ended(stream: str = "a" * 32, *, created: int = SECOND - 1, **changes: Any) -> Ended:
    """A generation that took 1.4 s and was completed, begun in the second ``created``."""
    header = Header(
        id=stream, caller="c", dialect="openai-chat", model="m", created=created, body=BODY, key="k"
    )
    usage = Usage(input_tokens=10, output_tokens=5, cached_tokens=4, reasoning_tokens=2)
    whole = Ended(header, "completed", None, NOW, 300, 1400, 6, 24, usage, None, ())
    return whole._replace(**changes)


def rows(tmp_path: Path, *batches: list[Ended]) -> list[Any]:
    """The rows of the ledger after these were recorded, each batch in a transaction of its own."""

    async def main() -> list[Any]:
        database = Database(tmp_path / "tidegate.db")
        await database.open()
        ledger = Ledger(database)
        for batch in batches:
            for each in batch:
                ledger.record(each)
            ledger.flush()
            await database.run(lambda _: None)
        found = await database.read(lambda c: list(c.execute(select(generations))))
        await database.close()
        return found

    return asyncio.run(main())


def row(tmp_path: Path, one: Ended) -> Any:
    (found,) = rows(tmp_path, [one])
    return found


def test_what_an_upstream_counted_is_taken_as_it_is(tmp_path: Path) -> None:
    attempt = Attempt(deployment="up/x", began_ms=NOW - 1400, seconds=1.4, outcome="completed", deltas=6)
    found = row(tmp_path, ended(attempts=(attempt,), answered="other"))
    assert found._asdict() == {
        "stream": "a" * 32,
        "caller": "c",
        "key_id": "k",
        "parent": None,
        "model": "m",
        "answered": "other",
        "dialect": "openai-chat",
        "outcome": "completed",
        "error": None,
        "created_ms": NOW - 1400,
        "first_ms": 300,
        "total_ms": 1400,
        "input_tokens": 10,
        "output_tokens": 5,
        "cached_tokens": 4,
        "reasoning_tokens": 2,
        "estimated": False,
        "attempts": [
            {
                "deployment": "up/x",
                "began_ms": NOW - 1400,
                "seconds": 1.4,
                "outcome": "completed",
                "deltas": 6,
            }
        ],
    }


@pytest.mark.parametrize("outcome", ["completed", "failed", "cancelled", "interrupted"])
def test_deltas_count_where_the_upstream_counted_nothing(tmp_path: Path, outcome: str) -> None:
    found = row(tmp_path, ended(outcome=outcome, usage=None))
    assert (found.output_tokens, found.estimated, found.outcome) == (6, True, outcome)
    assert found.input_tokens == estimate(BODY) > 0


def test_what_was_counted_before_the_answer_counts_when_it_breaks_off(tmp_path: Path) -> None:
    begun = Usage(input_tokens=77, output_tokens=1, cached_tokens=70)
    attempt = Attempt(
        deployment="up/x", began_ms=NOW, seconds=1.4, outcome="cancelled", deltas=6, usage=begun
    )
    found = row(tmp_path, ended(outcome="cancelled", usage=None, attempts=(attempt,)))
    assert (found.input_tokens, found.cached_tokens, found.output_tokens) == (77, 70, 6)
    assert found.estimated


def test_large_deltas_count_by_their_letters(tmp_path: Path) -> None:
    found = row(tmp_path, ended(outcome="cancelled", usage=None, deltas=2, characters=600))
    assert found.output_tokens == 100


def test_an_answer_with_a_seam_is_partly_estimated(tmp_path: Path) -> None:
    assert row(tmp_path, ended(seamed=True)).estimated


def test_what_was_never_answered_costs_nothing(tmp_path: Path) -> None:
    error = Failure("no connection", "upstream_error", code="connect", status=502)
    found = row(tmp_path, ended(outcome="failed", error=error, usage=None, deltas=0, first_ms=None))
    assert (found.input_tokens, found.output_tokens, found.estimated) == (0, 0, False)
    assert (found.error, found.first_ms) == ("connect", None)


def test_a_generation_has_one_row_however_often_it_is_recorded(tmp_path: Path) -> None:
    cut = ended(outcome="interrupted", usage=None)
    found = rows(tmp_path, [cut, cut], [ended("b" * 32), ended()], [ended()])
    assert sorted((each.stream[0], each.outcome) for each in found) == [
        ("a", "completed"),
        ("b", "completed"),
    ]


def test_a_generation_that_is_taken_up_again_began_when_it_first_did(tmp_path: Path) -> None:
    """Also when the process that began it wrote no row: its header says when."""
    again = ended(created=SECOND - 60)
    (found,) = rows(tmp_path, [again])
    assert (found.created_ms, found.total_ms, found.first_ms) == ((SECOND - 60) * 1000, 60_500, None)
    later = again._replace(ended_ms=NOW + 9000)
    (found,) = rows(tmp_path, [later])
    assert (found.created_ms, found.total_ms) == ((SECOND - 60) * 1000, 69_500)


def test_what_was_recovered_does_not_replace_what_is_known_better(tmp_path: Path) -> None:
    recovered = ended(first_ms=None, usage=None, recovered=True)
    (found,) = rows(tmp_path, [ended()], [recovered])
    assert (found.first_ms, found.output_tokens) == (300, 5)
    found = rows(tmp_path, [recovered._replace(header=ended("b" * 32).header)])
    assert len(found) == 2


def test_rows_are_written_without_being_asked_to(tmp_path: Path) -> None:
    async def main() -> int:
        database = Database(tmp_path / "tidegate.db")
        await database.open()
        ledger = Ledger(database)
        ledger.record(ended())
        async with asyncio.timeout(10):
            while not (found := await database.read(lambda c: add_up(c, "model"))):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await database.close()
        return found[0].generations

    assert asyncio.run(main()) == 1


def test_usage_adds_up_by_model_caller_and_day(tmp_path: Path) -> None:
    day = 86_400
    rows(
        tmp_path,
        [
            ended(f"{number:032}", created=SECOND - 1 + number * day, ended_ms=NOW + number * day * 1000)
            for number in range(3)
        ],
        [ended("f" * 32, outcome="cancelled", usage=None)],
    )

    async def main() -> list[Any]:
        database = Database(tmp_path / "tidegate.db")
        await database.open()
        found = [
            await database.read(lambda c: add_up(c, "model")),
            await database.read(lambda c: add_up(c, "day", since_ms=NOW)),
            await database.read(lambda c: add_up(c, "caller", caller="nobody")),
        ]
        await database.close()
        return found

    model, days, nobody = asyncio.run(main())
    assert [(each.group, each.generations, each.cancelled, each.estimated) for each in model] == [
        ("m", 4, 1, 1)
    ]
    assert model[0].output_tokens == 3 * 5 + 6
    assert [(each.generations, each.first_ms) for each in days] == [(1, 300), (1, 300)]
    assert days[1].group - days[0].group == day * 1000
    assert days[0].group % (day * 1000) == 0
    assert nobody == []


# Estimates.


@pytest.mark.parametrize(
    ("body", "least", "most"),
    [
        (b'{"messages": [{"role": "user", "content": "%b"}]}' % (b"word " * 400), 400, 600),
        (json.dumps({"input": "早上好" * 100}).encode(), 150, 300),
        (b'{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": '
         b'{"url": "data:image/png;base64,%b"}}]}]}' % (b"A" * 100_000), 0, 20),
        (b'{"messages": [{"role": "user", "content": "%b"}]}' % (b"word " * 200_000), 240_000, 270_000),
        (json.dumps({"messages": ["早上好" * 50_000]}).encode(), 90_000, 110_000),
        (b'{"messages": ["%b"]}' % ("早上好" * 50_000).encode(), 90_000, 110_000),
        (b'{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": '
         b'{"url": "data:image/png;base64,%b"}}]}]}' % (b"A" * 1_000_000), 0, 150),
        (b'{"system": "Be brief.", "messages": [], "tools": [{"name": "f"}]}', 2, 10),
        (b'{"contents": [{"parts": [{"text": "Hello there"}]}]}', 2, 10),
        (b"no json", 0, 0),
        (b"", 0, 0),
    ],
)  # fmt: skip
def test_a_text_is_about_as_many_tokens_as_models_make_of_it(body: bytes, least: int, most: int) -> None:
    assert least <= estimate(body) <= most


@given(st.binary() | st.recursive(st.text() | st.none(), st.lists).map(
    lambda value: json.dumps({"messages": value}).encode()
))  # fmt: skip
def test_nothing_that_is_sent_makes_the_estimate_fail(body: bytes) -> None:
    assert estimate(body) >= 0
