"""One line for each generation, whatever callers and upstreams write into it."""

from __future__ import annotations

import logging

import pytest

from tidegate.core.event import Failure
from tidegate.observe.access_log import AccessLog

FORGED = "m\n00:00:00 completed model=other \x1b[2J\u2028\u0085\r"


def test_nobody_forges_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="tidegate")
    log, error = AccessLog(), Failure(FORGED)
    log.generated("c", FORGED, "failed", error, 1.0, None, 0, "id")
    log.called("/embeddings", "c", FORGED, error, 1.0)
    log.refused("openai-chat", error)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert all(line.isprintable() and r"m\n00:00:00" in line for line in lines)


def test_words_stay_as_they_are_and_have_an_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="tidegate")
    AccessLog().called("/embeddings", "c", "世界", Failure("x" * 100_000), 1.0)
    message = caplog.records[0].getMessage()
    assert "model=世界" in message
    assert len(message) < 3000
