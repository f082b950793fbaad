"""SIGKILL at moments that nobody chose: a reader that comes back has every word once, in the end."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from random import Random

import pytest

from tests.crash.killing import (
    WHOLE,
    Answers,
    Home,
    Reading,
    at_home,
    crash_config,
    digest,
    frames_of,
    keyed,
    slowly,
)
from tests.upstream import Upstream


def kill_in_the_middle(home: Home, random: Random, label: str) -> list[str]:
    """What a reader had when the gateway was killed, at some moment after it was asked."""
    client = Reading(home, label, "long", keyed(label))
    threading.Event().wait(random.random() * 0.4)  # the moment is what is random here
    home.kill()
    frames = frames_of(client.ended())
    home.start()
    return frames


def rounds(home: Home, answers: Answers, count: int, seed: int) -> None:
    """Each stream is killed up to three times, then read to its end."""
    random = Random(seed)
    done = number = 0
    while done < count:
        number += 1
        label = f"{seed}.{number}"
        answers.play(label, slowly)
        shown: list[list[str]] = []
        for _ in range(min(random.randint(1, 3), count - done)):
            shown.append(kill_in_the_middle(home, random, label))
            done += 1
        whole = home.repeat(label).succeeded()
        told = frames_of(whole.response.body)
        assert digest(whole.text()) == digest(WHOLE), (label, whole.text())
        for frames in shown:
            assert told[: len(frames)] == frames, label


@pytest.mark.timeout(240)
def test_a_handful_of_kills(upstream: Upstream, tmp_path: Path) -> None:
    answers = Answers(upstream)
    with at_home(tmp_path / "home", crash_config(upstream)) as home:
        rounds(home, answers, 3, seed=4)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_hundreds_of_kills(upstream: Upstream, tmp_path: Path) -> None:
    """SOAK_KILLS sets another number, SOAK_SEED other moments."""
    answers = Answers(upstream)
    with at_home(tmp_path / "home", crash_config(upstream)) as home:
        rounds(home, answers, int(os.environ.get("SOAK_KILLS", "300")), int(os.environ.get("SOAK_SEED", "1")))
        assert home.slots
        assert len(home.slots) == 1
